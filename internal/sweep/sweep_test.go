package sweep_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/store"
	"decayctl/internal/store/sqlite"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

var asOf = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func ptr[T any](value T) *T { return &value }

// weak is a sweep by a floor of 0.5.
func weak() store.StartParams {
	return store.StartParams{Rules: rule.Set{Floor: ptr(rule.Floor(0.5))}, AsOf: asOf}
}

var tens = sweep.Work{BatchSize: 10}

// run sweeps, and gives what the job counted.
func run(ctx context.Context, e *sweep.Engine, p store.StartParams, w sweep.Work) (job.Counts, error) {
	j, err := storetest.Sweep(ctx, e, p, w)
	return j.Counts, err
}

// newStore is a SQLite store with n facts that a floor of 0.5 selects, which fails as told.
func newStore(t testing.TB, n int) (*failing, storetest.Database) {
	t.Helper()
	s, d := openNew(t, nil)
	for i := range n {
		d.Insert(t, storetest.Fact(fmt.Sprintf("%03d", i)))
	}
	return &failing{Store: s}, d
}

// openNew makes a SQLite store, has it filled and opens it.
func openNew(t testing.TB, fill func(path string) error) (store.Store, storetest.Database) {
	t.Helper()
	d, path := storetest.NewSQLite(t, fill)
	s, err := sqlite.Open(context.Background(), path, store.OpenParams{LockTimeout: time.Minute, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, d
}

// failing is a real store with faults between it and the engine.
type failing struct {
	store.Store
	apply  func(batch store.Batch) error // before the batch is written
	read   func() error                  // before a range is claimed
	tuning *store.Tuning
	sizes  []int // of the batches asked for
}

func (f *failing) Apply(ctx context.Context, b store.Batch) (store.Applied, error) {
	f.sizes = append(f.sizes, len(b.Expiries))
	if f.apply != nil {
		if err := f.apply(b); err != nil {
			return store.Applied{}, err
		}
	}
	return f.Store.Apply(ctx, b)
}

func (f *failing) Claim(ctx context.Context, l store.Lease, size int) (store.Claim, error) {
	if f.read != nil {
		if err := f.read(); err != nil {
			return store.Claim{}, err
		}
	}
	return f.Store.Claim(ctx, l, size)
}

func (f *failing) Tuning() store.Tuning {
	if f.tuning != nil {
		return *f.tuning
	}
	return f.Store.Tuning()
}

// TestFailureKeepsTheCounts: an error that nothing helps against ends the sweep at once, and the
// result is what was committed before.
func TestFailureKeepsTheCounts(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]error{
		"busy":    &store.Error{Kind: store.Busy, Text: "locked"},
		"unknown": errors.New("the disk is full"),
	} {
		s, d := newStore(t, 30)
		s.apply = func(store.Batch) error {
			if len(s.sizes) == 3 {
				return broken
			}
			return nil
		}
		result, err := run(context.Background(), storetest.Engine(s), weak(), tens)
		if !errors.Is(err, broken) || result.Decayed != 20 || result.Selected != 20 || len(s.sizes) != 3 {
			t.Errorf("%s: %+v in batches %v, %v", name, result, s.sizes, err)
		}
		if rows := d.Rows(t, "SELECT count(*) FROM fact_validity_overrides"); rows[0] != "20" {
			t.Errorf("%s: %s overrides", name, rows[0])
		}
	}
}

// TestInterruptedSweepGoesOn: in the pause after the first claim, or after the first batch.
func TestInterruptedSweepGoesOn(t *testing.T) {
	t.Parallel()
	for _, batches := range []int{0, 1} {
		s, d := newStore(t, 30)
		ctx, interrupt := context.WithCancel(context.Background())
		engine := storetest.Engine(s)
		engine.Sleep = func(ctx context.Context, _ time.Duration) error {
			if len(s.sizes) == batches {
				interrupt()
			}
			return ctx.Err()
		}
		result, err := run(ctx, engine, weak(), sweep.Work{BatchSize: 10, Pace: 0.5})
		done := int64(10 * batches)
		if !errors.Is(err, context.Canceled) || result.Decayed != done {
			t.Fatalf("%+v, %v", result, err)
		}
		if rows := d.Rows(t, "SELECT count(*) FROM fact_validity_overrides"); rows[0] != strconv.FormatInt(done, 10) {
			t.Errorf("%s overrides", rows[0])
		}
		// Running again goes on from there.
		if result, err := run(context.Background(), storetest.Engine(s), weak(), tens); err != nil || result.Decayed != 30-done {
			t.Errorf("%+v, %v", result, err)
		}
	}
}

// cutOff is a store whose pass in one go ends before it is through.
type cutOff struct {
	store.Store
	err error
}

func (c *cutOff) ScanAll(ctx context.Context, p store.CandidatesParams, use func([]fact.Candidate, int) error) (store.Range, bool, error) {
	all, err := c.NextRange(ctx, store.RangeParams{Size: 10})
	if err != nil {
		return store.Range{}, true, err
	}
	p.Range = all
	found, err := storetest.Candidates(ctx, c, p)
	if err != nil {
		return store.Range{}, true, err
	}
	return store.Range{}, true, errors.Join(use(found, all.Facts), c.err)
}

// TestScanCutOffGoesOnInRanges: what cannot be read in one go is read range by range, and nothing of the first try counts. A
// hot standby ends a long read that is in the way of what it has to apply.
func TestScanCutOffGoesOnInRanges(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"contention":   contention,
		"busy":         &store.Error{Kind: store.Busy, Text: "canceling statement due to statement timeout"},
		"disconnected": &store.Error{Kind: store.Disconnected, Text: "gone"},
		"unknown":      errors.New("temporary file size exceeds temp_file_limit"),
	} {
		s, _ := newStore(t, 30)
		result, err := storetest.Engine(&cutOff{s, err}).Preview(context.Background(), sweep.Params{Rules: weak().Rules, AsOf: asOf, Samples: 3})
		if err != nil || result.Examined != 30 || result.Selected != 30 || len(result.Samples) != 3 {
			t.Errorf("%s: %+v, %v", name, result, err)
		}
	}
}

// interrupted is a store on which the operator's patience ends with the first look.
type interrupted struct {
	store.Store
	interrupt context.CancelFunc
}

func (i interrupted) ScanAll(ctx context.Context, p store.CandidatesParams, use func([]fact.Candidate, int) error) (store.Range, bool, error) {
	i.interrupt()
	return i.Store.ScanAll(ctx, p, use)
}

// TestInterruptedPreviewFails: what was cut short is never given as whole.
func TestInterruptedPreviewFails(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, 30)
	ctx, interrupt := context.WithCancel(context.Background())
	_, err := storetest.Engine(interrupted{s, interrupt}).Preview(ctx, sweep.Params{Rules: weak().Rules, AsOf: asOf})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func limit(text string) *rule.Limit {
	l, err := rule.ParseLimit(text)
	if err != nil {
		panic(err)
	}
	return l
}

func TestMaxExpireRefusesBeforeWriting(t *testing.T) {
	t.Parallel()
	for text, refused := range map[string]bool{"10": false, "9": true, "50%": false, "49%": true, "0": true} {
		s, d := newStore(t, 10)
		for i := range 10 {
			d.Insert(t, storetest.Fact(fmt.Sprintf("live %d", i), func(c *fact.Candidate) { c.Confidence = 1 }))
			d.Insert(t, storetest.Fact(fmt.Sprintf("gone %d", i), func(c *fact.Candidate) { c.ValidUntil = ptr("2026-01-01") }))
		}
		p := weak()
		p.MaxExpire = limit(text)
		result, err := run(context.Background(), storetest.Engine(s), p, tens)
		var guard *sweep.Refused
		if errors.As(err, &guard) != refused || !refused && (err != nil || result.Decayed != 10) || refused && len(s.sizes) > 0 {
			t.Errorf("%s: refused %v, want %v; batches %v", text, err, refused, s.sizes)
		}
	}
}

func TestExpiresNearlyAllNamesTheRule(t *testing.T) {
	t.Parallel()
	zero, second, day, most, all := rule.TTL(0), rule.TTL(1), rule.TTL(86400), rule.Floor(0.99), rule.Floor(1)
	policies := func(change func(*rule.Policy)) rule.Set {
		p := rule.Policy{ID: "p", Relation: "*", Mode: rule.ModeExpire, TTL: &second}
		change(&p)
		return rule.Set{Policies: []rule.Policy{{ID: "other", Relation: "a", Mode: rule.ModeExpire, TTL: &second}, p}, Floor: &most}
	}
	fading := func(p *rule.Policy) { p.Mode, p.TTL, p.HalfLife = rule.ModeConfidence, nil, 1 }
	only := func(s rule.Set, id string) rule.Set {
		s.Only, s.Floor = id, nil
		return s
	}
	same := func(*rule.Policy) {}
	for _, test := range []struct {
		rules rule.Set
		scope string
		want  bool
	}{
		{rule.Set{TTL: &zero}, "", true}, {rule.Set{TTL: &zero}, "local", false}, {rule.Set{TTL: &day}, "", false},
		{rule.Set{Floor: &all}, "", true}, {rule.Set{Floor: &all}, "team", false}, {rule.Set{TTL: &day, Floor: &most}, "", false},

		{policies(same), "", true}, {policies(same), "local", false},
		{only(policies(same), "p"), "", true}, {only(policies(same), "other"), "", false},
		{policies(func(p *rule.Policy) { p.Mode, p.Entity, p.Source, p.Tenant = rule.ModeRetract, "**", "*", "acme" }), "", true},
		{policies(func(p *rule.Policy) { p.Mode = rule.ModeDryRun }), "", false},
		{policies(func(p *rule.Policy) { p.TTL = &day }), "", false},
		{policies(func(p *rule.Policy) { p.Relation = "a*" }), "", false},
		{policies(func(p *rule.Policy) { p.Entity = "a*" }), "", false},
		{policies(func(p *rule.Policy) { p.Source = "a" }), "", false},
		{policies(func(p *rule.Policy) { p.Scope = "team" }), "", false},
		{policies(func(p *rule.Policy) { p.KeepLast = 1 }), "", false},
		{policies(fading), "", true}, {only(policies(fading), "p"), "", false},
		{policies(func(p *rule.Policy) { fading(p); p.HalfLife = day }), "", false},
		{policies(func(p *rule.Policy) { fading(p); p.MinConfidence = 0.99 }), "", false},
	} {
		for tenant, whose := range map[string]string{"": " of all tenants", "acme": ` of tenant "acme"`} {
			if test.rules.Policies != nil && test.rules.Policies[1].Tenant != "" { // which is of one tenant alone
				whose = ` of tenant "acme"`
			}
			if got := sweep.ExpiresNearlyAll(test.rules, test.scope, tenant); (got != "") != test.want || test.want && !strings.HasSuffix(got, whose) {
				t.Errorf("%s in %q of %q: %q", test.rules, test.scope, tenant, got)
			}
		}
	}
}
