//go:build !unix

package pgtest

import (
	"fmt"
	"os"
	"syscall"
)

// account is the user that runs the servers. This system has none.
type account struct{}

func serverAccount() (*account, error) {
	return nil, fmt.Errorf("a PostgreSQL for tests: %w: only Unix systems are supported", ErrMissing)
}

func (*account) temp() string { return os.TempDir() }

func (*account) own(string) error { return nil }

func (*account) attributes() *syscall.SysProcAttr { return nil }
