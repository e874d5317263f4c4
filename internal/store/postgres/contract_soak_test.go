//go:build soak

package postgres_test

import (
	"testing"

	"decayctl/internal/store/pgtest"
)

// TestSoakContract: the contract holds for each difference alone that TestContract has together.
func TestSoakContract(t *testing.T) {
	exercise(t, []kind{
		{"another schema", pgtest.DatabaseOptions{Schema: "acme_memory"}, false},
		{"of an older node", pgtest.DatabaseOptions{Older: true}, false},
		{"in an ICU collation", pgtest.DatabaseOptions{ICULocale: "en-US"}, false},
		{"through PgBouncer", pgtest.DatabaseOptions{Schema: "pooled"}, true},
	})
}
