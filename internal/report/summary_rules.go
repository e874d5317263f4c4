package report

import (
	"slices"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"

	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/sweep"
)

// selecting are the names of the rules that may select a fact. A policy in mode dry_run selects nothing.
func selecting(rules rule.Set) []string {
	return slices.DeleteFunc(rules.Names(), func(name string) bool {
		id, byPolicy := strings.CutPrefix(name, rule.NamePolicy)
		policy := rules.Policy(id)
		return byPolicy && policy != nil && policy.Mode == rule.ModeDryRun
	})
}

func ruleLabel(name string) string {
	if id, byPolicy := strings.CutPrefix(name, rule.NamePolicy); byPolicy {
		return short(id)
	}
	return name
}

// rulesSection lists the rules in the order in which they are tried, with their counts.
func rulesSection(j job.Job) section {
	if j.Node {
		return section{}
	}
	t := grid{Caption: "The rules, in the order in which they are tried, with what each found", Columns: columns("rule", "for", "does", "facts#")}
	for _, p := range j.Rules.Policies[:min(pagePolicies, len(j.Rules.Policies))] {
		found := number(j.Counts.ByRule[p.Name()])
		if p.Mode == rule.ModeDryRun {
			w := j.Counts.Would[p.ID]
			found = plain("would: " + humanize.Comma(w.Retract+w.Reduce))
		}
		if j.Rules.Only != "" && j.Rules.Only != p.ID {
			found = plain("off")
		}
		t.Rows = append(t.Rows, []cell{name(p.ID), name(matches(p)), plain(does(p)), found})
	}
	t.More = moreRows(len(j.Rules.Policies)-pagePolicies, "policies")
	if j.Rules.TTL != nil {
		t.Rows = append(t.Rows, []cell{name(rule.NameTTL), plain("facts that no policy decides on"), plain("expires after " + j.Rules.TTL.String()), number(j.Counts.ByRule[rule.NameTTL])})
	}
	if j.Rules.Floor != nil {
		t.Rows = append(t.Rows, []cell{name(rule.NameFloor), plain("every fact"), plain("expires below " + j.Rules.Floor.String()), number(j.Counts.ByRule[rule.NameFloor])})
	}
	s := section{ID: "rules", Title: "Rules"}
	if len(t.Rows) > 0 {
		s.Tables = []grid{t}
	}
	if len(t.Rows) > 1 {
		s.Intro = words("A fact that two rules select counts under both.")
	}
	return s
}

// matches says which facts a policy matches.
func matches(p rule.Policy) string {
	text := p.Relation
	for _, part := range [][2]string{{"entity", p.Entity}, {"source", p.Source}, {"scope", p.Scope}, {"tenant", p.Tenant}} {
		if part[1] != "" {
			text += ", " + part[0] + " " + part[1]
		}
	}
	return text
}

// does says what a policy does, in words.
func does(p rule.Policy) string {
	var parts []string
	if p.TTL != nil {
		verb := "expires"
		if p.Mode == rule.ModeRetract {
			verb = "retracts"
		}
		parts = append(parts, verb+" after "+p.TTL.String())
	}
	if p.HalfLife > 0 {
		parts = append(parts, "halves confidence every "+p.HalfLife.String()+", down to "+decimal(&p.MinConfidence))
	}
	if p.KeepLast > 0 {
		parts = append(parts, "keeps the newest "+strconv.Itoa(p.KeepLast))
	}
	if n := len(p.Exempt); n > 0 {
		parts = append(parts, "exempts "+counted(int64(n), "relation", "relations"))
	}
	text := strings.Join(parts, "; ")
	if p.Mode == rule.ModeDryRun {
		text = "counts only (dry_run): " + text
	}
	return text
}

// protectionSection counts the facts that were kept, by protection.
func protectionSection(j job.Job) section {
	t := grid{Caption: "Facts that a rule selects and a protection keeps", Columns: columns("protection", "what it is", "facts#")}
	for _, p := range protections {
		if n := j.Counts.Kept[p.name]; n > 0 {
			t.Rows = append(t.Rows, []cell{name(string(p.name)), plain(p.why), number(n)})
		}
	}
	if n := j.Counts.Kept[rule.ChangedMeanwhile]; n > 0 {
		t.Rows = append(t.Rows, []cell{name(string(rule.ChangedMeanwhile)), plain("changed by another process meanwhile; the next sweep decides"), number(n)})
	}
	s := section{ID: "protections", Title: "Protections"}
	if len(t.Rows) > 0 {
		s.Tables = []grid{t}
	}
	return s
}

// sampleSection shows some facts, each with its reason.
func sampleSection(r Run) section {
	s := section{ID: "samples", Title: "Samples", Folded: true}
	if r.Preview == nil || len(r.Preview.Samples) == 0 {
		return s
	}
	t := grid{Caption: "Some of the facts that would change, and why", Columns: columns("fact", "entity", "relation", "scope", "tenant", "stamped", "confidence#", "why")}
	for _, sample := range r.Preview.Samples {
		t.Rows = append(t.Rows, sampleRow(sample))
	}
	s.Tables = []grid{t}
	return s
}

func sampleRow(s sweep.Sample) []cell {
	f := &s.Fact
	return []cell{
		name(f.ID), name(f.Entity), name(f.Relation), name(f.Scope), name(f.Tenant), name(f.Timestamp),
		{Text: strconv.FormatFloat(f.EffectiveConfidence(), 'g', -1, 64), Number: true}, plain(sentence(s.Reason)),
	}
}
