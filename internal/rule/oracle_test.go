package rule

import (
	"math"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"decayctl/internal/fact"
)

// TestDecideAgreesWithAnOracle judges by a second implementation, which shares no code with the first
// but the reading of stamps. It is slow, and follows docs/policies.md sentence by sentence.
func TestDecideAgreesWithAnOracle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, c := anyPolicySet(t), anyPlacedCandidate(t)
		now := asOf.Add(rapid.SampledFrom([]time.Duration{0, 0, -time.Hour, 1, 24 * 365 * time.Hour}).Draw(t, "since as-of"))
		j := s.Judge(asOf, now)
		for range 2 { // with what it remembers, too
			if got, want := j.Decide(c), oracle(s, c, now); !reflect.DeepEqual(got, want) {
				t.Fatalf("%s\n%+v\ngot  %+v\nwant %+v", s, c, got, want)
			}
		}
		if e := j.Explain(c); !reflect.DeepEqual(e.Verdict, j.Decide(c)) || len(e.Steps) != len(s.Policies)+onRules(j.set) {
			t.Fatalf("explained as %+v", e)
		}
	})
}

// TestExplainSaysWhatDecideDoes: the rules that select a fact by their steps are those of the verdict.
func TestExplainSaysWhatDecideDoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, c := anyPolicySet(t), anyPlacedCandidate(t)
		e := s.Judge(asOf, asOf).Explain(c)
		var acting, shadow []string
		for _, step := range e.Steps {
			switch {
			case step.Why == "":
				t.Fatalf("no reason: %+v", step)
			case step.Selects && step.Shadow:
				shadow = append(shadow, step.Rule)
			case step.Selects:
				acting = append(acting, step.Rule)
			}
		}
		if e.Verdict.Kept == "" && s.Only == "" && !slices.Equal(acting, e.Verdict.Rules) {
			t.Fatalf("%s\n%+v\nsteps %+v, verdict %+v", s, c, e.Steps, e.Verdict)
		}
		if e.Verdict.Shadow.Some() && !slices.Contains(shadow, NamePolicy+e.Verdict.Shadow.Policy) {
			t.Fatalf("%s\n%+v\nsteps %+v, verdict %+v", s, c, e.Steps, e.Verdict)
		}
		if floor := s.Floor; floor != nil && len(e.Outlook.Fades) > 0 {
			now := e.Outlook.Fades[0].Confidence
			if passed := !e.Outlook.Crosses.IsZero() && !e.Outlook.Crosses.After(asOf); passed != floor.selects(now) && now > 0 {
				t.Fatalf("%v under a floor of %v crosses it %v", now, *floor, e.Outlook.Crosses)
			}
		}
	})
}

func TestOutlook(t *testing.T) {
	t.Parallel()
	set := Set{TTL: ptr(TTL(86400 * 30)), Floor: ptr(Floor(0.1)), Policies: []Policy{{ID: "f", Relation: "memory:*", Mode: ModeConfidence, HalfLife: 86400 * 10}}}
	at := func(relation string, change func(*fact.Candidate)) Outlook {
		c := stale(func(c *fact.Candidate) {
			c.Relation, c.Timestamp, c.Confidence = relation, "2026-06-05T12:00:00.5Z", 0.8
		})
		change(c)
		return set.Judge(asOf, asOf).Explain(c).Outlook
	}
	same := func(*fact.Candidate) {}
	if o, want := at("other", same), (Outlook{Expires: time.Date(2026, 7, 5, 12, 0, 0, 500_000_000, time.UTC), By: NameTTL}); !reflect.DeepEqual(o, want) {
		t.Errorf("by ttl: %+v", o)
	}
	o := at("memory:x", same)
	want := Outlook{Fades: []Ahead{{0, 0.4}, {7, 0.24622889}, {30, 0.05}, {90, 0.00078125}}, Crosses: time.Date(2026, 7, 5, 12, 0, 1, 500_000_000, time.UTC)}
	if !reflect.DeepEqual(o, want) {
		t.Errorf("by half-life: %+v", o)
	}
	newest := func(c *fact.Candidate) { c.Newest = true }
	if o := at("memory:x", newest); !reflect.DeepEqual(o, want) {
		t.Errorf("the newest fades all the same: %+v", o)
	}
	for name, change := range map[string]func(*fact.Candidate){
		"held": func(c *fact.Candidate) { c.LegalHold = true }, "expired": func(c *fact.Candidate) { c.ValidUntil = ptr("2026-01-01") },
		"no date": func(c *fact.Candidate) { c.Timestamp = "x" }, "has an expiry": func(c *fact.Candidate) { c.Relation, c.ValidUntil = "other", ptr("2027-01-01") },
	} {
		if o := at("memory:x", change); !reflect.DeepEqual(o, Outlook{}) {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

func onRules(s Set) (n int) {
	for _, on := range []bool{s.TTL != nil, s.Floor != nil} {
		if on {
			n++
		}
	}
	return n
}

func rank(p Policy) (r [3]int) {
	stars, literal := 0, 0
	for i, char := range p.Relation {
		if char == '*' {
			if stars == 0 {
				literal = i
			}
			stars++
		}
	}
	switch {
	case stars == 0:
		r[0], literal = 0, len(p.Relation)
	case stars == len(p.Relation):
		r[0] = 2
	default:
		r[0] = 1
	}
	if p.Scope == "" {
		r[1] = 1
	}
	r[2] = -literal
	return r
}

// pick is the most specific policy that matches, of one kind.
func pick(s Set, c *fact.Candidate, dry bool) *Policy {
	fits := func(pattern, text string) bool { return pattern == "" || slowGlob(pattern, text) }
	var best *Policy
	for i := range s.Policies {
		p := &s.Policies[i]
		if (p.Mode == ModeDryRun) != dry || !fits(p.Relation, c.Relation) || !fits(p.Entity, c.Entity) || !fits(p.Source, c.Source) ||
			p.Scope != "" && p.Scope != c.Scope || p.Tenant != "" && p.Tenant != c.Tenant {
			continue
		}
		if best == nil || less(rank(*p), rank(*best)) {
			best = p
		}
	}
	return best
}

func less(a, b [3]int) bool {
	for i := range a {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}

func oracle(s Set, c *fact.Candidate, today time.Time) (v Verdict) {
	var until *string
	if c.Override != nil && c.Override.ValidUntil != nil {
		until = c.Override.ValidUntil
	} else {
		until = c.ValidUntil
	}
	oddUntil, endedSince := false, false
	if until != nil {
		end, err := fact.ParseInstant(*until)
		if oddUntil = err != nil; !oddUntil && !asOf.Before(end) {
			return v
		}
		endedSince = err == nil && !today.Before(end)
	}
	now := c.Confidence
	if c.Override != nil && c.Override.Confidence != nil {
		now = *c.Override.Confidence
	}
	stamp, err := fact.ParseInstant(c.Timestamp)
	dated := err == nil
	old := func(ttl *TTL) bool {
		return ttl != nil && dated && asOf.Unix()-stamp.Unix() >= 0 && (float64(asOf.Unix()-stamp.Unix()) > float64(*ttl) ||
			float64(asOf.Unix()-stamp.Unix()) == float64(*ttl) && stamp.Nanosecond() <= asOf.Nanosecond())
	}
	fade := func(p *Policy) float64 {
		if p == nil || p.HalfLife == 0 || !dated || c.Confidence == 0 || !stamp.Before(asOf) {
			return now
		}
		age := float64(asOf.Unix()-stamp.Unix()) + float64(asOf.Nanosecond()-stamp.Nanosecond())/float64(time.Second)
		left := decimal32(math.Max(c.Confidence*math.Exp2(-age/float64(p.HalfLife)), math.SmallestNonzeroFloat32*(1<<23)))
		return math.Min(math.Max(left, p.MinConfidence), now)
	}
	held := Protection("")
	switch {
	case systemName(c.Entity), systemName(c.Relation):
		held = System
	case len(c.Relation) >= 4 && (c.Relation[:4] == "rel:" || c.Relation[:4] == "REL:"):
		held = Rel
	case c.LegalHold:
		held = LegalHold
	case c.QuarantinePending:
		held = QuarantinePending
	}
	exempt := func(p *Policy) bool {
		for _, pattern := range p.Exempt {
			if slowGlob(pattern, c.Relation) {
				return true
			}
		}
		return false
	}

	if d := pick(s, c, true); d != nil && (s.Only == "" || s.Only == d.ID) && held == "" && dated && !oddUntil && !endedSince && !exempt(d) {
		less := fade(d)
		a := Shadow{Policy: d.ID, Retract: until == nil && old(d.TTL), Reduce: d.HalfLife > 0 && less < now && now-less >= d.MinStep}
		if some := a.Retract || a.Reduce; some {
			if a.Retract && d.KeepLast > 0 {
				a.NeedsRank, a.Retract = true, !c.NewestShadow
			}
			v.Shadow = a
		}
	}

	p := pick(s, c, false)
	if s.Only != "" && (p == nil || p.ID != s.Only) {
		return v
	}
	ttl, name := s.TTL, NameTTL
	if p != nil {
		ttl, name = p.TTL, "policy:"+p.ID
	}
	less := fade(p)
	byAge := (until == nil || oddUntil) && old(ttl)
	fades := p != nil && p.HalfLife > 0 && less < now && now-less >= p.MinStep
	byFloor := s.Floor != nil && less > 0 && less < float64(*s.Floor)
	undated := !dated && !byFloor && (ttl != nil && until == nil || p != nil && p.HalfLife > 0 && !oddUntil && now > p.MinConfidence)
	if byAge || fades {
		v.Rules = append(v.Rules, name)
	}
	if byFloor {
		v.Rules = append(v.Rules, NameFloor)
	}
	switch {
	case len(v.Rules) == 0 && !undated:
		return v
	case held != "":
	case undated:
		held = UnreadableTimestamp
	case oddUntil:
		held = UnreadableValidUntil
	case p != nil && exempt(p):
		held = Exempt
	case endedSince:
		held = ChangedMeanwhile
	}
	if held != "" {
		v.Action, v.Kept = Keep, held
		return v
	}
	v.NeedsRank = p != nil && p.KeepLast > 0 && (byAge || byFloor)
	spared := v.NeedsRank && c.Newest
	if spared {
		v.Kept = KeptAsNewest
	}
	switch {
	case spared && !fades:
		v.Action = Keep
		return v
	case spared:
		v.Action, v.Rules = Reduce, []string{name}
	case byAge && p != nil && p.Mode == ModeRetract:
		v.Action = Retract
	case byAge || byFloor:
		v.Action = Expire
	default:
		v.Action = Reduce
	}
	if p != nil && (byAge || fades) {
		v.Policy = p.ID
	}
	if v.Action == Retract {
		less, fades = 0, true
	}
	if fades {
		v.Confidence = &less
	}
	return v
}

func systemName(name string) bool {
	folded := []byte(name)
	for i, char := range folded {
		if char >= 'A' && char <= 'Z' {
			folded[i] = char + 32
		}
	}
	text := string(folded)
	return len(text) >= 8 && text[:8] == "stigmem:" && (len(text) < 10 || text[8:10] != "//")
}

// decimal32 is the shortest decimal of a float4, found by trying more and more digits.
func decimal32(value float64) float64 {
	for digits := 1; ; digits++ {
		text := strconv.FormatFloat(float64(float32(value)), 'e', digits-1, 64)
		if back, _ := strconv.ParseFloat(text, 32); float32(back) == float32(value) {
			wide, _ := strconv.ParseFloat(text, 64)
			return wide
		}
	}
}
