package store

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"decayctl/internal/fact"
)

// Prefilter says which facts the rules may select. A store leaves out facts that have surely expired at as-of, and facts
// that no condition below holds for. In doubt it hands a fact over.
type Prefilter struct {
	// Age selects facts without a readable expiry whose timestamp is at or before Before, or not in the node's own form.
	Age       bool
	Before    time.Time        // zero if no readable timestamp is old enough
	Below     *float64         // selects facts with an effective confidence above 0 and at or below this; nil selects none
	Relations []RelationFilter // select more facts, of some relations each
	Live      bool             // selects every fact that has not surely expired, for counts of all facts
}

// RelationFilter says which facts of some relations a rule may select.
type RelationFilter struct {
	Relation string    // "" is every relation
	Prefix   bool      // Relation is the beginning of the relation's name
	Age      bool      // as Prefilter.Age
	Before   time.Time // as Prefilter.Before
	Fades    bool      // selects facts with an effective confidence above 0
}

// FactDialect is the SQL of conditions on facts that differs between databases. $column, $stamp, $text and $number stand
// for the SQL of a value.
type FactDialect struct {
	Table     func(name string) string // quotes a table's name
	Unindexed string                   // $column, in a form that no index serves: the index on tenants would find nearly all facts
	ByteOrder string                   // follows a text that is compared in the order of its bytes
	SameBytes string                   // follows a text that is compared byte by byte
	Is        string                   // compares values that may be NULL
	Text      string                   // $column, or '' if the value is not text
	LookUp    string                   // ends a subquery, so that it is run for each fact and not as a join

	Canonical string                                   // $stamp has the node's own form and is a real date; false, and not NULL, for every other text
	OneOf     func(stamps []string, args *Args) string // $stamp is one of stamps
	Prefix    string                                   // $column begins with $text
	ASCIIOnly bool                                     // a parameter with other characters may be an error
	Number    string                                   // $number as a confidence
	Smallest  float64                                  // the smallest confidence above 0
}

// Args are the arguments of a statement.
type Args []any

// Add adds an argument and returns its placeholder, such as $3.
func (a *Args) Add(value any) string {
	*a = append(*a, value)
	return "$" + strconv.Itoa(len(*a))
}

// Columns is SQL for the expiry and the confidence of the fact f.
type Columns struct{ ValidUntil, Confidence string }

// OwnColumns are for a fact without an override. EffectiveColumns are for a fact with the override o, which may be NULL.
var (
	OwnColumns       = Columns{"f.valid_until", "f.confidence"}
	EffectiveColumns = Columns{"coalesce(o.valid_until, f.valid_until)", "coalesce(o.confidence, f.confidence)"}
)

// FactConditions writes the conditions of one statement on facts.
type FactConditions struct {
	FactDialect
	params CandidatesParams
	args   *Args
	asOf   string // the as-of, as a parameter
	common string // tells whether $stamp is one of the common expiries
}

// Conditions begins the conditions of a statement. It adds the as-of and the common expiries (see CommonExpiries) to args.
func (d FactDialect) Conditions(p CandidatesParams, common []string, args *Args) FactConditions {
	c := FactConditions{FactDialect: d, params: p, args: args, asOf: args.Add(fact.FormatInstant(p.AsOf))}
	c.common = d.OneOf(common, args)
	return c
}

// Unexpired is false for an expiry that has surely passed at as-of. A stamp in the node's own form is compared as text,
// since its bytes sort by time. Every other stamp passes, and Go parses it.
func (c FactConditions) Unexpired(until string) string {
	return "(" + until + " IS NULL OR " + until + c.ByteOrder + " > " + c.asOf +
		" OR NOT (" + strings.ReplaceAll(c.common, "$stamp", until) + " OR " + c.CanonicalSQL(until) + "))"
}

// CanonicalSQL is the condition that a stamp has the node's own form.
func (d FactDialect) CanonicalSQL(stamp string) string {
	return strings.ReplaceAll(d.Canonical, "$stamp", stamp)
}

// Where is all conditions on the fact f.
func (c FactConditions) Where(of Columns) string {
	where := []string{c.Unexpired(of.ValidUntil)}
	if c.params.Scope != "" {
		where = append(where, c.unindexed("f.scope")+" = "+c.args.Add(c.params.Scope))
	}
	if c.params.Tenant != "" {
		where = append(where, c.unindexed("f.tenant_id")+" = "+c.args.Add(c.params.Tenant))
	}
	if !c.params.Prefilter.Live {
		where = append(where, "("+strings.Join(c.selectable(of), " OR ")+")")
	}
	return strings.Join(where, "\n\t\t  AND ")
}

func (d FactDialect) unindexed(column string) string {
	return strings.ReplaceAll(d.Unindexed, "$column", column)
}

// selectable is the conditions by which rules may select a fact: age, confidence, and fading.
func (c FactConditions) selectable(of Columns) []string {
	var wanted, old, fading []string
	p := c.params.Prefilter
	aged := p.Age
	if p.Age && !p.Before.IsZero() {
		old = append(old, c.stampedBy(p.Before))
	}
	for _, r := range p.Relations {
		aged = aged || r.Age
		if r.Age && !r.Before.IsZero() {
			old = append(old, c.related(r)+" AND "+c.stampedBy(r.Before))
		}
		if r.Fades {
			fading = append(fading, c.related(r))
		}
	}
	if aged {
		old = append(old, "NOT "+c.CanonicalSQL("f.timestamp"))
		wanted = append(wanted, "("+of.ValidUntil+" IS NULL OR NOT "+c.CanonicalSQL(of.ValidUntil)+") AND ("+strings.Join(old, " OR ")+")")
	}
	if p.Below != nil {
		below := strings.ReplaceAll(c.Number, "$number", c.args.Add(max(*p.Below, c.Smallest)))
		wanted = append(wanted, of.Confidence+" > 0 AND "+of.Confidence+" <= "+below)
	}
	if fading != nil {
		wanted = append(wanted, of.Confidence+" > 0 AND ("+strings.Join(fading, " OR ")+")")
	}
	if wanted == nil {
		wanted = append(wanted, "false")
	}
	return wanted
}

func (c FactConditions) stampedBy(at time.Time) string {
	return "f.timestamp" + c.ByteOrder + " <= " + c.args.Add(fact.FormatInstant(at))
}

// related is the condition that the fact f has one of some relations. It is true for a relation that cannot be a
// parameter: Go decides.
func (c FactConditions) related(r RelationFilter) string {
	switch {
	case r.Relation == "" || c.ASCIIOnly && !isASCII(r.Relation):
		return "true"
	case r.Prefix:
		return strings.NewReplacer("$column", "f.relation", "$text", c.args.Add(r.Relation)).Replace(c.Prefix)
	}
	return "f.relation = " + c.args.Add(r.Relation)
}

func isASCII(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

// CommonExpiries picks the stamps in the node's own form from those that many facts share. An equal stamp needs no check
// of its form, which costs more than all other conditions on a fact.
func CommonExpiries(found []string) []string {
	return slices.DeleteFunc(found, func(stamp string) bool {
		t, err := fact.ParseInstant(stamp)
		return err != nil || stamp != fact.FormatInstant(t) && stamp != fact.FormatSecond(t)
	})
}
