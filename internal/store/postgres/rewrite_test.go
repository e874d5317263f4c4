package postgres_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/store"
	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/postgres"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

// rewritten are tables with a column that a rewrite gives another type, or the same once more.
var rewritten = [][2]string{
	{"facts", "source"}, {"fact_validity_overrides", "reason"}, {"fact_quarantine_status", "updated_at"},
	{"tombstones", "signature"}, {"tombstone_revocations", "signature"}, {"fact_retractions", "retracted_by"},
	{"entity_edges", "subject"}, {"memory_cards", "scope"}, {"jobs", "error"},
}

// rewrites are the ways in which a table comes to have other rows, which a snapshot from before does not see.
var rewrites = map[string]func() []string{
	"ALTER TABLE": func() (all []string) {
		for _, each := range rewritten {
			all = append(all, fmt.Sprintf("ALTER TABLE %[1]s ALTER %[2]s TYPE text USING %[2]s || ''", each[0], each[1]))
		}
		return all
	},
	"TRUNCATE and INSERT": func() (all []string) {
		var tables, filled []string
		for _, each := range rewritten {
			all = append(all, fmt.Sprintf("CREATE TEMP TABLE kept_%[1]s ON COMMIT DROP AS SELECT * FROM %[1]s", each[0]))
			tables, filled = append(tables, each[0]), append(filled, fmt.Sprintf("INSERT INTO %[1]s SELECT * FROM kept_%[1]s", each[0]))
		}
		return append(append(all, "TRUNCATE "+strings.Join(tables, ", ")+" CASCADE"), filled...)
	},
	"another table": func() []string {
		return []string{
			"LOCK TABLE facts, tombstones", "ALTER TABLE facts RENAME TO old_facts", "ALTER TABLE tombstones RENAME TO old_tombstones",
			"CREATE TABLE facts (LIKE old_facts INCLUDING ALL)", "CREATE TABLE tombstones (LIKE old_tombstones INCLUDING ALL)",
			"INSERT INTO facts SELECT * FROM old_facts", "INSERT INTO tombstones SELECT * FROM old_tombstones",
			"DROP TABLE old_facts CASCADE", "DROP TABLE old_tombstones CASCADE",
		}
	},
}

// rewriting is a store whose tables are being rewritten whenever it is asked for something. The rewrite commits
// once it is waited for.
type rewriting struct {
	store.Store
	t     *testing.T
	d     storetest.Database
	how   func() []string
	mu    sync.Mutex     // one rewrite at a time: a sweep reads ahead of what it writes, and groups while it reads
	waits map[string]int // by what was asked
}

func (r *rewriting) meanwhile(what string) func() {
	r.t.Helper()
	if what != "Groups" {
		r.mu.Lock()
	} else if !r.mu.TryLock() {
		return func() {}
	}
	r.d.Exec(r.t, "ANALYZE facts") // else a guess at their number waits for the rewrite, before they are read
	tx, err := r.d.SQL.BeginTx(context.Background(), nil)
	for _, statement := range r.how() {
		if err == nil {
			_, err = tx.ExecContext(context.Background(), statement)
		}
	}
	if err != nil {
		r.t.Fatal(err)
	}
	ended, committed := make(chan struct{}), make(chan bool)
	go func() {
		for waited := false; !waited; {
			select {
			case <-ended:
				committed <- false
				_ = tx.Rollback()
				return
			case <-time.After(5 * time.Millisecond):
			}
			found, err := r.d.Query(`SELECT 1 FROM pg_stat_activity
				WHERE datname = current_database() AND application_name = 'decayctl' AND wait_event_type = 'Lock'`)
			waited = err != nil || len(found) > 0
		}
		committed <- tx.Commit() == nil
	}()
	return func() {
		defer r.mu.Unlock()
		close(ended)
		if <-committed {
			r.waits[what]++
		}
	}
}

// Tuning has several ranges and batches, between which tables are rewritten too.
func (r *rewriting) Tuning() store.Tuning {
	tuning := r.Store.Tuning()
	tuning.RangeSize, tuning.LargestRange = 20, 20
	return tuning
}

func (r *rewriting) NextRange(ctx context.Context, p store.RangeParams) (store.Range, error) {
	defer r.meanwhile("NextRange")()
	return r.Store.NextRange(ctx, p)
}

func (r *rewriting) Candidates(ctx context.Context, p store.CandidatesParams, use func([]fact.Candidate) error) error {
	defer r.meanwhile("Candidates")()
	return r.Store.Candidates(ctx, p, use)
}

func (r *rewriting) ScanAll(ctx context.Context, p store.CandidatesParams, use func([]fact.Candidate, int) error) (store.Range, bool, error) {
	defer r.meanwhile("ScanAll")()
	return r.Store.ScanAll(ctx, p, use)
}

func (r *rewriting) Groups(ctx context.Context, groups []store.Group, use func(fact.Candidate)) error {
	defer r.meanwhile("Groups")()
	return r.Store.Groups(ctx, groups, use)
}

func (r *rewriting) Claim(ctx context.Context, l store.Lease, size int) (store.Claim, error) {
	defer r.meanwhile("Claim")()
	return r.Store.Claim(ctx, l, size)
}

func (r *rewriting) Apply(ctx context.Context, b store.Batch) (store.Applied, error) {
	defer r.meanwhile("Apply")()
	return r.Store.Apply(ctx, b)
}

func (r *rewriting) Changes(ctx context.Context, p store.ChangesParams) (store.Changes, error) {
	defer r.meanwhile("Changes")()
	return r.Store.Changes(ctx, p)
}

func (r *rewriting) Restore(ctx context.Context, p store.RestoreParams) (store.Restored, error) {
	defer r.meanwhile("Restore")()
	return r.Store.Restore(ctx, p)
}

func (r *rewriting) CountUpTo(ctx context.Context, scope, tenant string, most int64) (int64, error) {
	defer r.meanwhile("CountUpTo")()
	return r.Store.CountUpTo(ctx, scope, tenant, most)
}

func (r *rewriting) Fact(ctx context.Context, id string) (fact.Candidate, error) {
	defer r.meanwhile("Fact")()
	return r.Store.Fact(ctx, id)
}

func (r *rewriting) Diagnose(ctx context.Context) (store.Diagnosis, error) {
	defer r.meanwhile("Diagnose")()
	return r.Store.Diagnose(ctx)
}

// TestTableRewrittenMeanwhile: decayctl waits for a rewrite of a table, and then reads, judges and writes what it would
// have without. This also holds for a role that may read single columns only, and so cannot lock a table.
func TestTableRewrittenMeanwhile(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t)
	for name, how := range rewrites {
		for _, columns := range []bool{false, true} {
			if columns && name == "another table" {
				continue // the grants on columns go with the table
			}
			t.Run(fmt.Sprintf("%s, columns %v", name, columns), func(t *testing.T) {
				t.Parallel()
				db := cluster.NewDatabase(t, pgtest.DatabaseOptions{})
				d := database(t, db, db.URL)
				for i := range 40 {
					d.Insert(t, storetest.Fact(fmt.Sprintf("%02d", i), func(c *fact.Candidate) {
						c.Entity = fmt.Sprint("e", i)
						c.LegalHold, c.QuarantinePending = i%7 == 0, i%11 == 0
						if i%3 == 0 {
							c.Override = &fact.Override{UpdatedAt: "x"}
						}
						if i%5 == 0 {
							c.Relation = "status:mode"
						}
					}))
					d.Edge(t, fmt.Sprintf("%02d", i), nil)
				}
				dsn := db.URL
				if columns {
					role := db.NewRole(t, "USAGE, CREATE ON SCHEMA public", "ALL ON ALL TABLES IN SCHEMA public")
					dsn = role.URL
					d.Exec(t, "REVOKE ALL ON facts, tombstones FROM "+role.Name)
					d.Exec(t, "GRANT SELECT (id, entity, relation, source, tenant_id, scope, timestamp, valid_until, confidence, quarantine_status) ON facts TO "+role.Name)
					d.Exec(t, "GRANT SELECT (id, entity_uri, tenant_id, scope, legal_hold, signed_by) ON tombstones TO "+role.Name)
				}
				s, err := postgres.Open(t.Context(), dsn, "public", store.OpenParams{LockTimeout: time.Minute, Now: time.Now})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = s.Close() })
				if err := s.Prepare(t.Context()); err != nil {
					t.Fatal(err)
				}
				ttl := rule.TTL(86400)
				rules := rule.Set{Floor: &floor, Policies: []rule.Policy{{ID: "newest", Relation: "status:*", Mode: rule.ModeExpire, TTL: &ttl, KeepLast: 2}}}
				want, err := storetest.Engine(s).Preview(t.Context(), sweep.Params{Rules: rules, AsOf: asOf})
				if err != nil || want.Selected == 0 {
					t.Fatalf("selected %d, %v", want.Selected, err)
				}
				before := d.Touched(t)

				r := &rewriting{Store: s, t: t, d: d, how: how, waits: map[string]int{}}
				seen, err := storetest.Engine(r).Preview(t.Context(), sweep.Params{Rules: rules, AsOf: asOf})
				if diff := cmp.Diff(want.Counts, seen.Counts); err != nil || diff != "" {
					t.Errorf("dry run: %v\n%s", err, diff)
				}
				grouped := 0
				if n, err := r.CountUpTo(t.Context(), "", "", 100); err != nil || n != 40 {
					t.Errorf("counted %d, %v", n, err)
				}
				if c, err := r.Fact(t.Context(), "07"); err != nil || !c.LegalHold {
					t.Errorf("%+v, %v", c, err)
				}
				if err := r.Groups(t.Context(), []store.Group{{Entity: "e0", Relation: "status:mode", Scope: "local", Tenant: "default"}}, func(fact.Candidate) { grouped++ }); err != nil || grouped != 1 {
					t.Errorf("%d in the group, %v", grouped, err)
				}
				if _, err := r.Diagnose(t.Context()); err != nil && !columns {
					t.Error(err)
				}
				swept, err := storetest.Sweep(t.Context(), storetest.Engine(r), store.StartParams{Rules: rules, AsOf: asOf}, sweep.Work{BatchSize: 10})
				if err != nil || swept.Counts.Decayed != want.Selected || swept.Counts.Examined != 40 || swept.Counts.Kept[rule.ChangedMeanwhile] != 0 {
					t.Errorf("expired %d of %d, examined %d, changed meanwhile %d, %v", swept.Counts.Decayed, want.Selected, swept.Counts.Examined, swept.Counts.Kept[rule.ChangedMeanwhile], err)
				}
				joined, err := r.Join(t.Context(), store.JoinParams{ID: swept.ID, Undo: true, Worker: storetest.Worker("mars", 1)})
				if err != nil {
					t.Fatal(err)
				}
				undone, err := storetest.Engine(r).Undo(t.Context(), joined, sweep.Work{})
				if err != nil || undone.State != job.Undone || undone.Counts.Restored != want.Selected {
					t.Errorf("%s, restored %d of %d, %v", undone.State, undone.Counts.Restored, want.Selected, err)
				}
				if diff := cmp.Diff(before, d.Touched(t)); diff != "" {
					t.Errorf("not as before:\n%s", diff)
				}
				for _, what := range []string{"ScanAll", "Candidates", "Groups", "Claim", "Apply", "Changes", "Restore", "CountUpTo", "Fact"} {
					if r.waits[what] == 0 {
						t.Errorf("%s has waited for no rewrite", what)
					}
				}
			})
		}
	}
}
