//go:build unix

package pgtest_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"decayctl/internal/store/pgtest"
)

// child is set in the environment of a copy of this test program that is to be killed.
const child = "PGTEST_CHILD"

// TestChild runs in that copy only. It starts every kind of server, tells where, and waits.
func TestChild(t *testing.T) {
	if os.Getenv(child) == "" {
		return
	}
	cluster := pgtest.Start(t)
	cluster.NewDatabase(t, pgtest.DatabaseOptions{}).Conn(t)
	fmt.Fprintln(os.Stdout, "folder", cluster.Folder)
	fmt.Fprintln(os.Stdout, "folder", cluster.Standby(t).Folder)
	fmt.Fprintln(os.Stdout, "ready", os.Getpid())
	select {}
}

func TestKilledProcessLeavesNothing(t *testing.T) {
	pgtest.Start(t) // skips where the child would
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$")
	command.Env = append(os.Environ(), child+"=1")
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	var folders []string
	var servers []int
	ready := false
	for lines := bufio.NewScanner(stdout); !ready && lines.Scan(); {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		switch word {
		case "folder":
			folders = append(folders, rest)
			servers = append(servers, postmaster(t, rest))
		case "ready":
			ready = true
		}
	}
	if err := command.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = command.Wait()
	if !ready || len(servers) != 2 {
		t.Fatalf("the child did not get ready; folders %v", folders)
	}
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		left := remains(folders, servers)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still there: %v", left)
		}
	}
}

// postmaster is the process id of the server in a folder.
func postmaster(t *testing.T, folder string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, "data", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Fatalf("the server does not run: %v", err)
	}
	return pid
}

// remains is what there still is of some folders and processes.
func remains(folders []string, pids []int) (left []string) {
	for _, folder := range folders {
		if _, err := os.Stat(folder); err == nil {
			left = append(left, folder)
		}
	}
	for _, pid := range pids {
		// In a container ended processes may stay as zombies. They have ended all the same.
		out, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
		if err == nil && !strings.HasPrefix(strings.TrimSpace(string(out)), "Z") {
			left = append(left, "process "+strconv.Itoa(pid))
		}
	}
	return left
}
