package wholefile_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"decayctl/internal/wholefile"
)

func text(content string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, content)
		return err
	}
}

// holds fails unless a file has a content and a mode, and is alone in its folder but for others.
func holds(t *testing.T, path, content string, mode fs.FileMode, inFolder int) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != content {
		t.Errorf("%s has %q, want %q", path, got, content)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != mode {
		t.Errorf("%s has mode %v, want %v", path, info.Mode().Perm(), mode)
	}
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != inFolder {
		t.Errorf("the folder has %d files, want %d: %v", len(files), inFolder, files)
	}
}

func TestANewFileGetsTheMode(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "report")
	if err := wholefile.Write(path, 0o640, text("new")); err != nil {
		t.Fatal(err)
	}
	holds(t, path, "new", 0o640, 1)
}

func TestAFileThatExistsKeepsItsMode(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "report")
	if err := os.WriteFile(path, []byte("an older and longer report"), 0o604); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o604); err != nil { // whatever the umask
		t.Fatal(err)
	}
	if err := wholefile.Write(path, 0o600, text("new")); err != nil {
		t.Fatal(err)
	}
	holds(t, path, "new", 0o604, 1)
}

func TestAFailureLeavesWhatWasThere(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "report")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the content broke off")
	err := wholefile.Write(path, 0o600, func(w io.Writer) error {
		return errors.Join(text("half")(w), broken)
	})
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want the error of the content", err)
	}
	holds(t, path, "old", 0o600, 1)
}

func TestALinkToAFileThatIsNotThereYetStays(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file, link, other := filepath.Join(folder, "file"), filepath.Join(folder, "link"), filepath.Join(folder, "other")
	for name, to := range map[string]string{link: "other", other: file} {
		if err := os.Symlink(to, name); err != nil {
			t.Fatal(err)
		}
	}
	if err := wholefile.Write(link, 0o600, text("new")); err != nil {
		t.Fatal(err)
	}
	holds(t, file, "new", 0o600, 3)
	if target, err := os.Readlink(link); err != nil || target != "other" {
		t.Errorf("the link leads to %q, %v", target, err)
	}
}

func TestALinkStays(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file, link := filepath.Join(folder, "file"), filepath.Join(folder, "link")
	if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("file", link); err != nil {
		t.Fatal(err)
	}
	if err := wholefile.Write(link, 0o600, text("new")); err != nil {
		t.Fatal(err)
	}
	holds(t, file, "new", 0o600, 2)
	if target, err := os.Readlink(link); err != nil || target != "file" {
		t.Errorf("the link leads to %q, %v", target, err)
	}
}

func TestAFolderIsNoFile(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	var failed *fs.PathError
	if err := wholefile.Write(folder, 0o600, text("new")); !errors.As(err, &failed) || failed.Path != folder {
		t.Errorf("got %v, want an error that names the folder", err)
	}
	if err := wholefile.Write(filepath.Join(folder, "missing", "file"), 0o600, text("new")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want that the folder is not there", err)
	}
}
