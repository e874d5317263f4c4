package cli_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"decayctl/internal/skiptest"
	"decayctl/internal/store/sample"
	"decayctl/internal/store/storetest"
)

const (
	nodeUser      = 61001 // whose store it is; its group has the same number
	otherUser     = 61002
	operatorGroup = 61003
)

// TestOwnerOfSideFiles: a node cannot open its store while a log or journal beside it is of another owner. Those
// that decayctl makes have the owner and mode of the store; where it cannot give them that, it makes none.
func TestOwnerOfSideFiles(t *testing.T) {
	t.Parallel()
	if out, err := exec.Command("setpriv", "--reuid", "1", "true").CombinedOutput(); err != nil {
		skiptest.Skip(t, "cannot be two users: ", string(out))
	}
	node := fmt.Sprintf("--reuid %d --regid %d --clear-groups", nodeUser, nodeUser)
	for name, c := range map[string]struct {
		who   string // arguments of setpriv
		group int    // of the store
		mode  os.FileMode
		exit  int  // 0: it works, and is killed in the middle
		alien bool // the owner may not give files to the group
	}{
		"the node":                        {who: node, group: nodeUser, mode: 0o600},
		"root":                            {who: "--reuid 0", group: nodeUser, mode: 0o640},
		"root that may not give files":    {who: "--bounding-set -chown --inh-caps -chown", group: nodeUser, mode: 0o660, exit: 7},
		"an operator of the node's group": {who: fmt.Sprintf("--reuid %d --regid %d --groups %d", otherUser, otherUser, nodeUser), group: nodeUser, mode: 0o660, exit: 7},
		"the owner, and operators":        {who: fmt.Sprintf("--reuid %d --regid %d --groups %d", nodeUser, nodeUser, operatorGroup), group: operatorGroup, mode: 0o660},
		"the owner, not of the group":     {who: node, group: operatorGroup, mode: 0o660, alien: true},
		"the owner, and a mere group":     {who: node, group: operatorGroup, mode: 0o644, alien: true},
		"the owner, who may not write":    {who: node, group: nodeUser, mode: 0o444, exit: 7},
		"root, and a read-only store":     {who: "--reuid 0", group: nodeUser, mode: 0o440, exit: 7},
	} {
		for _, journal := range []string{"WAL", "DELETE"} {
			t.Run(name+" "+journal, func(t *testing.T) {
				t.Parallel()
				path := storeOfNode(t, journal, c.group, c.mode)
				process := begin(t, "exec setpriv "+c.who+` "$0" "$@";`, sweepArgs(path, "--batch-size", "1", "--pace", "0.01", "--max-runtime", "15s")...)
				if c.exit != 0 {
					why := fmt.Sprintf("belongs to user %d and group %d", nodeUser, c.group)
					if c.mode&0o200 == 0 {
						why = "no permission to write"
					}
					if exit, _, last := process.ends(t); exit != c.exit || !strings.Contains(last, why) {
						t.Errorf("exit code %d, %s", exit, last)
					}
					if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
						t.Errorf("left behind: %v, %v", left, err)
					}
					return
				}
				suffixes := map[string][]string{"WAL": {"-wal", "-shm"}, "DELETE": {"-journal"}}[journal]
				right := func(suffix string) bool {
					info, err := os.Stat(path + suffix)
					if err != nil {
						return false
					}
					stat, ok := info.Sys().(*syscall.Stat_t)
					group := int(stat.Gid) == c.group
					if c.alien || name == "the owner, and operators" && journal == "DELETE" { // SQLite gives no journal away
						group = int(stat.Gid) == nodeUser
					}
					return ok && stat.Uid == nodeUser && group && info.Mode().Perm() == c.mode
				}
				for _, suffix := range suffixes {
					for !right(suffix) {
						if process.over() {
							_, _, last := process.ends(t)
							t.Fatalf("%s was never as the store is: %s", suffix, last)
						}
					}
				}
				_ = process.Process.Kill()
				process.ends(t)
			})
		}
	}
}

// storeOfNode makes a store that is the node's user's, in a folder that everybody may write.
func storeOfNode(t *testing.T, journal string, group int, mode os.FileMode) string {
	t.Helper()
	d, path := storetest.NewSQLite(t, func(path string) error {
		return sample.FillSQLite(t.Context(), path, sample.Options{Facts: 100, AsOf: now, Seed: 11})
	})
	d.Exec(t, "PRAGMA journal_mode = "+journal)
	if err := d.SQL.Close(); err != nil {
		t.Fatal(err)
	}
	program, err := exec.LookPath("decayctl")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{filepath.Dir(path), filepath.Dir(program)} {
		for ; folder != os.TempDir() && folder != "/"; folder = filepath.Dir(folder) {
			if err := os.Chmod(folder, 0o755); err != nil { //nolint:gosec // another user comes through
				t.Fatal(err)
			}
		}
	}
	for _, change := range []error{
		os.Chown(path, nodeUser, group), os.Chmod(path, mode), os.Chmod(filepath.Dir(path), 0o777), //nolint:gosec // as said
	} {
		if change != nil {
			t.Fatal(change)
		}
	}
	return path
}
