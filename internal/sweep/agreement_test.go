package sweep_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/plan"
	"decayctl/internal/rule"
	"decayctl/internal/store"
	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/postgres"
	"decayctl/internal/store/sample"
	"decayctl/internal/store/sample/samplepg"
	"decayctl/internal/store/sqlite"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

// TestSweepDoesWhatDryRunCounts draws facts and rules, and sweeps them on both databases: what the dry run
// counts is what the sweep does, what is explained of a fact is what becomes of it, a second sweep does
// nothing, and the databases agree on all of it.
func TestSweepDoesWhatDryRunCounts(t *testing.T) {
	t.Parallel()
	db := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{})
	pg := storetest.Reuse(func() storetest.Database { return openPostgres(t, db) })
	rapid.Check(t, func(rt *rapid.T) {
		var facts []fact.Candidate
		for i := range rapid.IntRange(1, 10).Draw(rt, "facts") {
			c := storetest.Draw(rt, fmt.Sprint(i))
			c.Entity = fmt.Sprint("e", i%3)
			c.LegalHold, c.QuarantinePending = rapid.Bool().Draw(rt, "hold"), rapid.Bool().Draw(rt, "pending")
			facts = append(facts, c)
		}
		rules := storetest.DrawPolicies(rt)
		w := sweep.Work{BatchSize: rapid.IntRange(1, 12).Draw(rt, "batch"), Workers: rapid.IntRange(1, 3).Draw(rt, "workers")}
		p := sweep.Params{Rules: rules, AsOf: storetest.AsOf}

		var outcomes [2]outcome
		t.Run("", func(t *testing.T) { // for the cleanups
			lite := openLite(t)
			lite.Insert(t, facts...)
			outcomes[0] = sweepTwice(t, lite, p, w)
		})
		t.Run("", func(t *testing.T) {
			pg := pg(t)
			pg.Insert(t, facts...)
			outcomes[1] = sweepTwice(t, pg, p, w)
		})
		if diff := cmp.Diff(outcomes[0], outcomes[1], notCompared); diff != "" {
			rt.Fatalf("(-sqlite +postgres):\n%s", diff)
		}
		if t.Failed() {
			rt.FailNow()
		}
	})
}

// notCompared: the order of ids differs by collation, and with it what a batch holds.
var notCompared = cmpopts.IgnoreFields(job.Counts{}, "LongestLock", "Batches")

type outcome struct {
	Counts job.Counts
	Rows   [][]string
	Digest string // of the plan
}

// sweepTwice runs a dry run and two sweeps, and takes the first one back in the end. It holds them
// together: what was forecast is done, nothing is done twice, and everything can be undone. The first sweep applies the dry
// run as a plan.
func sweepTwice(t *testing.T, d storetest.Database, p sweep.Params, w sweep.Work) outcome {
	t.Helper()
	ctx := context.Background()
	open := func(readOnly bool) *sweep.Engine {
		t.Helper()
		s, err := d.Open(store.OpenParams{ReadOnly: readOnly, LockTimeout: time.Minute, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return storetest.Engine(s)
	}
	start := store.StartParams{Rules: p.Rules, AsOf: p.AsOf}
	before := d.Touched(t)
	sum := plan.NewSum(p.Rules, p.AsOf)
	forecast, err := open(true).Preview(ctx, p, sum)
	if err != nil {
		t.Fatal(err)
	}
	if sum.Facts != forecast.Due() || sum.Reduced != forecast.Reduced {
		t.Errorf("the plan changes %d facts and reduces %d, the dry run %d and %d", sum.Facts, sum.Reduced, forecast.Due(), forecast.Reduced)
	}
	if diff := cmp.Diff(before, d.Touched(t)); diff != "" {
		t.Errorf("the dry run wrote:\n%s", diff)
	}
	explained := explainAll(t, open(true), d, p)
	engine := open(false)
	planned := start
	planned.Plan, planned.Check = sum.Digest(), plan.Check{Sum: sum}.String()
	first, err := storetest.Sweep(ctx, engine, planned, w)
	if err != nil {
		t.Fatal(err)
	}
	rows := d.Touched(t)
	forecast.Decayed = forecast.Due()
	if diff := cmp.Diff(forecast.Counts, first.Counts, notCompared); diff != "" {
		t.Errorf("(-dry run +sweep):\n%s", diff)
	}
	checkExplained(t, d, explained, p.AsOf)
	second, err := storetest.Sweep(ctx, engine, start, w)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rows, d.Touched(t)); diff != "" || second.Counts.Due() != 0 {
		t.Errorf("the second sweep had %d to expire, and changed:\n%s", second.Counts.Due(), diff)
	}
	if diff := cmp.Diff(first.Counts.Kept, second.Counts.Kept); diff != "" {
		t.Errorf("the second sweep kept others:\n%s", diff)
	}
	joined, err := engine.Store.Join(ctx, store.JoinParams{ID: first.ID, Undo: true, Worker: storetest.Worker("a test", 2)})
	if err != nil {
		t.Fatal(err)
	}
	undone, err := engine.Undo(ctx, joined, sweep.Work{BatchSize: w.BatchSize, Pace: 1})
	if err != nil || undone.Counts.Restored != first.Counts.Decayed || undone.Counts.LeftAlone != 0 {
		t.Errorf("undone: %+v, %v", undone.Counts, err)
	}
	if diff := cmp.Diff(before[:cards], d.Touched(t)[:cards]); diff != "" {
		t.Errorf("the undo did not give back (-before +after):\n%s", diff)
	}
	return outcome{first.Counts, rows, sum.Digest()}
}

// explainAll asks of every fact what would become of it.
func explainAll(t *testing.T, e *sweep.Engine, d storetest.Database, p sweep.Params) (all []sweep.Explained) {
	t.Helper()
	for _, id := range d.Rows(t, "SELECT id FROM facts") {
		x, err := e.Explain(context.Background(), p, id)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, x)
	}
	return all
}

// checkExplained holds what was explained against what a sweep has made of each fact.
func checkExplained(t *testing.T, d storetest.Database, explained []sweep.Explained, asOf time.Time) {
	t.Helper()
	for _, x := range explained {
		rows := d.Rows(t, "SELECT valid_until, confidence, reason FROM fact_validity_overrides WHERE fact_id = $1", x.Fact.ID)
		var want []string
		if o := x.Fact.Override; o != nil || x.Verdict.Acts() {
			after := fact.Override{}
			if o != nil {
				after = *o
			}
			if x.Verdict.Expires() {
				after.ValidUntil = ptr(fact.FormatInstant(asOf))
			}
			if x.Verdict.Confidence != nil {
				after.Confidence = x.Verdict.Confidence
			}
			if x.Verdict.Acts() {
				after.Reason = ptr(store.Reason)
			}
			if x.Verdict.Policy != "" {
				after.Reason = ptr(store.PolicyReason + x.Verdict.Policy)
			}
			confidence := "-"
			if after.Confidence != nil {
				confidence = strconv.FormatFloat(*after.Confidence, 'g', -1, 64)
			}
			want = []string{orDash(after.ValidUntil) + " | " + confidence + " | " + orDash(after.Reason)}
		}
		if diff := cmp.Diff(want, rows); diff != "" {
			t.Errorf("%s was explained as %+v (-explained +swept):\n%s", x.Fact.ID, x.Verdict, diff)
		}
	}
}

func orDash(text *string) string {
	if text == nil {
		return "-"
	}
	return *text
}

// cards is the place of the memory cards among what Touched reads: an undo leaves them stale.
const cards = storetest.TouchedCards

func openLite(t testing.TB) storetest.Database {
	t.Helper()
	d, path := storetest.NewSQLite(t, nil)
	d.Open = func(p store.OpenParams) (store.Store, error) { return sqlite.Open(context.Background(), path, p) }
	return d
}

func openPostgres(t testing.TB, db *pgtest.Database) storetest.Database {
	t.Helper()
	return storetest.Database{SQL: storetest.OpenPostgres(t, db.URL, db.Schema), Open: func(p store.OpenParams) (store.Store, error) {
		return postgres.Open(context.Background(), db.URL, db.Schema, p)
	}}
}

// TestDatabasesAgreeOnSample sweeps the same rows on both databases: the same verdicts, the same counts,
// the same rows afterwards.
func TestDatabasesAgreeOnSample(t *testing.T) {
	t.Parallel()
	options := sample.Options{Facts: 3000, AsOf: asOf, Seed: 7}
	onSQLite, lite := openNew(t, func(path string) error { return sample.FillSQLite(context.Background(), path, options) })

	db := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{ICULocale: "en-US", Schema: "memory"})
	if err := samplepg.Fill(context.Background(), db.Conn(t), options); err != nil {
		t.Fatal(err)
	}
	pg := storetest.Database{SQL: storetest.OpenPostgres(t, db.URL, db.Schema)}
	onPostgres, err := postgres.Open(context.Background(), db.URL, db.Schema, store.OpenParams{LockTimeout: time.Minute, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = onPostgres.Close() })

	ctx := context.Background()
	dry := sweep.Params{Rules: rule.Set{TTL: ptr(rule.TTL(300 * 86400))}, AsOf: asOf}
	lites, pgs := plan.NewSum(dry.Rules, asOf), plan.NewSum(dry.Rules, asOf)
	one, err := storetest.Engine(onSQLite).Preview(ctx, dry, lites)
	if err != nil {
		t.Fatal(err)
	}
	two, err := storetest.Engine(onPostgres).Preview(ctx, dry, pgs)
	if err != nil {
		t.Fatal(err)
	}
	if lites.Digest() != pgs.Digest() || lites.Facts != one.Due() {
		t.Errorf("the plan of %d facts has the digest %s on SQLite and %s on PostgreSQL", lites.Facts, lites.Digest(), pgs.Digest())
	}
	if diff := cmp.Diff(one, two, cmpopts.IgnoreFields(sweep.Result{}, "Total", "Samples"), cmpopts.IgnoreUnexported(sweep.Result{})); diff != "" || one.Selected == 0 {
		t.Fatalf("selected %d (-sqlite +postgres):\n%s", one.Selected, diff)
	}
	for _, p := range []store.StartParams{
		{Rules: rule.Set{Floor: ptr(rule.Floor(0.35))}, Scope: "team", Tenant: "default"},
		{Rules: rule.Set{TTL: ptr(rule.TTL(300 * 86400)), Floor: ptr(rule.Floor(0.3))}},
		{Rules: rule.Set{TTL: ptr(rule.TTL(90 * 86400)), Floor: ptr(rule.Floor(0.7))}},
		{Rules: rule.Set{TTL: ptr(rule.TTL(0)), Floor: ptr(rule.Floor(1))}},
	} {
		p.AsOf = asOf
		one, err := storetest.Sweep(ctx, storetest.Engine(onSQLite), p, sweep.Work{BatchSize: 111})
		if err != nil {
			t.Fatal(err)
		}
		two, err := storetest.Sweep(ctx, storetest.Engine(onPostgres), p, sweep.Work{BatchSize: 111, Workers: 2})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(outcome{Counts: one.Counts, Rows: lite.Touched(t)}, outcome{Counts: two.Counts, Rows: pg.Touched(t)}, notCompared); diff != "" || one.Counts.Selected == 0 {
			t.Fatalf("%s selected %d (-sqlite +postgres):\n%s", p.Rules, one.Counts.Selected, diff)
		}
	}
}
