package postgres_test

import (
	"fmt"
	"testing"

	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/storetest"
)

func TestTriggers(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t)
	function := func(body string) string {
		return "CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN " + body + " RETURN new; END $$;"
	}
	before := func(event, table, body string) string {
		return function(body) + fmt.Sprintf("CREATE TRIGGER touch BEFORE %s ON %s FOR EACH ROW EXECUTE FUNCTION touched()", event, table)
	}
	const overrides = "fact_validity_overrides"
	fresh := storetest.Reuse(func() storetest.Database {
		db := cluster.NewDatabase(t, pgtest.DatabaseOptions{})
		return database(t, db, db.URL)
	})
	storetest.Triggers(t, func(t *testing.T) storetest.Database {
		t.Helper()
		d := fresh(t)
		t.Cleanup(func() { // before it is emptied
			d.Exec(t, "DROP TABLE audit; DROP FUNCTION IF EXISTS touched CASCADE; DROP RULE IF EXISTS touch ON fact_validity_overrides")
		})
		return d
	}, []storetest.Trigger{
		{Name: "when it was inserted", Make: before("INSERT OR UPDATE", overrides, "new.updated_at = 'now';")},
		{Name: "when it was updated", Make: before("UPDATE", overrides, "new.updated_at = 'now';")},
		{Name: "who", Make: before("INSERT", overrides, "new.updated_by = 'me';")},
		{Name: "why", Make: before("INSERT", overrides, "new.reason = 'x';")},
		{Name: "a confidence", Make: before("INSERT", overrides, "new.confidence = 0.1;")},
		{Name: "a retraction's instant", Make: before("INSERT", "fact_retractions", "new.retracted_at = 'now';")},
		{Name: "an edge's expiry", Make: before("UPDATE", "entity_edges", "new.valid_until = '2030';")},
		{Name: "an edge's epoch", Make: before("UPDATE", "entity_edges", "new.decay_epoch = 1;")},
		{Name: "at the commit", Make: function("UPDATE fact_validity_overrides SET updated_at = 'now' WHERE fact_id = new.fact_id AND updated_at <> 'now';") +
			"CREATE CONSTRAINT TRIGGER touch AFTER INSERT ON fact_validity_overrides DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION touched()"},
		{Name: "a rule", Rule: true, Make: "CREATE RULE touch AS ON INSERT TO fact_validity_overrides DO ALSO UPDATE fact_validity_overrides SET updated_at = 'now' WHERE fact_id = new.fact_id"},
		{Name: "the last fact only", SomeFacts: true, Make: before("INSERT", overrides, "IF new.fact_id = 'd' THEN new.updated_at = 'now'; END IF;")},
		{Name: "some, and others are skipped", SomeFacts: true, Skipped: 1, Make: before("INSERT", overrides,
			"IF new.fact_id = 'c' THEN new.updated_at = 'now'; ELSIF new.fact_id = 'd' THEN RETURN NULL; END IF;")},
		{Name: "in place of the statement", Make: before("INSERT", overrides,
			"IF pg_trigger_depth() = 1 THEN INSERT INTO fact_validity_overrides VALUES (new.*) ON CONFLICT DO NOTHING; RETURN NULL; END IF; new.updated_at = 'now';")},
		{Name: "in place of the update", Make: before("UPDATE", overrides,
			"IF pg_trigger_depth() = 1 THEN UPDATE fact_validity_overrides SET valid_until = new.valid_until, updated_at = 'now' WHERE fact_id = new.fact_id; RETURN NULL; END IF;")},
		{Name: "an audit", Harmless: true, Make: before("INSERT", overrides, "INSERT INTO audit VALUES (new.fact_id);")},
		{Name: "a fact is left out", Harmless: true, Skipped: 1, Make: before("INSERT", overrides, "IF new.fact_id = 'a' THEN RETURN NULL; END IF;")},
	})
}
