//go:build unix

package pgtest

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// account is who runs the servers. They refuse to run as root, so root lends them another account.
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

// temp is where the account may have a folder, and remove it. Root's own TMPDIR may be closed to it.
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

// attributes put a process under the account and out of reach of what is typed at the terminal: an
// interrupt is for the test process, and its end is the end of the servers.
func (a *account) attributes() *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Setsid: true}
	if a.lent {
		attributes.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	}
	return attributes
}
