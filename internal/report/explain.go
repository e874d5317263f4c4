package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"decayctl/internal/rule"
	"decayctl/internal/sweep"
)

// Explanation is what a sweep would do with one fact, and why.
type Explanation struct {
	Target    string // the store, password masked
	AsOf      time.Time
	Rules     rule.Set
	Explained sweep.Explained
	Notes     []string
}

// actions are the words for the actions of verdicts.
var actions = map[rule.Action]string{
	rule.Ignore: "none", rule.Keep: "keep", rule.Expire: "expire", rule.Retract: "retract", rule.Reduce: "reduce",
}

type explainedFact struct {
	FactID              string    `json:"fact_id"`
	Tenant              string    `json:"tenant"`
	Scope               string    `json:"scope"`
	Entity              string    `json:"entity"`
	Relation            string    `json:"relation"`
	Source              string    `json:"source"`
	Timestamp           string    `json:"timestamp"`
	BaseValidUntil      *string   `json:"base_valid_until"`
	BaseConfidence      *float64  `json:"base_confidence"`
	Override            *override `json:"override"`
	EffectiveValidUntil *string   `json:"effective_valid_until"`
	EffectiveConfidence *float64  `json:"effective_confidence"`
	Live                bool      `json:"live"`
	LegalHold           bool      `json:"legal_hold"`
	QuarantinePending   bool      `json:"quarantine_pending"`
	Newest              *bool     `json:"newest"`
}

type explainedRule struct {
	Rule    string `json:"rule"`
	DryRun  bool   `json:"dry_run"`
	Matched bool   `json:"matched"`
	Selects bool   `json:"selects"`
	Why     string `json:"why"`
}

type explainedVerdict struct {
	Action       string           `json:"action"`
	Rules        []string         `json:"rules"`
	Kept         *rule.Protection `json:"kept"`
	Confidence   *float64         `json:"confidence"`
	Reason       *string          `json:"reason"`
	WouldRetract bool             `json:"would_retract"`
	WouldReduce  bool             `json:"would_reduce"`
}

type explainedAhead struct {
	Days       int     `json:"days"`
	Confidence float64 `json:"confidence"`
}

type explainedNext struct {
	ExpiresAt  *string          `json:"expires_at"`
	ExpiresBy  *string          `json:"expires_by"`
	Confidence []explainedAhead `json:"confidence_ahead"`
	BelowFloor *string          `json:"below_floor_at"`
}

// WriteJSON writes the explanation as one JSON document.
func (x Explanation) WriteJSON(w io.Writer) error {
	e := x.Explained
	steps := []explainedRule{}
	for _, step := range e.Steps {
		steps = append(steps, explainedRule{step.Rule, step.Shadow, step.Matched, step.Selects, step.Why})
	}
	ahead := []explainedAhead{}
	for _, a := range e.Outlook.Fades {
		ahead = append(ahead, explainedAhead(a))
	}
	v := e.Verdict
	return write(w, struct {
		SchemaVersion int              `json:"schema_version"`
		Store         string           `json:"store"`
		AsOf          *string          `json:"as_of"`
		Fingerprint   *string          `json:"fingerprint"`
		Outside       *string          `json:"outside"`
		Fact          explainedFact    `json:"fact"`
		Rules         []explainedRule  `json:"rules_tried"`
		Verdict       explainedVerdict `json:"verdict"`
		Next          explainedNext    `json:"next"`
		Notes         []string         `json:"notes"`
	}{
		schemaVersion, x.Target, instant(x.AsOf), orNull(x.Rules.Fingerprint()), orNull(e.Outside), x.fact(), steps,
		explainedVerdict{
			Action: actions[v.Action], Rules: append([]string{}, v.Rules...), Kept: orNone(v.Kept), Confidence: v.Confidence,
			Reason: orNull(e.Reason), WouldRetract: v.Shadow.Retract, WouldReduce: v.Shadow.Reduce,
		},
		explainedNext{instant(e.Outlook.Expires), orNull(e.Outlook.By), ahead, instant(e.Outlook.Crosses)},
		append([]string{}, x.Notes...),
	})
}

func (x Explanation) fact() explainedFact {
	f := &x.Explained.Fact
	confidence := f.EffectiveConfidence()
	doc := explainedFact{
		FactID: f.ID, Tenant: f.Tenant, Scope: f.Scope, Entity: f.Entity, Relation: f.Relation, Source: f.Source, Timestamp: f.Timestamp,
		BaseValidUntil: f.ValidUntil, BaseConfidence: finite(&f.Confidence),
		EffectiveValidUntil: f.EffectiveValidUntil(), EffectiveConfidence: finite(&confidence),
		Live: rule.Live(f, x.AsOf), LegalHold: f.LegalHold, QuarantinePending: f.QuarantinePending,
	}
	if f.Override != nil {
		o := overrideOf(*f.Override)
		doc.Override = &o
	}
	if x.Explained.NeedsRank {
		doc.Newest = &f.Newest
	}
	return doc
}

func orNone(p rule.Protection) *rule.Protection {
	if p == "" {
		return nil
	}
	return &p
}

// WriteText writes the explanation for people: the verdict first, then the reasons.
func (x Explanation) WriteText(w io.Writer, s Style) error {
	p, e := &page{Style: s}, x.Explained
	p.WriteString(p.bold(x.headline()) + "\n")
	if e.Outside != "" {
		p.WriteString("A sweep by these settings would not look at it: " + Clean(e.Outside) + ".\n")
	}
	p.WriteString("\n")
	f := &e.Fact
	p.row("fact", short(f.ID))
	p.row("about", short(f.Entity)+"  "+short(f.Relation))
	p.row("where", "scope "+short(f.Scope)+", tenant "+short(f.Tenant)+", source "+short(f.Source))
	p.row("stamped", short(f.Timestamp))
	p.row("confidence", x.confidence())
	p.row("valid until", x.until())
	if o := f.Override; o != nil {
		p.row("override", "by "+short(orNothing(o.UpdatedBy))+" at "+short(o.UpdatedAt)+", reason "+short(orNothing(o.Reason)))
	}
	var signals []string
	for _, signal := range []struct {
		on   bool
		name string
	}{
		{f.LegalHold, "under a legal hold"}, {f.QuarantinePending, "awaiting a moderator"},
		{f.Newest, "among the newest of its group"},
	} {
		if signal.on {
			signals = append(signals, signal.name)
		}
	}
	if len(signals) > 0 {
		p.row("signals", strings.Join(signals, ", "))
	}
	p.row("as of", second(x.AsOf))
	p.steps(e.Steps)
	p.outlook(e)
	for i, note := range x.Notes {
		if i == 0 {
			p.WriteString("\n")
		}
		p.WriteString("note: " + Clean(note) + "\n")
	}
	_, err := io.WriteString(w, p.String())
	return err
}

// headline is the verdict.
func (x Explanation) headline() string {
	v, reason := x.Explained.Verdict, ""
	if x.Explained.Reason != "" {
		reason = ": " + Clean(x.Explained.Reason)
	}
	switch v.Action {
	case rule.Keep:
		if v.Kept == rule.ChangedMeanwhile {
			return "The fact has expired since as-of: the next sweep leaves it as it is."
		}
		return "The fact is kept although a rule selects it: " + string(v.Kept) + why(v.Kept) + "."
	case rule.Expire:
		return "The next sweep expires this fact" + reason + "."
	case rule.Retract:
		return "The next sweep retracts this fact" + reason + "."
	case rule.Reduce:
		return "The next sweep lowers the confidence of this fact to " + decimal(v.Confidence) + reason + "."
	}
	if !rule.Live(&x.Explained.Fact, x.AsOf) {
		return "The fact has expired: no rule touches it."
	}
	return "No rule selects this fact."
}

func why(kept rule.Protection) string {
	for _, p := range protections {
		if p.name == kept {
			return " (" + p.why + ")"
		}
	}
	return ""
}

func (x Explanation) confidence() string {
	f := &x.Explained.Fact
	effective := f.EffectiveConfidence()
	words := decimal(&effective)
	if effective != f.Confidence {
		words += ", overridden; the base is " + decimal(&f.Confidence)
	}
	return words
}

func (x Explanation) until() string {
	f := &x.Explained.Fact
	until := f.EffectiveValidUntil()
	if until == nil {
		return "no expiry"
	}
	words := short(*until)
	if f.Override != nil && f.Override.ValidUntil != nil {
		words += ", overridden"
	}
	return words
}

func (p *page) steps(steps []rule.Step) {
	p.WriteString("\n" + p.bold("RULES, IN THE ORDER IN WHICH THEY ARE TRIED") + "\n")
	for _, step := range steps {
		mark, name := "no", step.Rule
		switch {
		case step.Selects:
			mark = "yes"
		case step.Matched:
			mark = "not now"
		}
		if step.Shadow {
			name += " (dry_run)"
		}
		fmt.Fprintf(p, "  %-8s %s\n", mark, short(name))
		p.line("           ", Clean(step.Why))
	}
	if len(steps) == 0 {
		p.WriteString("  none is on\n")
	}
}

// outlook is when the fact will next change.
func (p *page) outlook(e sweep.Explained) {
	o := e.Outlook
	if o.Expires.IsZero() && len(o.Fades) == 0 {
		return
	}
	p.WriteString("\n" + p.bold("WHEN IT WILL CHANGE") + "\n")
	if !o.Expires.IsZero() {
		p.row("expires", second(o.Expires)+", by "+short(o.By))
	}
	for _, a := range o.Fades {
		when := "today"
		if a.Days > 0 {
			when = "in " + strconv.Itoa(a.Days) + " days"
		}
		p.row("confidence", decimal(&a.Confidence)+" "+when)
	}
	if !o.Crosses.IsZero() {
		p.row("below the floor", "from "+second(o.Crosses)+" on")
	}
}
