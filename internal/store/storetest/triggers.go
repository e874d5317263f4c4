package storetest

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/store"
	"decayctl/internal/sweep"
)

// Trigger is statements that make triggers or rules, each with "touch" in its name.
type Trigger struct {
	Name      string
	Make      string
	Harmless  bool // they change nothing that an undo compares
	Skipped   int  // how many facts they keep from being written, which then changed meanwhile
	SomeFacts bool // they change some rows only, and not those of the first batch
}

// Triggers holds a store to what it promises where triggers follow what a sweep writes: either an undo gives everything
// back, or nothing is written unless that is wanted, and then the report names them.
func Triggers(t *testing.T, fresh func(t *testing.T) Database, all []Trigger) {
	t.Helper()
	floor := rule.Floor(0.5)
	for _, trigger := range all {
		t.Run(trigger.Name, func(t *testing.T) {
			t.Parallel()
			d := fresh(t)
			for _, id := range []string{"a", "b", "c", "d"} {
				d.Insert(t, Fact(id, func(c *fact.Candidate) {
					if id == "b" {
						c.Override = &fact.Override{UpdatedAt: "2026-01-01T00:00:00+00:00"}
					}
				}))
				d.Edge(t, id, nil)
			}
			d.Exec(t, "CREATE TABLE audit (fact_id TEXT)")
			d.Exec(t, trigger.Make)
			before := undoable(t, d)
			run := func(irreversible bool) (job.Job, []string, error) {
				s := d.open(t, false)
				j, err := Sweep(t.Context(), Engine(s), store.StartParams{Rules: rule.Set{Floor: &floor}, AsOf: AsOf}, sweep.Work{BatchSize: 2, Irreversible: irreversible})
				return j, s.Notes(), err
			}
			found, err := d.open(t, true).Diagnose(t.Context())
			if err != nil || !strings.Contains(strings.Join(found.Triggers, ", "), "touch") {
				t.Errorf("the doctor found %q, %v", found.Triggers, err)
			}

			j, notes, err := run(false)
			var refused *sweep.Refused
			switch {
			case trigger.Harmless:
				want := int64(4 - trigger.Skipped)
				if err != nil || len(notes) > 0 || j.Counts.Decayed != want || j.Counts.Kept[rule.ChangedMeanwhile] != int64(trigger.Skipped) {
					t.Errorf("expired %d, changed meanwhile %d, notes %q, %v", j.Counts.Decayed, j.Counts.Kept[rule.ChangedMeanwhile], notes, err)
				}
				if undone := d.TakeBack(t, j.ID); undone.Counts.Restored != want {
					t.Errorf("gave %d back", undone.Counts.Restored)
				}
				if diff := cmp.Diff(before, undoable(t, d)); diff != "" {
					t.Errorf("after an undo (-before +now):\n%s", diff)
				}
				return
			case trigger.SomeFacts: // the first batch stands, and can be undone
				if !store.Is(err, store.Irreversible) || errors.As(err, &refused) || j.State != job.Failed || j.Counts.Decayed != 2 {
					t.Errorf("%s with %d expired, %v", j.State, j.Counts.Decayed, err)
				}
				d.TakeBack(t, j.ID)
			case !errors.As(err, &refused) || !strings.Contains(err.Error(), "touch") || j.State != job.Cancelled:
				t.Errorf("%s, %v", j.State, err)
			}
			if diff := cmp.Diff(before, undoable(t, d)); diff != "" {
				t.Errorf("after a refusal (-before +now):\n%s", diff)
			}
			j, notes, err = run(true)
			if err != nil || j.Counts.Decayed != 4 || len(notes) != 1 || !strings.Contains(notes[0], "touch") {
				t.Errorf("expired %d, notes %q, %v", j.Counts.Decayed, notes, err)
			}
		})
	}
}

// undoable is what a sweep writes and an undo gives back.
func undoable(t testing.TB, d Database) (all []string) {
	t.Helper()
	for _, query := range []string{
		"SELECT fact_id, valid_until, confidence, reason, updated_at, updated_by FROM fact_validity_overrides ORDER BY fact_id",
		"SELECT id, fact_id, retracted_at, retracted_by FROM fact_retractions ORDER BY id",
		"SELECT id, valid_until, confidence, decay_epoch FROM entity_edges ORDER BY id",
	} {
		all = append(all, d.Rows(t, query)...)
	}
	return all
}
