package cli_test

import (
	"slices"
	"testing"

	"decayctl/internal/store/storetest"
)

// TestVectors runs the reference sweeps through the command line, in a node's own environment.
func TestVectors(t *testing.T) {
	t.Parallel()
	for _, b := range backends {
		fresh := b.reuse(t)
		for _, v := range storetest.Vectors(t) {
			t.Run(b.name+" "+v.Name, func(t *testing.T) {
				t.Parallel()
				db, environ := fresh(t)
				v.Load(t, db)
				args, settings := v.Command()
				got := decayctl(t, slices.Concat(environ, settings), args...)
				v.CheckAnswer(t, got.exit, got.stdout, got.stderr)
				v.Check(t, db)
			})
		}
	}
}
