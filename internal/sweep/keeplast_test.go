package sweep_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/rule"
	"decayctl/internal/store"
	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

// onEach runs a test on both databases; PostgreSQL sorts ids as people do.
func onEach(t *testing.T, test func(t *testing.T, d storetest.Database)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, openLite(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, openPostgres(t, pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{ICULocale: "en-US"})))
	})
}

func stamped(id, stamp string) fact.Candidate {
	return storetest.Fact(id, func(c *fact.Candidate) { c.Timestamp = stamp })
}

var keepsTwo = rule.Set{Policies: []rule.Policy{{ID: "p", Relation: "memory:*", Mode: rule.ModeExpire, TTL: ptr(rule.TTL(86400)), KeepLast: 2}}}

// Which facts of one stamp are kept is told by the bytes of their ids, whatever the order in which a database
// reads them.
func TestKeepLastBreaksTiesByBytesOfIDs(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d storetest.Database) {
		for _, id := range []string{"a", "B", "ä", "C", "b"} {
			d.Insert(t, stamped(id, "2026-01-01T00:00:00Z"))
		}
		d.Insert(t, stamped("A", "no date"))
		counts, err := run(context.Background(), engineOf(t, d), store.StartParams{Rules: keepsTwo, AsOf: asOf}, sweep.Work{BatchSize: 1})
		if err != nil {
			t.Fatal(err)
		}
		expired := d.Rows(t, "SELECT fact_id FROM fact_validity_overrides")
		slices.Sort(expired)
		if !slices.Equal(expired, []string{"a", "b", "ä"}) || counts.Kept[rule.KeptAsNewest] != 2 {
			t.Errorf("expired %v, kept %v", expired, counts.Kept)
		}
	})
}

// Groups whose names differ at the end of a long text alone are two groups, each with a newest fact.
func TestKeepLastTellsLongNamesApart(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d storetest.Database) {
		long, facts := strings.Repeat("x", 600), 0
		for _, end := range []string{"a", "b"} {
			for _, change := range []func(*fact.Candidate){
				func(c *fact.Candidate) { c.Entity = long + end },
				func(c *fact.Candidate) { c.Relation = "memory:" + long + end },
				func(c *fact.Candidate) { c.Tenant = long + end },
			} {
				for range 3 {
					facts++
					d.Insert(t, storetest.Fact(strconv.Itoa(facts), change))
				}
			}
		}
		counts, err := run(context.Background(), engineOf(t, d), store.StartParams{Rules: keepsTwo, AsOf: asOf}, sweep.Work{BatchSize: 1})
		if err != nil || counts.Decayed != 6 || counts.Kept[rule.KeptAsNewest] != 12 {
			t.Errorf("%+v, %v", counts, err)
		}
	})
}

// SQLite finds no group of a name that is a blob: its facts are kept.
func TestKeepLastKeepsFactsOfUnfoundGroups(t *testing.T) {
	t.Parallel()
	d := openLite(t)
	d.Exec(t, `INSERT INTO facts (id, entity, relation, value_type, value_v, source, timestamp, confidence, scope)
		VALUES ('a', x'65', 'memory:x', 'string', 'v', 's', '2026-01-01T00:00:00+00:00', 1, 'local')`)
	counts, err := run(context.Background(), engineOf(t, d), store.StartParams{Rules: keepsTwo, AsOf: asOf}, sweep.Work{})
	if err != nil || counts.Kept[rule.KeptAsNewest] != 1 || counts.Decayed != 0 {
		t.Errorf("%+v, %v", counts, err)
	}
}

// A fact that keep_last will keep is told no day to expire on, also while it is too young for the policy.
func TestExplainTellsKeptFactNoExpiry(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, d storetest.Database) {
		young := []string{"2026-11-23T11:00:00Z", "2026-11-23T11:00:01Z", "2026-11-23T11:00:02Z"}
		for i, stamp := range young {
			d.Insert(t, stamped(string(rune('a'+i)), stamp))
		}
		d.Insert(t, storetest.Fact("gone", func(c *fact.Candidate) { c.ValidUntil = ptr("2026-01-02T00:00:00Z") }))
		e := engineOf(t, d)
		for id, newest := range map[string]bool{"a": false, "b": true, "c": true, "gone": false} {
			x, err := e.Explain(context.Background(), sweep.Params{Rules: keepsTwo, AsOf: asOf}, id)
			if err != nil {
				t.Fatal(err)
			}
			if x.Fact.Newest != newest || x.NeedsRank != (id != "gone") || x.Outlook.Expires.IsZero() != (id != "a") || x.Verdict.Action != rule.Ignore {
				t.Errorf("%s: newest %v, ranked %v, %+v, %+v", id, x.Fact.Newest, x.NeedsRank, x.Outlook, x.Verdict)
			}
		}
	})
}

// What a policy in mode dry_run counts does not turn on what the same job has expired before it was resumed.
func TestDryRunPolicyCountsAlikeAfterResume(t *testing.T) {
	t.Parallel()
	rules := rule.Set{Policies: []rule.Policy{
		{ID: "p", Relation: "memory:*", Mode: rule.ModeExpire, TTL: ptr(rule.TTL(86400))},
		{ID: "trial", Relation: "*", Mode: rule.ModeDryRun, TTL: ptr(rule.TTL(86400)), KeepLast: 2},
	}}
	onEach(t, func(t *testing.T, d storetest.Database) {
		ctx := context.Background()
		for id, day := range map[string]string{"a": "04", "b": "03", "c": "02", "d": "01"} {
			d.Insert(t, stamped(id, "2026-01-"+day+"T00:00:00Z"))
		}
		e := engineOf(t, d)
		e.Halt = func() error { return &sweep.Stopped{Why: "after the first batch"} }
		w := sweep.Work{Workers: 1, BatchSize: 1, Pace: 1}
		j, err := storetest.Sweep(ctx, e, store.StartParams{Rules: rules, AsOf: asOf}, w)
		if stopped := (*sweep.Stopped)(nil); !errors.As(err, &stopped) || j.Counts.Decayed != 1 {
			t.Fatalf("%+v, %v", j.Counts, err)
		}
		again := engineOf(t, d)
		joined, err := again.Store.Join(ctx, store.JoinParams{ID: j.ID, Worker: storetest.Worker("a test", 2)})
		if err != nil {
			t.Fatal(err)
		}
		if j, err = again.Sweep(ctx, joined, w); err != nil || j.Counts.Decayed != 4 || j.Counts.Would["trial"].Retract != 2 {
			t.Errorf("%+v, %v", j.Counts, err)
		}
	})
}

func engineOf(t *testing.T, d storetest.Database) *sweep.Engine {
	t.Helper()
	s, err := d.Open(store.OpenParams{LockTimeout: time.Minute, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return storetest.Engine(s)
}

// askedLater is a store that must not be asked for groups while a range is being read.
type askedLater struct {
	store.Store
	reading atomic.Bool
	asked   atomic.Int64
}

func (a *askedLater) Candidates(ctx context.Context, p store.CandidatesParams, use func([]fact.Candidate) error) error {
	a.reading.Store(true)
	defer a.reading.Store(false)
	return a.Store.Candidates(ctx, p, use)
}

func (a *askedLater) Groups(ctx context.Context, groups []store.Group, use func(fact.Candidate)) error {
	a.asked.Add(1)
	if a.reading.Load() {
		return errors.New("a range is being read")
	}
	return a.Store.Groups(ctx, groups, use)
}

// TestGroupsAreReadAfterTheRange: a range that is being read may hold the last connection that a pooler gives.
func TestGroupsAreReadAfterTheRange(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, 10)
	a := &askedLater{Store: s}
	ttl := rule.TTL(1)
	p := store.StartParams{AsOf: asOf, Rules: rule.Set{Policies: []rule.Policy{{ID: "last", Relation: "*", Mode: rule.ModeExpire, TTL: &ttl, KeepLast: 1}}}}
	j, err := storetest.Sweep(context.Background(), storetest.Engine(a), p, sweep.Work{})
	if err != nil || j.Counts.Decayed != 9 || a.asked.Load() == 0 {
		t.Errorf("%+v, asked %d times, %v", j.Counts, a.asked.Load(), err)
	}
}
