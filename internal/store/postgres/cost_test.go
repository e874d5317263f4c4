package postgres_test

import (
	"errors"
	"slices"
	"testing"

	"decayctl/internal/store"
	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/sample"
	"decayctl/internal/store/sample/samplepg"
)

// TestWriteCost: a role that may only read is told what a sweep costs, from the pages that there are and the settings of the
// server. The settings of the role and the database count, as they do for a sweep.
func TestWriteCost(t *testing.T) {
	t.Parallel()
	db := pgtest.Own(t).NewDatabase(t, pgtest.DatabaseOptions{})
	conn := db.Conn(t)
	err := samplepg.Fill(t.Context(), conn, sample.Options{Facts: 2000, AsOf: asOf, Seed: 7})
	for _, statement := range []string{"VACUUM ANALYZE", "ALTER SYSTEM SET max_wal_size = '64MB'", "ALTER SYSTEM SET full_page_writes = 'on'", "SELECT pg_reload_conf()"} {
		if err == nil {
			_, err = conn.Exec(t.Context(), statement)
		}
	}
	if err = errors.Join(err, conn.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	reader := db.NewRole(t, "SELECT ON ALL TABLES IN SCHEMA public")
	cost := func(facts int64) *store.WriteCost {
		t.Helper()
		s, err := open(t, reader.URL, "public", true)
		if err != nil {
			t.Fatal(err)
		}
		c, err := store.CostOf(t.Context(), s, facts)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	d := database(t, db, db.URL)
	settled := func() bool {
		return slices.Equal(d.Rows(t, "SELECT current_setting('max_wal_size'), current_setting('full_page_writes')"), []string{"64MB | on"})
	}
	if !settled() {
		t.Fatal("the settings were not taken")
	}
	if few := cost(store.CostMatters - 1); few != nil {
		t.Errorf("of few facts: %+v", few)
	}
	plain := cost(1_000_000)
	if plain == nil || plain.Facts != 1_000_000 || plain.Log < 790e6 || plain.LogWithoutKeys < 690e6 || plain.LogWithoutKeys >= plain.Log ||
		plain.LogCompressed >= plain.Log || plain.LogCompressed == 0 || len(plain.Keeps) > 0 {
		t.Fatalf("%+v", plain)
	}
	d.Exec(t, "ALTER ROLE "+reader.Name+" SET wal_compression = 'pglz'")
	if compressed := cost(1_000_000); compressed.Log != plain.LogCompressed || compressed.LogCompressed != 0 {
		t.Errorf("with wal_compression: %+v", compressed)
	}
	d.Exec(t, "SELECT pg_create_physical_replication_slot('forgotten')")
	t.Cleanup(func() { d.Exec(t, "SELECT pg_drop_replication_slot('forgotten')") })
	if kept := cost(1_000_000); len(kept.Keeps) != 1 {
		t.Errorf("with a slot: %+v", kept)
	}
}
