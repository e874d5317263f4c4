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

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/store"
	"decayctl/internal/sweep"
)

//go:embed testdata/decay_vectors.json
var vectorsJSON []byte

// Vector is a small store, the parameters of a sweep, and the store after the node's own sweep.
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
		Tenant *string  `json:"tenant"` // nil: all, each by a sweep of its own
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

// Vectors are the reference sweeps that are stored with the tests.
func Vectors(t testing.TB) []Vector {
	t.Helper()
	return ReadVectors(t, vectorsJSON)
}

// ReadVectors reads a JSON array of vectors.
func ReadVectors(t testing.TB, text []byte) []Vector {
	t.Helper()
	var vectors []Vector
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&vectors); err != nil {
		t.Fatal(err)
	}
	return vectors
}

// Command is the vector's sweep as arguments of decayctl and the environment of a node.
func (v Vector) Command() (args, environ []string) {
	args = []string{"sweep", "--yes"}
	if v.Params.DryRun {
		args = []string{"dry-run"}
	}
	args = append(args, "-o", "json", "--as-of", v.Now.Format("2006-01-02T15:04:05.000000Z07:00"))
	if v.Params.TTL != nil {
		args = append(args, "--ttl-seconds", strconv.FormatInt(*v.Params.TTL, 10))
	}
	if v.Params.Floor != nil {
		args = append(args, "--min-confidence", strconv.FormatFloat(*v.Params.Floor, 'f', -1, 64))
	}
	if v.Params.Scope != nil {
		args = append(args, "--scope", *v.Params.Scope)
	}
	if v.Params.Tenant != nil {
		args = append(args, "--tenant", *v.Params.Tenant)
	} else {
		args = append(args, "--all-tenants")
	}
	return args, []string{
		fmt.Sprintf("STIGMEM_DECAY_TTL_SECONDS=%d", v.Settings.TTL),
		fmt.Sprintf("STIGMEM_DECAY_MIN_CONFIDENCE=%g", v.Settings.Floor),
	}
}

// CheckAnswer compares the exit code and the JSON output of the command with what the vector expects.
func (v Vector) CheckAnswer(t testing.TB, exit int, stdout, stderr string) {
	t.Helper()
	if want := map[bool]int{true: 0, false: 2}[v.HasRule]; exit != want {
		t.Fatalf("exit code %d, want %d: %s", exit, want, stderr)
	}
	if !v.HasRule {
		return
	}
	var result struct {
		Scanned, Decayed int64
		DryRun           bool `json:"dry_run"`
	}
	if err := json.Unmarshal([]byte(stdout), &result); err != nil {
		t.Fatalf("%v in %s", err, stdout)
	}
	if want := v.Expect.Result; result.Scanned != want.Scanned || result.Decayed != want.Decayed || result.DryRun != v.Params.DryRun {
		t.Errorf("got %+v, want %+v", result, want)
	}
}

// Load inserts the vector's rows into an empty store.
func (v Vector) Load(t testing.TB, d Database) {
	t.Helper()
	for _, table := range []string{"facts", "fact_validity_overrides", "entity_edges"} {
		for _, row := range v.Store[table] {
			var columns, places []string
			var values []any
			for column, value := range row {
				values = append(values, v.ahead(column, plain(t, value)))
				columns, places = append(columns, column), append(places, fmt.Sprintf("$%d", len(values)))
			}
			d.Exec(t, "INSERT INTO "+table+" ("+strings.Join(columns, ", ")+") VALUES ("+strings.Join(places, ", ")+")", values...)
		}
	}
}

// Check compares the store with what the vector expects. updated_at is null if the sweep's clock decides it.
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
				switch value := v.ahead(column, plain(t, row[column])).(type) {
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

// ahead moves an expiry that is later than the vector's as-of to a time after the test runs. Else the fact would have expired
// by itself when the test sweeps.
func (v Vector) ahead(column string, value any) any {
	text, ok := value.(string)
	if !ok || column != "valid_until" {
		return value
	}
	if end, err := fact.ParseInstant(text); err == nil && end.After(v.Now) {
		return fact.FormatInstant(end.AddDate(1000, 0, 0))
	}
	return value
}

// plain gives a JSON value the type of its column.
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

// rules are the rules of the vector's parameters and settings.
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
		scope, tenant := "", ""
		if v.Params.Scope != nil {
			scope = *v.Params.Scope
		}
		if v.Params.Tenant != nil {
			tenant = *v.Params.Tenant
		}
		var counts job.Counts
		if engine := Engine(d.open(t, v.Params.DryRun)); v.Params.DryRun {
			result, err := engine.Preview(context.Background(), sweep.Params{Rules: v.rules(), AsOf: v.Now, Scope: scope, Tenant: tenant})
			if err != nil {
				t.Fatal(err)
			}
			counts = result.Counts
		} else {
			j, err := Sweep(context.Background(), engine, store.StartParams{Rules: v.rules(), AsOf: v.Now, Scope: scope, Tenant: tenant}, sweep.Work{BatchSize: 7})
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
