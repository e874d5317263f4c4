//go:build !unix

package cli_test

import "github.com/rogpeppe/go-internal/testscript"

// Scripts that need another user stop before they get here.
func cmdAsNobody(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Fatalf("asnobody needs Unix")
}
