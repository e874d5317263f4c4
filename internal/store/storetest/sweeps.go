package storetest

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/store"
	"decayctl/internal/sweep"
)

// Engine is a sweep engine as the command line builds it, but silent, and without its pauses.
func Engine(s store.Store) *sweep.Engine {
	return &sweep.Engine{
		Store: s, Progress: func(sweep.Progress) {}, Halt: func() error { return nil }, Note: func(string) {},
		Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	}
}

// Sweep runs a job from its start to its end, or as far as it gets. What p leaves out is filled in.
func Sweep(ctx context.Context, e *sweep.Engine, p store.StartParams, w sweep.Work) (job.Job, error) {
	if err := e.Store.Prepare(ctx); err != nil {
		return job.Job{}, err
	}
	if p.ID == "" {
		p.ID = uuid.NewString()
	}
	if p.Worker.Gone == nil {
		p.Worker = Worker("a test", 1)
	}
	joined, err := e.Store.Start(ctx, p)
	if err != nil {
		return job.Job{}, err
	}
	w.Workers = max(w.Workers, 1)
	if w.Pace == 0 {
		w.Pace = 1
	}
	return e.Sweep(ctx, joined, w)
}

// Worker is a process that works on jobs, with a lease that outlasts the test. Nobody is known to be gone.
func Worker(host string, pid int) store.WorkerParams {
	return store.WorkerParams{
		Owner: job.Owner{Host: host, PID: pid, Start: "once"}, Lease: time.Hour,
		Gone: func(job.Owner) bool { return false },
	}
}

//go:embed testdata/decay_vectors.json
var vectorsJSON []byte

// Vector is a small store, a sweep, and the store afterwards, as the node's own code made it.
type Vector struct {
	Name     string    `json:"name"`
	HasRule  bool      `json:"has_rule"`
	Now      time.Time `json:"now"`
	Settings struct {
		TTL   int64   `json:"decay_ttl_seconds"`
		Floor float64 `json:"decay_min_confidence"`
	} `json:"settings"`
	Params struct {
		TTL    *int64   `json:"ttl_seconds"`
		Floor  *float64 `json:"min_confidence"`
		Scope  *string  `json:"scope"`
		DryRun bool     `json:"dry_run"`
	} `json:"params"`
	Store  map[string][]map[string]any `json:"store"`
	Expect struct {
		Result struct {
			Scanned int64 `json:"scanned"`
			Decayed int64 `json:"decayed"`
		} `json:"result"`
		Overrides   []map[string]any `json:"fact_validity_overrides"`
		Retractions []map[string]any `json:"fact_retractions"`
		Edges       []map[string]any `json:"entity_edges"`
	} `json:"expect"`
}

// Vectors are all of them.
func Vectors(t testing.TB) []Vector {
	t.Helper()
	var vectors []Vector
	decoder := json.NewDecoder(bytes.NewReader(vectorsJSON))
	decoder.UseNumber()
	if err := decoder.Decode(&vectors); err != nil {
		t.Fatal(err)
	}
	return vectors
}

// Load puts the vector's rows into an empty store.
func (v Vector) Load(t testing.TB, d Database) {
	t.Helper()
	for _, table := range []string{"facts", "fact_validity_overrides", "entity_edges"} {
		for _, row := range v.Store[table] {
			var columns, places []string
			var values []any
			for column, value := range row {
				values = append(values, plain(t, value))
				columns, places = append(columns, column), append(places, fmt.Sprintf("$%d", len(values)))
			}
			d.Exec(t, "INSERT INTO "+table+" ("+strings.Join(columns, ", ")+") VALUES ("+strings.Join(places, ", ")+")", values...)
		}
	}
}

// Check compares the store with what the vector expects. updated_at is null where the sweep's own
// clock wrote it.
func (v Vector) Check(t testing.TB, d Database) {
	t.Helper()
	for _, table := range []struct {
		query   string
		columns []string
		want    []map[string]any
	}{
		{overrideRows, []string{"fact_id", "valid_until", "confidence", "reason", "updated_at", "updated_by"}, v.Expect.Overrides},
		{retractionRows, []string{"fact_id", "retracted_at", "retracted_by"}, v.Expect.Retractions},
		{edgeRows, []string{"id", "valid_until", "decay_epoch"}, v.Expect.Edges},
	} {
		got := d.Rows(t, table.query)
		var want []string
		for i, row := range table.want {
			fields := make([]string, len(table.columns))
			for j, column := range table.columns {
				switch value := plain(t, row[column]).(type) {
				case nil:
					fields[j] = "-"
					if column == "updated_at" && i < len(got) {
						fields[j] = strings.Split(got[i], " | ")[j]
					}
				case float64:
					fields[j] = strconv.FormatFloat(value, 'g', -1, 64)
				default:
					fields[j] = fmt.Sprint(value)
				}
			}
			want = append(want, strings.Join(fields, " | "))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", table.query, diff)
		}
	}
}

// plain gives a JSON value the type its column has.
func plain(t testing.TB, value any) any {
	t.Helper()
	number, ok := value.(json.Number)
	if !ok {
		return value
	}
	if whole, err := number.Int64(); err == nil {
		return whole
	}
	real, err := number.Float64()
	if err != nil {
		t.Fatal(err)
	}
	return real
}

// rules are what the vector's parameters make of its settings.
func (v Vector) rules() rule.Set {
	var rules rule.Set
	switch {
	case v.Params.TTL != nil:
		rules.TTL = ptr(rule.TTL(*v.Params.TTL))
	case v.Settings.TTL > 0:
		rules.TTL = ptr(rule.TTL(v.Settings.TTL))
	}
	floor := v.Settings.Floor
	if v.Params.Floor != nil {
		floor = *v.Params.Floor
	}
	if floor > 0 {
		rules.Floor = ptr(rule.Floor(floor))
	}
	return rules
}

func (v Vector) test(t *testing.T, d Database) {
	v.Load(t, d)
	if v.HasRule == v.rules().Empty() {
		t.Fatalf("has a rule: %v, got %q", v.HasRule, v.rules())
	}
	if v.HasRule {
		scope := ""
		if v.Params.Scope != nil {
			scope = *v.Params.Scope
		}
		var counts job.Counts
		if engine := Engine(d.open(t, v.Params.DryRun)); v.Params.DryRun {
			result, err := engine.Preview(context.Background(), sweep.Params{Rules: v.rules(), AsOf: v.Now, Scope: scope})
			if err != nil {
				t.Fatal(err)
			}
			counts = result.Counts
		} else {
			j, err := Sweep(context.Background(), engine, store.StartParams{Rules: v.rules(), AsOf: v.Now, Scope: scope}, sweep.Work{BatchSize: 7})
			if err != nil {
				t.Fatal(err)
			}
			counts = j.Counts
		}
		if counts.Selected != v.Expect.Result.Scanned || counts.Decayed != v.Expect.Result.Decayed {
			t.Errorf("scanned %d, decayed %d; want %+v", counts.Selected, counts.Decayed, v.Expect.Result)
		}
	}
	v.Check(t, d)
}

// testRejected has the database refuse one fact of many: it is reported, and the rest is written.
func testRejected(t *testing.T, d Database) {
	for i := range 30 {
		d.Insert(t, Fact(fmt.Sprintf("%02d", i)))
	}
	d.Exec(t, `INSERT INTO fact_retractions (id, fact_id, retracted_at, retracted_by) VALUES ('taken', '00', '2026', 'x')`)
	s := d.open(t, false)
	engine := Engine(s)
	refusing := refuseOne{Store: s, fact: "17"}
	engine.Store = refusing
	j, err := Sweep(context.Background(), engine, store.StartParams{Rules: rule.Set{Floor: ptr(rule.Floor(0.5))}, AsOf: AsOf}, sweep.Work{})
	result := j.Counts
	if err != nil || j.State != job.Failed || result.Selected != 30 || result.Decayed != 29 || result.FailedCount != 1 || result.Failed[0].FactID != "17" {
		t.Fatalf("%+v, %v", result, err)
	}
	d.expect(t, "SELECT count(*) FROM fact_validity_overrides", "29")
	d.expect(t, "SELECT count(*) FROM fact_validity_overrides WHERE fact_id = '17'", "0")
}

// refuseOne gives one fact a retraction id that is taken, whatever batch it comes in, so that the
// database itself refuses the row.
type refuseOne struct {
	store.Store
	fact string
}

func (r refuseOne) Apply(ctx context.Context, b store.Batch) (store.Applied, error) {
	for i := range b.Expiries {
		if b.Expiries[i].Fact.ID == r.fact {
			b.Expiries[i].Retraction = "taken"
		}
	}
	return r.Store.Apply(ctx, b)
}

func testTwiceIsOnce(t *testing.T, d Database) {
	for i := range 200 {
		d.Insert(t, Fact(fmt.Sprintf("%03d", i), func(c *fact.Candidate) {
			c.Timestamp, c.Confidence = stamps[i%len(stamps)], confidences[i%len(confidences)]
			c.LegalHold, c.QuarantinePending = i%17 == 0, i%19 == 0
			c.Entity = fmt.Sprintf("e%d", i)
			if i%5 == 0 {
				c.ValidUntil = ptr(stamps[(i/5)%len(stamps)])
			}
			if i%7 == 0 {
				c.Override = &fact.Override{Confidence: ptr(confidences[i%3]), UpdatedAt: "x"}
			}
		}))
	}
	p := store.StartParams{Rules: rule.Set{TTL: ptr(rule.TTL(86400)), Floor: ptr(rule.Floor(0.5))}, AsOf: AsOf}
	forecast, err := Engine(d.open(t, true)).Preview(context.Background(), sweep.Params{Rules: p.Rules, AsOf: AsOf})
	if err != nil {
		t.Fatal(err)
	}
	s := d.open(t, false)
	first, err := Sweep(context.Background(), Engine(s), p, sweep.Work{BatchSize: 9})
	if err != nil {
		t.Fatal(err)
	}
	if first.Counts.Decayed == 0 || first.Counts.Decayed != forecast.Selected || first.Counts.Examined != 200 {
		t.Errorf("decayed %d of %d examined, the dry run said %d", first.Counts.Decayed, first.Counts.Examined, forecast.Selected)
	}
	for name, pair := range map[string][2]any{
		"by rule": {forecast.ByRule, first.Counts.ByRule}, "kept": {forecast.Kept, first.Counts.Kept}, "tenants": {forecast.Tenants, first.Counts.Tenants},
	} {
		if diff := cmp.Diff(pair[0], pair[1]); diff != "" {
			t.Errorf("%s (-dry run +sweep):\n%s", name, diff)
		}
	}
	after := [3][]string{d.Rows(t, overrideRows), d.Rows(t, retractionRows), d.Rows(t, edgeRows)}
	second, err := Sweep(context.Background(), Engine(s), p, sweep.Work{BatchSize: 9})
	if err != nil || second.Counts.Selected != 0 {
		t.Errorf("the second sweep selected %d, %v", second.Counts.Selected, err)
	}
	if diff := cmp.Diff(after, [3][]string{d.Rows(t, overrideRows), d.Rows(t, retractionRows), d.Rows(t, edgeRows)}); diff != "" {
		t.Errorf("the second sweep changed (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(first.Counts.Kept, second.Counts.Kept); diff != "" {
		t.Errorf("the second sweep kept others (-first +second):\n%s", diff)
	}
}
