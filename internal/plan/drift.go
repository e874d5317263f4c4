package plan

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"decayctl/internal/job"
	"decayctl/internal/rule"
)

// Drift is the difference between a plan and what a sweep would do now.
type Drift struct {
	More, Fewer, Otherwise Part
	Fades                  bool // some differing facts would be reduced, now or in the plan
	Unknown                bool // more facts differ than the sketch can tell apart; the parts are empty
}

// Part counts the facts that differ in one way.
type Part struct {
	Facts  int64
	ByRule map[string]int64 // facts by the rules that select them now; in Fewer, by the rules of the plan
}

func (p *Part) add(rules []string) {
	p.Facts++
	if p.ByRule == nil {
		p.ByRule = map[string]int64{}
	}
	for _, name := range rules {
		p.ByRule[name]++
	}
}

// Facts is the number of facts that differ. It is meaningless if Unknown is set.
func (d Drift) Facts() int64 { return d.More.Facts + d.Fewer.Facts + d.Otherwise.Facts }

// DriftTo is the drift from the plan s to now. Both must be of the same rules and as-of.
func (s *Sum) DriftTo(now *Sum) (d Drift) {
	switch {
	case s.digest == now.digest && s.Facts == now.Facts:
		return d
	case now.Facts == 0: // as after the plan was applied
		return Drift{Fewer: Part{s.Facts, s.ByRule}, Fades: s.Reduced > 0}
	case s.Facts == 0:
		return Drift{More: Part{now.Facts, now.ByRule}, Fades: now.Reduced > 0}
	}
	added, removed, all := now.sketch.minus(s.sketch).entries(s.rules)
	if !all || len(added)+len(removed) == 0 {
		return Drift{Unknown: true}
	}
	planned := make(map[[2]uint64]entry, len(removed))
	for _, e := range removed {
		planned[e.id] = e
	}
	for _, e := range slices.Concat(added, removed) {
		d.Fades = d.Fades || lives(e.effect)
	}
	for _, e := range added {
		if _, both := planned[e.id]; both {
			delete(planned, e.id)
			d.Otherwise.add(s.rules.ruleNames(e.effect))
		} else {
			d.More.add(s.rules.ruleNames(e.effect))
		}
	}
	for _, e := range planned {
		d.Fewer.add(s.rules.ruleNames(e.effect))
	}
	return d
}

// String says how many facts differ: "12 more facts would expire, 3 fewer, 2 otherwise (by rule: ttl 12 more, 3 fewer)".
func (d Drift) String() string {
	verb := " would expire"
	if d.Fades {
		verb += " or fade"
	}
	words := d.words(func(p Part) int64 { return p.Facts }, verb)
	names := map[string]int64{}
	for _, p := range []Part{d.More, d.Fewer, d.Otherwise} {
		for name, n := range p.ByRule {
			names[name] += n
		}
	}
	return words + " (by rule: " + listed(names, func(name string) string {
		return d.words(func(p Part) int64 { return p.ByRule[name] }, "")
	}) + ")"
}

// words lists the numbers that are not 0. The first one says "facts" and the verb, if there is a verb.
func (d Drift) words(of func(Part) int64, verb string) string {
	var words []string
	for _, way := range []struct {
		n    int64
		text string
	}{{of(d.More), "more"}, {of(d.Fewer), "fewer"}, {of(d.Otherwise), "otherwise"}} {
		if way.n == 0 {
			continue
		}
		noun := " facts"
		if way.n == 1 {
			noun = " fact"
		}
		text := strconv.FormatInt(way.n, 10)
		switch {
		case len(words) > 0 || verb == "":
			text += " " + way.text
		case way.text == "otherwise":
			text += noun + verb + " otherwise"
		default:
			text += " " + way.text + noun + verb
		}
		words = append(words, text)
	}
	return strings.Join(words, ", ")
}

const shownRules = 5 // there may be a thousand policies

// listed names the rules with the most facts.
func listed(rules map[string]int64, words func(name string) string) string {
	names := slices.SortedFunc(maps.Keys(rules), func(a, b string) int {
		return cmp.Or(cmp.Compare(rules[b], rules[a]), cmp.Compare(a, b))
	})
	more := len(names) - shownRules
	var parts []string
	for _, name := range names[:min(len(names), shownRules)] {
		parts = append(parts, job.Clip(name)+" "+words(name))
	}
	if more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more rules", more))
	}
	return strings.Join(parts, "; ")
}

// Check is the condition under which a job that applies a plan may write.
type Check struct {
	Sum   *Sum
	Allow rule.Limit // facts that may differ: a number, or a share of the plan's facts
}

// Stale is the error if a sweep would not do what was reviewed in a plan.
type Stale struct{ text string }

func (e *Stale) Error() string { return e.text }

// Verify compares the plan with what a sweep would do now, and returns the drift. The error is a *Stale if more facts
// differ than are allowed.
func (c Check) Verify(now *Sum) (Drift, error) {
	d := c.Sum.DriftTo(now)
	allowed := ""
	if c.Allow != (rule.Limit{}) {
		allowed = "; --allow-drift allows " + c.Allow.String()
	}
	switch {
	case d.Unknown:
		return d, &Stale{fmt.Sprintf("the plan is stale: it changes %d facts, and now %d would change (by rule: %s); more facts differ than a plan can tell apart; review a new plan",
			c.Sum.Facts, now.Facts, c.byRule(now))}
	case d.Facts() > 0 && c.Allow.Exceeded(d.Facts(), c.Sum.Facts):
		return d, &Stale{"the plan is stale: " + d.String() + allowed + "; review a new plan"}
	}
	return d, nil
}

// byRule lists the rules that select another number of facts now than in the plan.
func (c Check) byRule(now *Sum) string {
	rules := map[string]int64{}
	for _, name := range c.Sum.rules.names {
		if a, b := c.Sum.ByRule[name], now.ByRule[name]; a != b {
			rules[name] = max(a-b, b-a)
		}
	}
	if len(rules) == 0 {
		return "as many as planned, but others"
	}
	return listed(rules, func(name string) string {
		return fmt.Sprintf("%d instead of %d", now.ByRule[name], c.Sum.ByRule[name])
	})
}

// checkDocument is a Check as the job's row stores it. Rules and as-of are columns of the job.
type checkDocument struct {
	sumDocument
	Allow string `json:"allow_drift"`
}

// String writes the check as JSON.
func (c Check) String() string {
	text, err := json.Marshal(checkDocument{c.Sum.document(), c.Allow.String()})
	if err != nil {
		return "" // not reached: numbers and text always marshal
	}
	return string(text)
}

// ParseCheck reads what String writes.
func ParseCheck(text string, rules rule.Set, asOf time.Time) (c Check, err error) {
	var d checkDocument
	if err = json.Unmarshal([]byte(text), &d); err != nil {
		return c, err
	}
	allow, err := rule.ParseLimit(d.Allow)
	if err != nil {
		return c, err
	}
	c.Allow = *allow
	c.Sum, err = d.sum(rules, asOf)
	return c, err
}
