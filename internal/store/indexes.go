package store

import "slices"

// Lookup is a way in which a sweep or an undo finds rows of a table.
type Lookup struct {
	Columns []string // an index for the look-up begins with these, in any order
	Unique  bool     // the index has only these columns, and allows one row for the same values
	Effect  string   // what happens without such an index, for the operator
}

// Index is an index that has all rows of its table.
type Index struct {
	Columns []string // in order; "" is a column that no look-up can use, such as an expression
	Unique  bool
}

// Served tells whether one of a table's indexes serves the look-up.
func (l Lookup) Served(by []Index) bool {
	n := len(l.Columns)
	return slices.ContainsFunc(by, func(i Index) bool {
		if len(i.Columns) < n || l.Unique && (!i.Unique || len(i.Columns) > n) {
			return false
		}
		return !slices.ContainsFunc(l.Columns, func(column string) bool { return !slices.Contains(i.Columns[:n], column) })
	})
}

// MissingIndex is an index that a store lacks. decayctl does not create it: the schema is the node's, and an index needs
// time and space.
type MissingIndex struct {
	Table     string // or a partition
	Columns   []string
	Effect    string // what happens without the index, for the operator
	Statement string // creates the index
}
