//go:build !unix

package pgtest

import (
	"fmt"
	"os"
	"syscall"
)

// account is who runs the servers: nobody, on this system.
type account struct{}

func serverAccount() (*account, error) {
	return nil, fmt.Errorf("a PostgreSQL for tests: %w: only Unix systems are supported", ErrMissing)
}

func (*account) temp() string { return os.TempDir() }

func (*account) own(string) error { return nil }

func (*account) attributes() *syscall.SysProcAttr { return nil }
