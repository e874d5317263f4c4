//go:build soak

package cli_test

import "testing"

// TestSoakLongTexts is TestLongTexts with gigabytes of text: a range of it would fill any memory.
func TestSoakLongTexts(t *testing.T) { longTexts{size: 5 << 20, facts: 100, mostMB: 300}.test(t) }
