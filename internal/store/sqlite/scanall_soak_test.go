//go:build soak

package sqlite_test

import "testing"

// TestSoakScanAllIsWhole has more facts than a range may have at most, several times.
func TestSoakScanAllIsWhole(t *testing.T) { scanAllIsWhole(t, 200_000) }
