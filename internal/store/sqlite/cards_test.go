package sqlite_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/rule"
	"decayctl/internal/store"
	"decayctl/internal/store/sqlite"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

// TestCardFilter sweeps fact by fact. Cards that are known to be stale, or not to be there, are not looked up
// for as long as nobody else writes; no fresh one is missed, whoever makes it fresh.
func TestCardFilter(t *testing.T) {
	t.Parallel()
	const again = "UPDATE memory_cards SET is_stale = 0 WHERE entity_uri = 'a'"
	for name, test := range map[string]struct {
		entities  string         // of the facts, in order
		between   map[int]string // what somebody else does after so many batches
		refused   string         // where a batch fails after its cards
		looks     int            // statements that look cards up
		fresh     string         // cards in the end
		unwritten int64
	}{
		"undisturbed":        {entities: "a none b a b", looks: 2},
		"made fresh again":   {entities: "a none a none b", between: map[int]string{2: again}, looks: 4},
		"made fresh behind":  {entities: "a none b none b", between: map[int]string{2: again}, looks: 4, fresh: "a"},
		"a batch that fails": {entities: "a b b none", refused: "1", looks: 3, unwritten: 1},
		"and no other":       {entities: "a b none", refused: "1", looks: 2, unwritten: 1, fresh: "b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := newFile(t)
			d := database(t, path)
			for i, entity := range strings.Fields(test.entities) {
				d.Insert(t, storetest.Fact(string(rune('0'+i)), func(c *fact.Candidate) { c.Entity = entity }))
			}
			for _, entity := range []string{"a", "b"} {
				d.Card(t, entity, "default", "local", 0)
			}
			s, err := sqlite.Open(t.Context(), path, store.OpenParams{LockTimeout: time.Minute, Now: time.Now})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			if err := s.Prepare(t.Context()); err != nil {
				t.Fatal(err)
			}
			if test.refused != "" {
				d.Exec(t, `CREATE TRIGGER refuse BEFORE UPDATE ON decayctl_claims
					WHEN NEW.low = '`+test.refused+`' AND EXISTS (SELECT 1 FROM fact_validity_overrides WHERE fact_id = NEW.low)
					BEGIN SELECT RAISE(ABORT, 'refused'); END`)
			}
			s.FilterCards()
			looks, batches := 0, 0
			s.Watch(func(_ sqlite.Querier, query string) {
				if strings.Contains(query, "UPDATE memory_cards") {
					looks++
				}
			})
			engine := storetest.Engine(s)
			engine.Halt = func() error {
				if batches++; test.between[batches] != "" {
					d.Exec(t, test.between[batches])
				}
				return nil
			}
			floor := rule.Floor(0.5)
			j, err := storetest.Sweep(context.Background(), engine, store.StartParams{Rules: rule.Set{Floor: &floor}, AsOf: storetest.AsOf}, sweep.Work{BatchSize: 1, Pace: 1})
			if err != nil || j.Counts.FailedCount != test.unwritten {
				t.Fatalf("%+v, %v", j.Counts, err)
			}
			fresh := strings.Join(d.Rows(t, "SELECT entity_uri FROM memory_cards WHERE is_stale = 0"), " ")
			if looks != test.looks || fresh != test.fresh {
				t.Errorf("looked %d times, want %d; fresh: %q, want %q", looks, test.looks, fresh, test.fresh)
			}
		})
	}
}
