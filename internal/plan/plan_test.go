package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"decayctl/internal/rule"
	"decayctl/internal/schematest"
)

// TestMain makes random tests draw 30 times instead of rapid's 100: with the race detector a sketch takes long. `make soak` draws
// 1,000 times.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "30"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

func examplePlan() Plan {
	return Plan{
		Version: "v1.2.3", Created: asOf.Add(time.Minute),
		Store: Store{NodeID: "stigmem:node:1", Kind: "sqlite", Address: "sqlite:/data/stigmem.db"},
		Rules: set, AsOf: asOf, Scope: "team", Tenant: "default",
		Sum: sumOf([]judged{{"one", verdicts[0]}, {"two", verdicts[5]}, {"three", verdicts[len(verdicts)-1]}}),
	}
}

func encoded(t testing.TB, p Plan) []byte {
	t.Helper()
	data, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, p := range []Plan{examplePlan(), {Version: "dev", Store: Store{Kind: "postgres"}, Rules: set, AsOf: asOf, Created: asOf, Sum: sumOf(nil)}} {
		got, err := Parse(encoded(t, p))
		if err != nil {
			t.Fatal(err)
		}
		if got.Rules.String() != p.Rules.String() || !got.AsOf.Equal(p.AsOf) || got.Scope != p.Scope || got.Tenant != p.Tenant ||
			got.Store != p.Store || got.Version != p.Version || !got.Created.Equal(p.Created) {
			t.Errorf("got %+v, want %+v", got, p)
		}
		if d := got.Sum.DriftTo(p.Sum); d.Unknown || d.Facts() != 0 || got.Sum.sketch.String() != p.Sum.sketch.String() || fmt.Sprint(got.Sum.ByRule) != fmt.Sprint(p.Sum.ByRule) {
			t.Errorf("the sum has changed: %+v", d)
		}
	}
	invalid := examplePlan()
	invalid.Tenant = "a\xffb"
	if _, err := invalid.Encode(); err == nil {
		t.Error("a tenant that is no UTF-8 was written, and would be read as another one")
	}
}

func TestSchema(t *testing.T) {
	t.Parallel()
	schemas, err := schematest.Load("../../docs/schema")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := examplePlan()
	elsewhere.Store, elsewhere.Scope, elsewhere.Tenant, elsewhere.Sum = Store{Kind: "postgres"}, "", "", sumOf(nil)
	for _, p := range []Plan{examplePlan(), elsewhere} {
		documents, err := schemas.CheckAll(encoded(t, p))
		if err != nil {
			t.Fatal(err)
		}
		if kind, err := schematest.Kind(documents[0]); kind != "plan" || err != nil {
			t.Errorf("it is taken for %q, %v", kind, err)
		}
	}
}

// TestSizeIsBounded: a plan of many facts is no larger than its sketch.
func TestSizeIsBounded(t *testing.T) {
	t.Parallel()
	var facts []judged
	for i := range 20_000 {
		facts = append(facts, judged{fmt.Sprint(i), verdicts[i%len(verdicts)]})
	}
	p := examplePlan()
	p.Sum = sumOf(facts)
	if n := len(encoded(t, p)); n > 112_000 {
		t.Errorf("a plan of %d facts has %d bytes", len(facts), n)
	}
	if n := len(encoded(t, examplePlan())); n > 4_000 {
		t.Errorf("a plan of 3 facts has %d bytes", n)
	}
}

func TestInvalid(t *testing.T) {
	t.Parallel()
	good := string(encoded(t, examplePlan()))
	replaced := func(old, text string) string {
		t.Helper()
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not in %s", old, good)
		}
		return strings.Replace(good, old, text, 1)
	}
	const changed = "was changed after it was saved"
	for _, c := range []struct{ name, data, want string }{
		{"empty", "", "is empty"},
		{"blank", " \n", "is empty"},
		{"no JSON", "ttl 90d", "is no plan"},
		{"an array", "[]", "is no plan"},
		{"a report", `{"schema_version": 1, "dry_run": true}`, "is no plan"},
		{"cut off", good[:len(good)/2], "is cut off"},
		{"without its last brace", strings.TrimRight(good, "}\n"), "is cut off"},
		{"another version", replaced(`"schema_version": 1`, `"schema_version": 2`), "has schema version 2, and this decayctl reads version 1; apply it with the decayctl that made it (v1.2.3)"},
		{"another scope", replaced(`"team"`, `"local"`), changed},
		{"no scope", replaced(`"team"`, `null`), changed},
		{"another ttl", replaced("ttl 90d", "ttl 1d"), changed},
		{"another as-of", replaced("2026-06-15T12:00:00", "2027-06-15T12:00:00"), changed},
		{"another number", replaced(`"facts": 3`, `"facts": 4`), changed},
		{"a number that is text", replaced(`"facts": 3`, `"facts": "3"`), changed},
		{"a key more", replaced(`"facts": 3`, `"facts": 3, "more": 4`), changed},
		{"a key twice", replaced(`"facts": 3`, `"facts": 4, "facts": 3`), changed},
		{"a key in capitals", replaced(`"facts": 3`, `"FACTS": 3`), changed},
		{"no digest", replaced(`"digest": "`, `"digest": "0`), changed},
		{"text behind it", good + "{}", changed},
	} {
		_, err := Parse([]byte(c.data))
		var invalid *Invalid
		if !errors.As(err, &invalid) || !strings.HasPrefix(invalid.Text, c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// TestWhiteSpaceIsNoChange: a plan is valid after jq, or Git on Windows, has changed its white space.
func TestWhiteSpaceIsNoChange(t *testing.T) {
	t.Parallel()
	good := encoded(t, examplePlan())
	var compact bytes.Buffer
	if err := json.Compact(&compact, good); err != nil {
		t.Fatal(err)
	}
	for _, data := range [][]byte{compact.Bytes(), bytes.ReplaceAll(good, []byte("\n"), []byte("\r\n"))} {
		if _, err := Parse(data); err != nil {
			t.Errorf("%v for %.60q", err, data)
		}
	}
}

// TestDamageIsFound: if any byte of the file changes, the plan is refused or has the same meaning.
func TestDamageIsFound(t *testing.T) {
	t.Parallel()
	good := encoded(t, examplePlan())
	rapid.Check(t, func(t *rapid.T) {
		data := bytes.Clone(good)
		at := rapid.IntRange(0, len(data)-1).Draw(t, "at")
		switch rapid.IntRange(0, 2).Draw(t, "how") {
		case 0:
			data[at] = rapid.Byte().Draw(t, "byte")
		case 1:
			data = append(data[:at], data[at+1:]...)
		case 2:
			data = data[:at]
		}
		p, err := Parse(data)
		if err != nil {
			return
		}
		if again, err := p.Encode(); err != nil || !bytes.Equal(again, good) {
			t.Fatalf("took %s", data)
		}
	})
}

func TestCheckStore(t *testing.T) {
	t.Parallel()
	p := examplePlan()
	here := p.Store
	with := func(change func(*Store)) Store { s := here; change(&s); return s }
	for _, c := range []struct {
		name string
		here Store
		want string
	}{
		{"the same", here, ""},
		{"by another address", with(func(s *Store) { s.Address = "sqlite:/mnt/stigmem.db" }), ""},
		{"another node", with(func(s *Store) { s.NodeID = "stigmem:node:2" }), "was made for the store of node stigmem:node:1 (sqlite:/data/stigmem.db), and this is the one of node stigmem:node:2"},
		{"another kind", with(func(s *Store) { s.Kind = "postgres" }), "was made for a store of the kind sqlite, and this one is postgres"},
		{"a node that is not known", with(func(s *Store) { s.NodeID = "" }), ""},
		{"a node that is not known, by another address", with(func(s *Store) { s.NodeID, s.Address = "", "sqlite:/b" }), "was made for sqlite:/data/stigmem.db, and this is sqlite:/b"},
	} {
		err := p.CheckStore(c.here)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// TestStale: a refusal says how many facts differ, and by which rules.
func TestStale(t *testing.T) {
	t.Parallel()
	ttl, floor := verdicts[0], rule.Verdict{Action: rule.Expire, Rules: []string{"min_confidence"}}
	fades := rule.Verdict{Action: rule.Reduce, Rules: []string{"policy:first"}, Confidence: new(float64)}
	base := []judged{{"a", ttl}, {"b", floor}, {"c", floor}, {"d", fades}}
	for _, c := range []struct {
		name  string
		now   []judged
		allow rule.Limit
		want  string
	}{
		{"more", []judged{{"a", ttl}, {"b", floor}, {"c", floor}, {"d", fades}, {"e", ttl}}, rule.Limit{},
			"the plan is stale: 1 more fact would expire (by rule: ttl 1 more); review a new plan"},
		{"all kinds", []judged{{"a", floor}, {"b", floor}, {"d", fades}, {"e", ttl}, {"f", ttl}}, rule.Limit{Facts: 2},
			"the plan is stale: 2 more facts would expire, 1 fewer, 1 otherwise (by rule: min_confidence 1 fewer, 1 otherwise; ttl 2 more); --allow-drift allows 2; review a new plan"},
		{"fading", []judged{{"a", ttl}, {"b", floor}, {"c", floor}}, rule.Limit{Percent: 20},
			"the plan is stale: 1 fewer fact would expire or fade (by rule: policy:first 1 fewer); --allow-drift allows 20%; review a new plan"},
		{"otherwise", []judged{{"a", floor}, {"b", ttl}, {"c", floor}, {"d", fades}}, rule.Limit{Percent: 49},
			"the plan is stale: 2 facts would expire otherwise (by rule: min_confidence 1 otherwise; ttl 1 otherwise); --allow-drift allows 49%; review a new plan"},
		{"half", []judged{{"a", floor}, {"b", ttl}, {"c", floor}, {"d", fades}}, rule.Limit{Percent: 50}, ""},
	} {
		_, err := Check{Sum: sumOf(base), Allow: c.allow}.Verify(sumOf(c.now))
		if c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != c.want) {
			t.Errorf("%s:\n got %v\nwant %s", c.name, err, c.want)
		}
	}
	for _, allow := range []rule.Limit{{Facts: 5_000}, {Percent: 100}} {
		var all []judged
		for i := range 5_000 {
			all = append(all, judged{fmt.Sprint(i), floor})
		}
		_, err := Check{Sum: sumOf(all), Allow: allow}.Verify(sumOf(nil))
		if d := sumOf(all).DriftTo(sumOf(nil)); err != nil || d.String() != "5000 fewer facts would expire (by rule: min_confidence 5000 fewer)" {
			t.Errorf("of a plan that was applied: %s, %v", d, err)
		}
		if d := sumOf(nil).DriftTo(sumOf(all)); d.String() != "5000 more facts would expire (by rule: min_confidence 5000 more)" {
			t.Errorf("of a plan without facts: %s", d)
		}
	}
	var many []judged
	for i := range 5_000 {
		many = append(many, judged{fmt.Sprint(i), floor})
	}
	_, err := Check{Sum: sumOf(base)}.Verify(sumOf(many))
	want := "the plan is stale: it changes 4 facts, and now 5000 would change (by rule: min_confidence 5000 instead of 2; policy:first 0 instead of 1; ttl 0 instead of 1); more facts differ than a plan can tell apart; review a new plan"
	if err == nil || err.Error() != want {
		t.Errorf("many:\n got %v\nwant %s", err, want)
	}
}

func TestCheckRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		before, after, want := drifted(t, 30)
		for _, allow := range []rule.Limit{{}, {Facts: 7}, {Percent: 2.5}} {
			c, err := ParseCheck(Check{Sum: sumOf(before), Allow: allow}.String(), set, asOf)
			if err != nil {
				t.Fatal(err)
			}
			if d := c.Sum.DriftTo(sumOf(after)); c.Allow != allow || d.Unknown || d.Facts() != want.Facts() {
				t.Fatalf("got %v and %+v, want %v and %+v", c.Allow, d, allow, want)
			}
		}
	})
	if _, err := ParseCheck("{}", set, asOf); err == nil {
		t.Error("a check of nothing was read, and would let everything pass")
	}
}
