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

// Trigger is statements that create triggers or rules, each with "touch" in its name.
type Trigger struct {
	Name      string
	Make      string
	Harmless  bool  // they change nothing that an undo compares
	SomeFacts bool  // they change some rows only, and not those of the first batch
	Skipped   int64 // how many facts they keep from being written, which then changed meanwhile
	Rule      bool  // where another session writes an override of the batch, no statement is right: it fails
}

// Triggers tests a store with triggers on the rows that a sweep writes. Either an undo restores everything, or nothing is
// written unless the operator allows it. Then the report names the triggers.
func Triggers(t *testing.T, fresh func(t *testing.T) Database, all []Trigger) {
	t.Helper()
	floor := rule.Floor(0.5)
	for _, trigger := range all {
		t.Run(trigger.Name, func(t *testing.T) {
			t.Parallel()
			d := fresh(t)
			d.followed(t)
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
				want := 4 - trigger.Skipped
				if err != nil || len(notes) > 0 || j.Counts.Decayed != want || j.Counts.Kept[rule.ChangedMeanwhile] != trigger.Skipped {
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
			if err != nil || j.Counts.Decayed != 4-trigger.Skipped || len(notes) != 1 || !strings.Contains(notes[0], "touch") {
				t.Errorf("expired %d, notes %q, %v", j.Counts.Decayed, notes, err)
			}
		})
		t.Run(trigger.Name+", where another session writes an override", func(t *testing.T) {
			t.Parallel()
			testTriggerMeanwhile(t, fresh(t), trigger)
		})
	}
}

// followed inserts four facts with edges, one of them with an override, for triggers to act on.
func (d Database) followed(t testing.TB) {
	t.Helper()
	for _, id := range []string{"a", "b", "c", "d"} {
		d.Insert(t, Fact(id, func(c *fact.Candidate) {
			if id == "b" {
				c.Override = &fact.Override{UpdatedAt: "2026-01-01T00:00:00+00:00"}
			}
		}))
		d.Edge(t, id, nil)
	}
	d.Exec(t, "CREATE TABLE audit (fact_id TEXT)")
}

// testTriggerMeanwhile: another process inserts the override of one fact since the read, so that the statement writes fewer
// rows than facts. The store must find out which facts were written, whatever a trigger does to the rows.
func testTriggerMeanwhile(t *testing.T, d Database, trigger Trigger) {
	d.followed(t)
	g := d.scene(t)
	h := g.start()
	b := h.whole(h.claim(10))
	b.Job = h.Job
	d.Exec(t, "INSERT INTO fact_validity_overrides (fact_id, updated_at) VALUES ('a', 'then')")
	d.Exec(t, trigger.Make)
	s := g.other() // which knows of the trigger
	before := undoable(t, d)
	_, err := s.Apply(t.Context(), b)
	if !trigger.Harmless {
		if trigger.Rule && err == nil || !trigger.Rule && !store.Is(err, store.Irreversible) {
			t.Errorf("wrote the batch: %v", err)
		}
		if diff := cmp.Diff(before, undoable(t, d)); diff != "" {
			t.Errorf("after a refusal (-before +now):\n%s", diff)
		}
		if trigger.Rule {
			return
		}
		b.Irreversible = true
		_, err = s.Apply(t.Context(), b)
	}
	if trigger.Harmless == (len(s.Notes()) > 0) || err != nil {
		t.Errorf("notes %q, %v", s.Notes(), err)
	}
	d.expect(t, "SELECT fact_id FROM fact_validity_overrides WHERE updated_at = 'then'", "a")
	if applied := d.Rows(t, "SELECT fact_id FROM fact_validity_overrides WHERE valid_until IS NOT NULL"); int64(len(applied)) != g.find(h.Job.ID).Counts.Decayed {
		t.Errorf("counted %d, and wrote %q", g.find(h.Job.ID).Counts.Decayed, applied)
	}
}

// undoable reads the rows that a sweep writes and an undo restores.
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
