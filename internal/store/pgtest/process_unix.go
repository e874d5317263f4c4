//go:build unix

package pgtest

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// account is the user that runs the servers. They refuse to run as root, so root uses another user.
type account struct {
	uid, gid int
	lent     bool
}

func serverAccount() (*account, error) {
	if os.Geteuid() != 0 {
		return &account{}, nil
	}
	lent, err := user.Lookup("postgres")
	if err != nil {
		if lent, err = user.Lookup("nobody"); err != nil {
			return nil, fmt.Errorf("PostgreSQL does not run as root, and there is no other account for it: %w", err)
		}
	}
	uid, err := strconv.Atoi(lent.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(lent.Gid)
	if err != nil {
		return nil, err
	}
	return &account{uid: uid, gid: gid, lent: true}, nil
}

// temp is the folder for folders of the account. It may not be able to use root's TMPDIR.
func (a *account) temp() string {
	if a.lent {
		return "/tmp"
	}
	return os.TempDir()
}

func (a *account) own(path string) error {
	if !a.lent {
		return nil
	}
	return os.Chown(path, a.uid, a.gid)
}

// attributes make a process run as the account, in its own process group: an interrupt at the terminal reaches the test
// process only, whose end ends the servers.
func (a *account) attributes() *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Setsid: true}
	if a.lent {
		attributes.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	}
	return attributes
}
