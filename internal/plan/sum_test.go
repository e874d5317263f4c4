package plan

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"decayctl/internal/fact"
	"decayctl/internal/rule"
)

var asOf = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)

// set has rules of each kind.
var set = func() rule.Set {
	s, err := rule.ParseSet(`ttl 90d, min_confidence 0.4`)
	if err != nil {
		panic(err)
	}
	for _, id := range []string{"first", "second"} {
		ttl := rule.TTL(60)
		s.Policies = append(s.Policies, rule.Policy{ID: id, Relation: "*", Mode: rule.ModeExpire, TTL: &ttl})
	}
	return s
}()

// judged is a fact with its verdict.
type judged struct {
	id string
	v  rule.Verdict
}

func sumOf(facts []judged) *Sum {
	s := NewSum(set, asOf)
	s.KeepFacts()
	for _, f := range facts {
		s.Collect(&fact.Candidate{Fact: fact.Fact{ID: f.id}}, f.v)
	}
	return s
}

// verdicts are verdicts that all differ.
var verdicts = func() (all []rule.Verdict) {
	for _, action := range []rule.Action{rule.Expire, rule.Retract, rule.Reduce} {
		for _, rules := range [][]string{{"ttl"}, {"min_confidence"}, {"ttl", "min_confidence"}, {"policy:first"}, {"policy:second"}, {"policy:second", "min_confidence"}} {
			all = append(all, rule.Verdict{Action: action, Rules: rules})
			for _, confidence := range []float64{0, 0.1, 0.5} {
				all = append(all, rule.Verdict{Action: action, Rules: rules, Confidence: &confidence})
			}
		}
	}
	return all
}()

func drawFacts(t *rapid.T, most int) []judged {
	ids := rapid.SliceOfNDistinct(rapid.StringN(0, 4, -1), 0, most, rapid.ID[string]).Draw(t, "ids")
	facts := make([]judged, len(ids))
	for i, id := range ids {
		facts[i] = judged{id, rapid.SampledFrom(verdicts).Draw(t, "verdict")}
	}
	return facts
}

// TestDigestHasNoOrder: the digest is of the facts, and not of the order in which a database hands them over.
func TestDigestHasNoOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		facts := drawFacts(t, 30)
		shuffled := slices.Clone(facts)
		seed := rapid.Uint64().Draw(t, "seed")
		rand.New(rand.NewPCG(seed, 0)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		a, b := sumOf(facts), sumOf(shuffled)
		if a.Digest() != b.Digest() || a.sketch.String() != b.sketch.String() || a.Facts != b.Facts {
			t.Fatalf("%s and %s", a.Digest(), b.Digest())
		}
	})
}

// TestDigestTellsVerdictsApart: another verdict on one fact makes another digest.
func TestDigestTellsVerdictsApart(t *testing.T) {
	t.Parallel()
	digests := map[string]string{}
	for i, v := range verdicts {
		text := fmt.Sprintf("verdict %d: %+v", i, v)
		digest := sumOf([]judged{{"fact", v}}).Digest()
		if digests[digest] != "" {
			t.Errorf("%s has the digest of %s", text, digests[digest])
		}
		digests[digest] = text
	}
	for _, v := range []rule.Verdict{{}, {Action: rule.Keep, Rules: []string{"ttl"}, Kept: rule.LegalHold}} {
		if sumOf([]judged{{"fact", v}}).Digest() != sumOf(nil).Digest() {
			t.Errorf("%+v changes no fact, and is in the digest", v)
		}
	}
	later := NewSum(set, asOf.Add(time.Microsecond))
	later.Collect(&fact.Candidate{Fact: fact.Fact{ID: "fact"}}, verdicts[0])
	if digests[later.Digest()] != "" {
		t.Error("another as-of has the same digest, and writes another expiry")
	}
}

// TestDigestStays: the digest does not change between versions, so that later ones can apply plans of today.
func TestDigestStays(t *testing.T) {
	t.Parallel()
	const want = "39ffb3eb41c3bff7fddd9cd1779d470d59c0bce37d6686b0da778fb88f10aaf4"
	if got := sumOf([]judged{{"one", verdicts[0]}, {"two", verdicts[5]}}).Digest(); got != want {
		t.Errorf("digest %s, want %s: a plan of an older decayctl would be taken for a stale one; raise SchemaVersion", got, want)
	}
}

// TestConfidenceIsAFloat4: the digest has confidences as float4. PostgreSQL stores no more digits, and a plan may be made
// on one database and applied on a copy in the other.
func TestConfidenceIsAFloat4(t *testing.T) {
	t.Parallel()
	stored, read := 0.7, float64(float32(0.7))
	of := func(confidence *float64) string {
		return sumOf([]judged{{"fact", rule.Verdict{Action: rule.Reduce, Rules: []string{"policy:first"}, Confidence: confidence}}}).Digest()
	}
	if of(&stored) != of(&read) {
		t.Error("0.7 and the float4 next to it differ")
	}
}

// drifted draws facts, and what became of them. The parts are what differs.
func drifted(t *rapid.T, most int) (before, after []judged, want Drift) {
	before = drawFacts(t, most)
	for _, f := range before {
		switch rapid.IntRange(0, 5).Draw(t, "becomes") {
		case 0:
			want.Fewer.add(f.v.Rules)
		case 1:
			other := rapid.SampledFrom(verdicts).Filter(func(v rule.Verdict) bool { return !same(v, f.v) }).Draw(t, "other")
			after = append(after, judged{f.id, other})
			want.Otherwise.add(other.Rules)
		default:
			after = append(after, f)
		}
	}
	for i := range rapid.IntRange(0, most).Draw(t, "more") {
		v := rapid.SampledFrom(verdicts).Draw(t, "verdict")
		after = append(after, judged{fmt.Sprintf("a new fact %d", i), v})
		want.More.add(v.Rules)
	}
	return before, after, want
}

func same(a, b rule.Verdict) bool {
	return a.Action == b.Action && slices.Equal(a.Rules, b.Rules) &&
		(a.Confidence == nil) == (b.Confidence == nil) && (a.Confidence == nil || *a.Confidence == *b.Confidence)
}

// TestDrift: the drift has each fact that differs, and is allowed up to exactly that number.
func TestDrift(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		before, after, want := drifted(t, 60)
		plan, now := sumOf(before), sumOf(after)
		got := plan.DriftTo(now)
		got.Fades = false
		if fmt.Sprint(got.More, got.Fewer, got.Otherwise, got.Unknown) != fmt.Sprint(want.More, want.Fewer, want.Otherwise, false) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		n := want.Facts()
		if _, err := (Check{Sum: plan, Allow: rule.Limit{Facts: n}}).Verify(now); err != nil {
			t.Fatalf("%d facts differ and as many are allowed: %v", n, err)
		}
		if _, err := (Check{Sum: plan, Allow: rule.Limit{Facts: n - 1}}).Verify(now); err == nil && n > 0 {
			t.Fatalf("%d facts differ, and one less is allowed", n)
		}
	})
}

// TestDriftOfMany: if more than MostApart entries differ, the drift is unknown, and is refused however much drift is
// allowed.
func TestDriftOfMany(t *testing.T) {
	t.Parallel()
	some := func(from, to int) (facts []judged) {
		for i := from; i < to; i++ {
			facts = append(facts, judged{fmt.Sprint("fact ", i), verdicts[i%len(verdicts)]})
		}
		return facts
	}
	plan := sumOf(some(0, 5_000))
	if d := plan.DriftTo(sumOf(some(600, 5_600))); d.Unknown || d.More.Facts != 600 || d.Fewer.Facts != 600 || d.Otherwise.Facts != 0 {
		t.Errorf("drift %+v, want 600 more and 600 fewer", d)
	}
	now := sumOf(some(2_000, 7_000))
	if d := plan.DriftTo(now); !d.Unknown {
		t.Fatalf("drift %+v, want an unknown one", d)
	}
	for _, allow := range []rule.Limit{{Facts: 1 << 40}, {Percent: 100}} {
		if _, err := (Check{Sum: plan, Allow: allow}).Verify(now); err == nil {
			t.Errorf("%s lets an unknown drift pass", allow)
		}
	}
}

// TestSketchesAreTold: a sketch lists MostApart differing entries, whatever the facts.
func TestSketchesAreTold(t *testing.T) {
	t.Parallel()
	kept := []judged{{"in both", verdicts[1]}}
	before := sumOf(kept)
	for round := range 100 {
		s := sumOf(kept)
		for i := range MostApart {
			s.Collect(&fact.Candidate{Fact: fact.Fact{ID: fmt.Sprint(round, i)}}, verdicts[0])
		}
		if d := before.DriftTo(s); d.Unknown || d.More.Facts != MostApart {
			t.Errorf("round %d: drift %+v, want %d more", round, d.More.Facts, MostApart)
		}
	}
}

// TestMadeUpSketches: decoding a sketch of a forged plan ends, whatever it holds.
func TestMadeUpSketches(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := make(sketch, cells)
		rules := newHasher(set, asOf)
		for range rapid.IntRange(0, 50).Draw(t, "entries") {
			e := entry{[2]uint64{rapid.Uint64().Draw(t, "id"), 0}, rapid.Uint64().Draw(t, "effect")}
			h := rules.hash(e)
			c := &s[rapid.IntRange(0, cells-1).Draw(t, "cell")]
			*c = cell{1, e.id, e.effect, h.check()} // alone in a cell that may not be its own
		}
		added, removed, _ := s.entries(rules)
		if len(added)+len(removed) > cells {
			t.Fatalf("%d entries", len(added)+len(removed))
		}
		for _, e := range added {
			rules.ruleNames(e.effect)
		}
	})
}

func TestReviewed(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		before, after, _ := drifted(t, 40)
		made := sumOf(before).Reviewed()
		read := NewReviewed(set, asOf)
		for _, part := range made.Parts() {
			if err := read.Add(part); err != nil {
				t.Fatal(err)
			}
		}
		for _, f := range after {
			c := &fact.Candidate{Fact: fact.Fact{ID: f.id}}
			want := slices.ContainsFunc(before, func(b judged) bool { return b.id == f.id && same(b.v, f.v) })
			if made.Has(c, f.v) != want || read.Has(c, f.v) != want {
				t.Fatalf("%q: %v and %v, want %v", f.id, made.Has(c, f.v), read.Has(c, f.v), want)
			}
		}
	})
	for _, broken := range []string{"?", "AAAA", "AAAAAAAAAAEAAAAAAAAAAA=="} {
		if err := NewReviewed(set, asOf).Add(broken); err == nil {
			t.Errorf("%q was read", broken)
		}
	}
}
