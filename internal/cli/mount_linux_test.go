package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"decayctl/internal/skiptest"
	"decayctl/internal/store/sample"
	"decayctl/internal/store/storetest"
)

// TestMountedFile mounts the single file of a store, as containers do: a log that decayctl makes would not be
// beside the node's name, and the node's log is not beside decayctl's.
func TestMountedFile(t *testing.T) {
	t.Parallel()
	unshare := "unshare --mount"
	if os.Geteuid() != 0 {
		unshare = "unshare --user --map-root-user --mount"
	}
	if out, err := exec.Command("sh", "-c", unshare+" true").CombinedOutput(); err != nil { //nolint:gosec // the test's own
		skiptest.Skip(t, "no mounts of its own: ", string(out))
	}
	d, target := filled(t, "sqlite", nil, 200)
	mounted := filepath.Join(t.TempDir(), "a file.db")
	if err := os.WriteFile(mounted, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	inside := "exec " + unshare + ` sh -c 'mount --bind "$1" "$2" && shift 2 && exec "$@"' sh '` + target + `' '` + mounted + `' "$0" "$@";`
	run := func(args ...string) (int, string) {
		exit, _, last := begin(t, inside, append(args, "--store", mounted, "--ttl", "90d", "-o", "json")...).ends(t)
		return exit, last
	}

	node, err := d.SQL.Conn(t.Context()) // and is at work
	if err != nil {
		t.Fatal(err)
	}
	if _, err := node.ExecContext(t.Context(), "UPDATE fact_validity_overrides SET reason = reason"); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"dry-run", "sweep"} {
		if exit, last := run(command); exit != 8 || !strings.Contains(last, "is open in another process by another name") {
			t.Errorf("%s beside the node: exit code %d, %s", command, exit, last)
		}
	}

	_ = node.Close()
	if err := d.SQL.Close(); err != nil {
		t.Fatal(err)
	}
	if exit, last := run("dry-run"); exit != 0 {
		t.Errorf("dry-run: exit code %d, %s", exit, last)
	}
	if exit, last := run("sweep"); exit != 8 || !strings.Contains(last, "several names") || !strings.Contains(last, "; mount its folder instead of the file") {
		t.Errorf("sweep: exit code %d, %s", exit, last)
	}
	if left, err := os.ReadDir(filepath.Dir(mounted)); err != nil || len(left) != 1 {
		t.Errorf("beside the name are %v, %v", left, err)
	}
	after, err := sample.OpenSQLite(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = after.Close() })
	if rows := (storetest.Database{SQL: after}).Rows(t, "PRAGMA integrity_check"); rows[0] != "ok" {
		t.Error(rows)
	}
}
