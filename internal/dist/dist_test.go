package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"decayctl/internal/cli"
	"decayctl/internal/skiptest"
)

// written is a release's folder.
func written(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "release")
	if err := (release{version: "1.2.3", date: "2026-11-30", docs: "../../docs"}).write(folder); err != nil {
		t.Fatal(err)
	}
	return folder
}

// TestPagesRender: man and mandoc render each page without a warning.
func TestPagesRender(t *testing.T) {
	t.Parallel()
	skiptest.Programs(t, "man", "mandoc")
	folder := written(t)
	pages, err := filepath.Glob(filepath.Join(folder, "man", "*"))
	if err != nil || len(pages) == 0 {
		t.Fatal(pages, err)
	}
	for _, page := range pages {
		for _, command := range [][]string{{"mandoc", "-Tlint", "-Wwarning", page}, {"man", "--warnings=w", "--local-file", "--encoding=UTF-8", page}} {
			cmd := exec.CommandContext(t.Context(), command[0], command[1:]...) //nolint:gosec // the test's own words
			cmd.Env = append(os.Environ(), "MANPAGER=cat", "MANWIDTH=80", "LANG=C.UTF-8")
			var said strings.Builder
			cmd.Stderr = &said
			out, err := cmd.Output()
			if command[0] == "mandoc" {
				said.Write(out)
			} else if !strings.Contains(string(out), "SEE ALSO") {
				t.Errorf("%s shows\n%s", filepath.Base(page), out)
			}
			if err != nil || said.Len() > 0 {
				t.Errorf("%s of %s: %v\n%s", command[0], filepath.Base(page), err, &said)
			}
		}
	}
}

// TestPagesAreWhole: each command has a page with each of its flags, and each setting with a variable is in the page of the configuration.
func TestPagesAreWhole(t *testing.T) {
	t.Parallel()
	folder := written(t)
	read := func(page string) string {
		text, err := os.ReadFile(filepath.Join(folder, "man", page))
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}
	configuration := read("decayctl-configuration.5")
	flags := 0
	for cmd := range documented(cli.Commands()) {
		page := read(pageName(cmd) + ".1")
		cmd.NonInheritedFlags().VisitAll(func(flag *pflag.Flag) {
			flags++
			name := `\-\-` + flag.Name
			if !strings.Contains(page, name) {
				t.Errorf("%s does not tell of --%s", pageName(cmd), flag.Name)
			}
			if flag.Name != "help" && flag.Name != "no-descriptions" && !strings.Contains(configuration, name) {
				t.Errorf("decayctl-configuration(5) does not tell of --%s", flag.Name)
			}
		})
	}
	if flags == 0 {
		t.Error("no command has a flag")
	}
	if codes := read("decayctl-exit-codes.7"); !strings.Contains(codes, "\\fB143\\fP\n") || strings.Contains(codes, "](") || !strings.Contains(codes, `\fB\-\-report\fR`) {
		t.Errorf("the page of exit codes:\n%s", codes)
	}
}

// TestCask: the cask of Homebrew installs each page. A cask knows no patterns, so .goreleaser.yaml names them.
func TestCask(t *testing.T) {
	t.Parallel()
	config, err := os.ReadFile("../../.goreleaser.yaml")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := os.ReadDir(filepath.Join(written(t), "man"))
	if err != nil || len(pages) == 0 {
		t.Fatal(pages, err)
	}
	for _, page := range pages {
		if !strings.Contains(string(config), "\n      - man/"+page.Name()+"\n") {
			t.Errorf("add - man/%s to homebrew_casks in .goreleaser.yaml", page.Name())
		}
	}
}

// TestSameBytes: the files depend on the commit only.
func TestSameBytes(t *testing.T) {
	t.Parallel()
	once, again := written(t), written(t)
	if out, err := exec.CommandContext(t.Context(), "diff", "-r", once, again).CombinedOutput(); err != nil { //nolint:gosec // two folders of the test
		t.Errorf("%v\n%s", err, out)
	}
}
