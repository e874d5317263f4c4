package store

import "slices"

// Lookup is a way in which a sweep or an undo finds rows of a table.
type Lookup struct {
	Columns []string // that an index for it begins with, in any order
	Unique  bool     // the index allows one row for these columns, and has no others
	Effect  string   // of having no such index
}

// Index is an index that finds any row of its table.
type Index struct {
	Columns []string // in order; "" for what no look-up can use, such as an expression
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

// MissingIndex is an index that a store lacks. decayctl never makes it: it takes its time and its room, and
// the schema is the node's.
type MissingIndex struct {
	Table     string // or its partition
	Columns   []string
	Effect    string // of it missing
	Statement string // that makes it
}
