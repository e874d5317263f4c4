package pgtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// binFolder is the environment variable with the folder of the server's programs, to test one version.
const binFolder = "PGTEST_BIN"

// binaries is the folder of an installed PostgreSQL server: that of PGTEST_BIN, else of PATH, else the newest in the usual
// folders. PATH often has only the client's programs.
func binaries() (string, error) {
	if folder := os.Getenv(binFolder); folder != "" {
		// A server from an archive often lacks pg_basebackup. Standby reports that if a test needs it.
		if !has(folder, "initdb", "postgres", "pg_ctl") {
			return "", fmt.Errorf("%s=%s: the folder has no initdb, postgres and pg_ctl", binFolder, folder)
		}
		return folder, nil
	}
	var folders []string
	for _, program := range []string{"postgres", "initdb"} {
		if path, err := exec.LookPath(program); err == nil {
			// The folder of a link may have no other program of the server.
			if real, err := filepath.EvalSymlinks(path); err == nil {
				folders = append(folders, filepath.Dir(real))
			}
		}
	}
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		folders = append(folders, strings.TrimSpace(string(out)))
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",          // Debian
		"/usr/pgsql-*/bin",                   // Red Hat
		"/opt/homebrew/opt/postgresql@*/bin", // Homebrew on Apple silicon
		"/usr/local/opt/postgresql@*/bin",    // Homebrew on Intel
		"/opt/homebrew/opt/postgresql/bin",   // the same, without a version
		"/usr/local/opt/postgresql/bin",      //
		"/Applications/Postgres.app/Contents/Versions/*/bin",
	} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return "", err
		}
		slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
		folders = append(folders, found...)
	}
	for _, folder := range folders {
		if has(folder, "initdb", "postgres", "pg_ctl", baseBackup) {
			return folder, nil
		}
	}
	return "", fmt.Errorf("the PostgreSQL server: %w: install it (Debian: apt-get install postgresql; "+
		"macOS: brew install postgresql), or put its folder with initdb and postgres on PATH", ErrMissing)
}

// version is the number in a folder's name, 0 without one.
func version(folder string) int {
	digits := strings.TrimFunc(filepath.Base(filepath.Dir(folder)), func(r rune) bool { return r < '0' || r > '9' })
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return n
}

// baseBackup is the program that copies a cluster for a standby.
const baseBackup = "pg_basebackup"

func has(folder string, programs ...string) bool {
	for _, program := range programs {
		if info, err := os.Stat(filepath.Join(folder, program)); err != nil || info.IsDir() {
			return false
		}
	}
	return true
}

// bouncer is the path of PgBouncer. On Debian it is not in the PATH of users.
func bouncer() (string, error) {
	for _, name := range []string{"pgbouncer", "/usr/sbin/pgbouncer", "/usr/local/sbin/pgbouncer", "/opt/homebrew/bin/pgbouncer"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("PgBouncer: %w: install it (Debian: apt-get install pgbouncer; macOS: brew install pgbouncer)", ErrMissing)
}
