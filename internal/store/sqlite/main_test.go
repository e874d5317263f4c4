package sqlite_test

import (
	"testing"

	"go.uber.org/goleak"

	"decayctl/internal/store/storetest"
)

// TestMain fails if a test, or a store that was closed, leaves a goroutine behind.
func TestMain(m *testing.M) {
	storetest.LimitChecks()
	goleak.VerifyTestMain(m)
}
