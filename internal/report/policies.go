package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/dustin/go-humanize"

	"decayctl/internal/rule"
	"decayctl/internal/sweep"
)

// Policies is a set of rules, with the origins of their values.
type Policies struct {
	Rules       rule.Set
	Origin      string // of the policies; "" is none
	TTLOrigin   string // "" is the default
	FloorOrigin string
	Place       func(id string) string        // of a policy
	Field       func(id, field string) string // of a value of a policy; "" is the default
}

type shownPolicy struct {
	ID            string            `json:"id"`
	Relation      string            `json:"relation"`
	Entity        *string           `json:"entity"`
	Source        *string           `json:"source"`
	Scope         *string           `json:"scope"`
	Tenant        *string           `json:"tenant"`
	Mode          rule.Mode         `json:"mode"`
	TTL           *string           `json:"ttl"`
	HalfLife      *string           `json:"half_life"`
	MinConfidence float64           `json:"min_confidence"`
	MinStep       *float64          `json:"min_step"`
	KeepLast      *int              `json:"keep_last"`
	Exempt        []string          `json:"exempt_relations"`
	Place         *string           `json:"place"`
	From          map[string]string `json:"from"`
}

// policyDocument is the JSON of a policy, with defaults.
func policyDocument(p rule.Policy) shownPolicy {
	doc := shownPolicy{
		ID: p.ID, Relation: p.Relation, Entity: orNull(p.Entity), Source: orNull(p.Source), Scope: orNull(p.Scope), Tenant: orNull(p.Tenant),
		Mode: p.Mode, MinConfidence: p.MinConfidence, Exempt: append([]string{}, p.Exempt...), From: map[string]string{},
	}
	if p.TTL != nil {
		doc.TTL = orNull(p.TTL.String())
	}
	if p.HalfLife > 0 {
		doc.HalfLife, doc.MinStep = orNull(p.HalfLife.String()), &p.MinStep
	}
	if p.KeepLast > 0 {
		doc.KeepLast = &p.KeepLast
	}
	return doc
}

// policyDocuments are the policies of a set, in the order in which they are tried.
func policyDocuments(s rule.Set) []shownPolicy {
	documents := []shownPolicy{}
	for _, p := range s.Policies {
		documents = append(documents, policyDocument(p))
	}
	return documents
}

// policyLines are the names and values of a policy's fields, with defaults.
func policyLines(p rule.Policy) (lines [][2]string) {
	add := func(name, value string) { lines = append(lines, [2]string{name, value}) }
	orAny := func(value string) string {
		if value == "" {
			return "*"
		}
		return short(value)
	}
	add("relation", orAny(p.Relation))
	add("entity", orAny(p.Entity))
	add("source", orAny(p.Source))
	add("scope", orAny(p.Scope))
	add("tenant", orAny(p.Tenant))
	add("mode", string(p.Mode))
	if p.TTL != nil {
		add("ttl", p.TTL.String())
	}
	if p.HalfLife > 0 {
		add("half_life", p.HalfLife.String())
		add("min_confidence", decimal(&p.MinConfidence))
		add("min_step", decimal(&p.MinStep))
	}
	if p.KeepLast > 0 {
		add("keep_last", fmt.Sprint(p.KeepLast))
	}
	if len(p.Exempt) > 0 {
		add("exempt_relations", short(strings.Join(p.Exempt, ", ")))
	}
	return lines
}

// WriteJSON writes the set as one JSON document.
func (d Policies) WriteJSON(w io.Writer) error {
	documents := policyDocuments(d.Rules)
	for i, p := range d.Rules.Policies {
		documents[i].Place = orNull(d.Place(p.ID))
		for _, line := range policyLines(p) {
			documents[i].From[line[0]] = d.from(p.ID, line[0])
		}
		documents[i].From["id"] = d.from(p.ID, "id")
	}
	set := ruleSetOf(d.Rules)
	set.Policies = documents
	return write(w, struct {
		SchemaVersion int               `json:"schema_version"`
		Fingerprint   *string           `json:"fingerprint"`
		Rules         *ruleSet          `json:"rules"`
		From          map[string]string `json:"from"`
	}{schemaVersion, orNull(d.Rules.Fingerprint()), set, map[string]string{
		"ttl": orDefault(d.TTLOrigin), "min_confidence": orDefault(d.FloorOrigin), "policies": orDefault(d.Origin),
	}})
}

func (d Policies) from(id, field string) string { return orDefault(d.Field(id, field)) }

func orDefault(origin string) string {
	if origin == "" {
		return "default"
	}
	return origin
}

// WriteText writes the set for people.
func (d Policies) WriteText(w io.Writer, s Style) error {
	p := &page{Style: s}
	if d.Rules.Empty() {
		p.WriteString("No rule is on.\n")
	} else {
		p.WriteString(p.bold("Rules, in the order in which they are tried. Fingerprint "+d.Rules.Fingerprint()+".") + "\n")
	}
	for i, policy := range d.Rules.Policies {
		fmt.Fprintf(p, "\n%s  %s\n", p.bold(fmt.Sprintf("%d. policy %s", i+1, short(policy.ID))), p.dim(Clean(d.Place(policy.ID))))
		if d.Rules.Only != "" && d.Rules.Only != policy.ID {
			p.WriteString("   does not act in this run: --policy names another\n")
		}
		for _, line := range policyLines(policy) {
			p.setting(line[0], line[1], d.from(policy.ID, line[0]))
		}
	}
	if d.Rules.TTL != nil {
		p.WriteString("\n" + p.bold("ttl, for facts that no policy decides on") + "\n")
		p.setting("ttl", d.Rules.TTL.String(), orDefault(d.TTLOrigin))
	}
	if d.Rules.Floor != nil {
		p.WriteString("\n" + p.bold("min_confidence, for every fact, after it has faded") + "\n")
		p.setting("min_confidence", d.Rules.Floor.String(), orDefault(d.FloorOrigin))
	}
	_, err := io.WriteString(w, p.String())
	return err
}

func (p *page) setting(name, value, from string) {
	fmt.Fprintf(p, "%19s  %-24s  %s\n", name, value, p.dim(Clean(from)))
}

// Checked is the result of a check of policies.
type Checked struct {
	Target   string // the store, password masked; "" if no store was read
	Rules    rule.Set
	Found    *sweep.Survey // nil if no store was read
	Warnings []Warning
	Notes    []string
	Made     Made
}

// verdict counts the warnings.
func (c Checked) verdict() string {
	if n := len(c.Warnings); n > 0 {
		return counted(int64(n), "warning", "warnings")
	}
	return "no warnings"
}

// Warning is something about a policy, or about what a sweep expires, that is probably not intended. It is not an
// error.
type Warning struct {
	Policy string // id; "" is none in particular
	Code   string // a word for programs
	Text   string // sentences, without the last full stop
}

// each calls use for each policy that was checked, in the order in which they are tried.
func (c Checked) each(use func(p rule.Policy, of *sweep.Surveyed)) {
	if c.Found == nil {
		return
	}
	for _, p := range c.Rules.Policies {
		if of := c.Found.Policies[p.ID]; of != nil {
			use(p, of)
		}
	}
}

// found is a table of what each policy finds. Policies in mode dry_run have their own table: they change nothing, and
// other rules decide on the same facts.
func (p *page) found(c Checked) {
	acting, shadow := [][]string{}, [][]string{}
	c.each(func(policy rule.Policy, of *sweep.Surveyed) {
		row := []string{short(policy.ID), humanize.Comma(of.Matched), humanize.Comma(of.Expired()), humanize.Comma(of.Reduces)}
		if policy.Mode == rule.ModeDryRun {
			shadow = append(shadow, row)
		} else {
			acting = append(acting, append(row, humanize.Comma(of.Kept)))
		}
	})
	columns := func(first string, more ...column) []column {
		return append([]column{{first, nameCells}, {"MATCHED", numberCells}, {"WOULD EXPIRE", numberCells}, {"WOULD REDUCE", numberCells}}, more...)
	}
	if len(acting) > 0 {
		p.WriteString("\n")
		p.table(columns("POLICY", column{"KEPT", numberCells}), acting)
	}
	if len(shadow) > 0 {
		p.WriteString("\n")
		p.table(columns("IN MODE DRY_RUN"), shadow)
	}
	if len(acting)+len(shadow) > 0 {
		p.WriteString("\n")
	}
}

// WriteJSON writes the result as one JSON document.
func (c Checked) WriteJSON(w io.Writer) error {
	type found struct {
		Policy      string    `json:"policy"`
		Mode        rule.Mode `json:"mode"`
		Matched     int64     `json:"matched"`
		WouldExpire int64     `json:"would_expire"`
		WouldReduce int64     `json:"would_reduce"`
		Kept        *int64    `json:"kept"`
	}
	all := []found{}
	c.each(func(p rule.Policy, of *sweep.Surveyed) {
		one := found{p.ID, p.Mode, of.Matched, of.Expired(), of.Reduces, &of.Kept}
		if p.Mode == rule.ModeDryRun {
			one.Kept = nil
		}
		all = append(all, one)
	})
	type warning struct {
		Policy  *string `json:"policy"`
		Code    string  `json:"code"`
		Message string  `json:"message"`
	}
	warnings := []warning{}
	for _, each := range c.Warnings {
		warnings = append(warnings, warning{orNull(each.Policy), each.Code, each.Text})
	}
	return write(w, struct {
		SchemaVersion int       `json:"schema_version"`
		Store         *string   `json:"store"`
		Policies      int       `json:"policies"`
		Fingerprint   *string   `json:"fingerprint"`
		Found         []found   `json:"found"`
		Warnings      []warning `json:"warnings"`
		Notes         []string  `json:"notes"`
	}{schemaVersion, orNull(c.Target), len(c.Rules.Policies), orNull(c.Rules.Fingerprint()), all, warnings, append([]string{}, c.Notes...)})
}

// WriteText writes the result for people.
func (c Checked) WriteText(w io.Writer, s Style) error {
	p := &page{Style: s}
	where := ""
	if c.Target != "" {
		where = " against " + Clean(c.Target)
	}
	p.WriteString(p.bold("Checked "+counted(int64(len(c.Rules.Policies)), "policy", "policies")+where+": "+c.verdict()+". Nothing was written.") + "\n")
	p.found(c)
	p.warnings(c.Warnings)
	for _, note := range c.Notes {
		p.WriteString("note: " + Clean(note) + "\n")
	}
	_, err := io.WriteString(w, p.String())
	return err
}

// Share is a part of a whole, in words for warnings.
func Share(part, whole int64) string {
	return fmt.Sprintf("%s of %s (%d%%)", humanize.Comma(part), humanize.Comma(whole), int(float64(part)*100/float64(max(1, whole))))
}
