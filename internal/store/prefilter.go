package store

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"decayctl/internal/fact"
)

// Prefilter says which facts the rules may select. A fact is left out when it has surely expired at
// as-of, or when neither its age nor its confidence can matter.
type Prefilter struct {
	Age       bool             // an age rule is on: facts without a readable expiry whose stamp is at or before Before, or is not in the node's canonical form
	Before    time.Time        // zero where no readable stamp is old enough
	Below     *float64         // a floor is on: facts whose effective confidence is above 0 and at or below this; nil is off
	Relations []RelationFilter // more that may be selected, of some relations each
	Live      bool             // every fact that has not surely expired, whatever the rules: for counting
}

// RelationFilter says which facts of some relations a rule may select.
type RelationFilter struct {
	Relation string    // "" is every relation
	Prefix   bool      // every relation that begins so
	Age      bool      // as in Prefilter
	Before   time.Time // as in Prefilter
	Fades    bool      // facts whose effective confidence is above 0
}

// FactDialect is what differs between databases in the conditions on facts. $column, $stamp, $text and $number stand
// for the SQL of a value.
type FactDialect struct {
	Table     func(name string) string // as a statement names it
	Unindexed string                   // $column, so that no index on it is used: all facts of a tenant or scope would be read
	ByteOrder string                   // follows a text whose order is to be that of its bytes
	SameBytes string                   // follows a text that is to be equal byte by byte
	Is        string                   // compares values that may be NULL
	Text      string                   // $column, or '' if it is no text
	LookUp    string                   // ends a subquery that is to be a look-up for each fact

	Canonical string                                   // tells whether $stamp has the node's own form and names a real date; never NULL if it has not
	OneOf     func(stamps []string, args *Args) string // tells whether $stamp is one of some
	Prefix    string                                   // tells whether $column begins with $text
	ASCIIOnly bool                                     // a parameter with other characters may be an error
	Number    string                                   // $number as a confidence
	Smallest  float64                                  // number above 0 that can be a confidence
}

// Args are the values of a statement, as far as it is written.
type Args []any

// Add adds a value, and names its place.
func (a *Args) Add(value any) string {
	*a = append(*a, value)
	return "$" + strconv.Itoa(len(*a))
}

// Columns is SQL for what counts of the fact f.
type Columns struct{ ValidUntil, Confidence string }

// The columns of a fact that has no override, and of one under its override o, if it has one.
var (
	OwnColumns       = Columns{"f.valid_until", "f.confidence"}
	EffectiveColumns = Columns{"coalesce(o.valid_until, f.valid_until)", "coalesce(o.confidence, f.confidence)"}
)

// FactConditions writes what one statement asks of facts.
type FactConditions struct {
	FactDialect
	params CandidatesParams
	args   *Args
	asOf   string // the as-of, as a parameter
	common string // tells whether $stamp is one of the common expiries
}

// Conditions begins with the as-of and the common expiries, which become the next values of the statement.
func (d FactDialect) Conditions(p CandidatesParams, common []string, args *Args) FactConditions {
	c := FactConditions{FactDialect: d, params: p, args: args, asOf: args.Add(fact.FormatInstant(p.AsOf))}
	c.common = d.OneOf(common, args)
	return c
}

// Unexpired leaves out what has surely expired. Stamps are compared as text only if they have the node's own form,
// in which the order of bytes is that of time; every other stamp is read and left to Go.
func (c FactConditions) Unexpired(until string) string {
	return "(" + until + " IS NULL OR " + until + c.ByteOrder + " > " + c.asOf +
		" OR NOT (" + strings.ReplaceAll(c.common, "$stamp", until) + " OR " + c.CanonicalSQL(until) + "))"
}

// CanonicalSQL tells whether a stamp has the node's own form.
func (d FactDialect) CanonicalSQL(stamp string) string {
	return strings.ReplaceAll(d.Canonical, "$stamp", stamp)
}

// Where is all that is asked of the fact f.
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

// selectable is what the rules may select: by age, by confidence, or by fading.
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

// related tells whether the fact f is of some relations. A relation that can be no parameter is left to Go.
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

// CommonExpiries picks, of expiries that many facts share, those in the node's own form: what is equal to
// one of them need not be looked at for its form, which costs more than all the rest of a fact.
func CommonExpiries(found []string) []string {
	return slices.DeleteFunc(found, func(stamp string) bool {
		t, err := fact.ParseInstant(stamp)
		return err != nil || stamp != fact.FormatInstant(t) && stamp != fact.FormatSecond(t)
	})
}
