//go:build soak

package postgres_test

import (
	"testing"

	"decayctl/internal/store/pgtest"
)

// TestSoakContract: the contract holds for each difference alone that TestContract has together.
func TestSoakContract(t *testing.T) {
	exercise(t, []kind{
		{name: "without foreign keys", noKeys: true},
		{name: "another schema", options: pgtest.DatabaseOptions{Schema: "acme_memory"}},
		{name: "of an older node", options: pgtest.DatabaseOptions{Older: true}},
		{name: "in an ICU collation", options: pgtest.DatabaseOptions{ICULocale: "en-US"}},
		{name: "through PgBouncer", options: pgtest.DatabaseOptions{Schema: "pooled"}, pooled: true},
		{name: "in another form, by a role with odd settings", odd: []string{"pinned", "explicit", "speed", "log", "no use", "libraries", "loud"}},
	})
}
