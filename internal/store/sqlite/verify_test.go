package sqlite_test

import (
	"testing"

	"decayctl/internal/store/storetest"
)

func TestTriggers(t *testing.T) {
	t.Parallel()
	follow := func(event, table, do string) string {
		return "CREATE TRIGGER touch_" + table + " AFTER " + event + " ON " + table + " BEGIN " + do + "; END"
	}
	override := func(event, set string) string {
		return follow(event, "fact_validity_overrides", "UPDATE fact_validity_overrides SET "+set+" WHERE fact_id = new.fact_id")
	}
	storetest.Triggers(t, func(t *testing.T) storetest.Database { return database(t, newFile(t)) }, []storetest.Trigger{
		{Name: "when it was inserted", Make: override("INSERT", "updated_at = 'now'")},
		{Name: "when it was updated", Make: override("UPDATE OF valid_until", "updated_at = 'now'")},
		{Name: "who", Make: override("INSERT", "updated_by = 'me'")},
		{Name: "why", Make: override("INSERT", "reason = 'x'")},
		{Name: "until when", Make: override("INSERT", "valid_until = '2030-01-01T00:00:00+00:00'")},
		{Name: "a confidence", Make: override("INSERT", "confidence = 0.1")},
		{Name: "an override goes", Make: follow("INSERT", "fact_validity_overrides", "DELETE FROM fact_validity_overrides WHERE fact_id = new.fact_id")},
		{Name: "a retraction's instant", Make: follow("INSERT", "fact_retractions", "UPDATE fact_retractions SET retracted_at = 'now' WHERE id = new.id")},
		{Name: "a retraction's id", Make: follow("INSERT", "fact_retractions", "UPDATE fact_retractions SET id = 'r' || new.fact_id WHERE id = new.id")},
		{Name: "an edge's expiry", Make: follow("UPDATE OF valid_until", "entity_edges", "UPDATE entity_edges SET valid_until = '2030' WHERE id = new.id")},
		{Name: "an edge's epoch", Make: follow("UPDATE OF valid_until", "entity_edges", "UPDATE entity_edges SET decay_epoch = 1 WHERE id = new.id")},
		{Name: "the last fact only", SomeFacts: true, Make: "CREATE TRIGGER touch AFTER INSERT ON fact_validity_overrides WHEN new.fact_id = 'd' BEGIN UPDATE fact_validity_overrides SET updated_at = 'now' WHERE fact_id = 'd'; END"},
		{Name: "some, and others are skipped", SomeFacts: true, Skipped: 1, Make: "CREATE TRIGGER skip BEFORE INSERT ON fact_validity_overrides WHEN new.fact_id = 'd' BEGIN SELECT RAISE(IGNORE); END;" +
			"CREATE TRIGGER touch AFTER INSERT ON fact_validity_overrides WHEN new.fact_id = 'c' BEGIN UPDATE fact_validity_overrides SET updated_at = 'now' WHERE fact_id = 'c'; END"},
		{Name: "in place of the statement", Make: "CREATE TRIGGER touch BEFORE INSERT ON fact_validity_overrides BEGIN " +
			"INSERT OR IGNORE INTO fact_validity_overrides VALUES (new.fact_id, new.valid_until, new.confidence, new.reason, 'now', new.updated_by); SELECT RAISE(IGNORE); END"},
		{Name: "in place of the update", Make: "CREATE TRIGGER touch BEFORE UPDATE ON fact_validity_overrides BEGIN " +
			"UPDATE fact_validity_overrides SET valid_until = new.valid_until, updated_at = 'now' WHERE fact_id = new.fact_id; SELECT RAISE(IGNORE); END"},
		{Name: "an audit", Harmless: true, Make: follow("INSERT", "fact_validity_overrides", "INSERT INTO audit VALUES (new.fact_id)")},
		{Name: "a fact is left out", Harmless: true, Skipped: 1, Make: "CREATE TRIGGER touch BEFORE INSERT ON fact_validity_overrides WHEN new.fact_id = 'a' BEGIN SELECT raise(IGNORE); END"},
	})
}
