package store

import (
	"fmt"
	"slices"
	"strings"
)

// Type is the type of a column, as far as decayctl's statements depend on it.
type Type string

// The types that decayctl works with. Other is every other type.
const (
	Text    Type = "text"
	Real    Type = "real"
	Integer Type = "integer"
	BigInt  Type = "bigint" // a column of this type also serves as Integer
	Other   Type = ""
)

// Form describes a table, as the database's catalogue has it.
type Form struct {
	Kind    string // "" for a table that can be read, written and locked; else what it is, such as "a view"
	Columns []Column
	Indexes []Index

	CreateIndex func(Lookup) string // the statement that makes an index
}

// Column describes a column of a table.
type Column struct {
	Name      string
	Type      Type
	Declared  string // the type in the words of the database
	NotNull   bool
	Default   bool // an INSERT may leave the column out
	Generated bool // an INSERT or UPDATE must leave the column out
	Folded    bool // the collation takes different texts for equal
}

// typeOf is the type that the node gives a column. Columns of the same name have the same type in all its tables.
func typeOf(column string) Type {
	switch column {
	case "confidence":
		return Real
	case "legal_hold", "is_stale", "estimated_s", "embedding_missing":
		return Integer
	case "decay_epoch":
		return BigInt
	}
	return Text
}

// Check fails with an Unusable *Error if decayctl's statements cannot work with a table of this form. It checks only what
// they need, since a newer node may have added columns.
func (t Table) Check(has Form) error {
	if has.Kind != "" {
		return unfit("%s is %s; decayctl works on the table that the node made", t.Name, has.Kind)
	}
	written := slices.Concat(t.Insert, t.Update, t.Newer)
	for _, c := range has.Columns {
		name := t.Name + "." + c.Name
		reads, writes := slices.Contains(t.Read, c.Name), slices.Contains(written, c.Name)
		null, want := slices.Contains(t.Null, c.Name), typeOf(c.Name)
		key := c.Name == "id" || c.Name == "fact_id" // on SQLite these may be NULL; decayctl does not read such rows
		switch {
		case !reads && !writes && t.Insert != nil && c.NotNull && !c.Default && !c.Generated:
			return unfit("%s is NOT NULL without a default, and decayctl does not know the column; give it a default, or upgrade decayctl", name)
		case !reads && !writes:
		case c.Type != want && (c.Type != BigInt || want != Integer):
			return unfit("%s has the type %s, expected is %s, as the node made it", name, c.Declared, want)
		case c.Folded:
			return unfit("the collation of %s is one that takes different texts for equal; expected is one that compares bytes, as the node made it", name)
		case writes && c.Generated:
			return unfit("%s is a generated column, and decayctl writes it; expected is a plain column, as the node made it", name)
		case writes && null && c.NotNull:
			return unfit("%s is NOT NULL, and decayctl writes NULL to it; expected is a column that allows NULL, as the node made it", name)
		case reads && !null && !c.NotNull && !key:
			return unfit("%s allows NULL; expected is NOT NULL, as the node made it", name)
		}
	}
	for _, lookup := range t.Lookups {
		if lookup.Unique && !lookup.Served(has.Indexes) {
			return unfit("%s has no unique index on %s alone, so that %s; what makes one is %s",
				t.Name, strings.Join(lookup.Columns, ", "), lookup.Effect, strings.TrimSuffix(has.CreateIndex(lookup), ";"))
		}
	}
	return nil
}

func unfit(format string, args ...any) error {
	return &Error{Kind: Unusable, Text: fmt.Sprintf(format, args...)}
}

// UnfitText is the text of an error if a statement does not fit a table although the store was checked when it was
// opened. reported is the database's error code.
func UnfitText(reported string) string {
	return "a table is not as decayctl expects, or was changed since decayctl opened the store (" + reported + "); 'decayctl doctor' says what is wrong with it"
}
