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
	costOn := func(url string, facts int64) *store.WriteCost {
		t.Helper()
		s, err := open(t, url, "public", true)
		if err != nil {
			t.Fatal(err)
		}
		c, err := store.CostOf(t.Context(), s, facts)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	cost := func(facts int64) *store.WriteCost { t.Helper(); return costOn(reader.URL, facts) }
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
	if plain == nil || plain.Facts != 1_000_000 || plain.Log < 790e6 || plain.LogWithoutKeys != 0 ||
		plain.LogCompressed >= plain.Log || plain.LogCompressed == 0 || len(plain.Keeps) > 0 {
		t.Fatalf("%+v", plain)
	}
	// --no-fk-checks is named to a role that may use it, if nothing stands in the way and there are keys to leave out.
	may := costOn(db.URL, 1_000_000)
	if may.Log != plain.Log || may.LogWithoutKeys < 690e6 || may.LogWithoutKeys >= may.Log {
		t.Errorf("of a role that may skip keys: %+v", may)
	}
	d.Exec(t, "CREATE RULE r AS ON INSERT TO fact_retractions DO ALSO NOTIFY x")
	if refused := costOn(db.URL, 1_000_000); refused.Log != may.Log || refused.LogWithoutKeys != 0 {
		t.Errorf("with a rule: %+v", refused)
	}
	d.Exec(t, "DROP RULE r ON fact_retractions; ALTER TABLE fact_validity_overrides DISABLE TRIGGER ALL")
	if logged := costOn(db.URL, 1_000_000); logged.Log != may.Log || logged.LogWithoutKeys != may.LogWithoutKeys {
		t.Errorf("with the keys of retractions: %+v", logged)
	}
	d.Exec(t, "ALTER TABLE fact_retractions DISABLE TRIGGER ALL")
	if without := costOn(db.URL, 1_000_000); without.Log != may.LogWithoutKeys || without.LogWithoutKeys != 0 {
		t.Errorf("without keys: %+v", without)
	}
	d.Exec(t, "ALTER TABLE fact_validity_overrides ENABLE TRIGGER ALL; ALTER TABLE fact_retractions ENABLE TRIGGER ALL")
	d.Exec(t, "ALTER ROLE "+reader.Name+" SET wal_compression = 'on'")
	if compressed := cost(1_000_000); compressed.Log != plain.LogCompressed || compressed.LogCompressed != 0 {
		t.Errorf("with wal_compression: %+v", compressed)
	}
	d.Exec(t, "SELECT pg_create_physical_replication_slot('forgotten', true), pg_create_physical_replication_slot('never_used')")
	t.Cleanup(func() { d.Exec(t, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots") })
	if kept := cost(1_000_000); !slices.Equal(kept.Keeps, []string{"the replication slot forgotten (inactive, no max_slot_wal_keep_size)"}) {
		t.Errorf("with a slot: %+v", kept)
	}
}
