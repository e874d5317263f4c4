package store

import (
	"fmt"
	"slices"
	"strings"
)

// decayctl's own tables, which are the same in both stores.
const (
	OwnVersions = "decayctl_migrations" // the table of the migrations that were run, from version 0 on
	NewestOwn   = 5                     // the newest version that this decayctl knows
)

// ownPart is what a migration creates: columns of a table, its key, and an index.
type ownPart struct {
	version      int
	table        string
	columns, key []string
	index        string
}

// ownShape is what all migrations have made.
var ownShape = []ownPart{
	{version: 1, table: "decayctl_store", key: []string{"id"}, columns: []string{"id", "last_stamp", "pruned_before"}},
	{version: 1, table: "decayctl_jobs", key: []string{"job_id"}, columns: []string{
		"job_id", "state", "rules", "fingerprint", "as_of", "stamp", "scope", "tenant", "max_expire", "total", "frontier", "end_reached",
		"undone_up_to", "next_worker", "next_claim", "counts", "created_at", "started_at", "completed_at", "changed_at", "stop_reason",
	}},
	{version: 1, table: "decayctl_workers", key: []string{"job_id", "worker"}, columns: []string{
		"job_id", "worker", "host", "space", "pid", "process_start", "joined_at", "lease_until",
	}},
	{version: 1, table: "decayctl_claims", key: []string{"job_id", "claim"}, columns: []string{"job_id", "claim", "worker", "low", "high", "remaining"}},
	{version: 1, table: "decayctl_before", key: []string{"job_id", "fact_id"}, columns: []string{
		"job_id", "fact_id", "had_override", "valid_until", "confidence", "reason", "updated_at", "updated_by", "had_edge", "edge_valid_until", "edge_decay_epoch",
	}},
	{version: 2, table: "decayctl_before", columns: []string{"edge_confidence"}},
	{version: 3, table: "decayctl_claims", columns: []string{"ids"}},
	{version: 4, table: "decayctl_jobs", index: "decayctl_jobs_state"},
	{version: 4, table: "decayctl_jobs", index: "decayctl_jobs_completed"},
	{version: 5, table: "decayctl_jobs", columns: []string{"plan"}},
	{version: 5, table: "decayctl_plans", key: []string{"job_id", "worker", "part"}, columns: []string{"job_id", "worker", "part", "content"}},
}

// OwnTables are the names of decayctl's own tables, in an order in which they can be dropped.
func OwnTables() []string {
	names := []string{OwnVersions}
	for _, made := range ownShape {
		if !slices.Contains(names, made.table) {
			names = append(names, made.table)
		}
	}
	slices.Reverse(names)
	return names
}

// OwnState describes decayctl's own tables at one moment.
type OwnState struct {
	Version int                 // the newest migration that is noted; 0 is none, below 0 if the role may not read it
	NoRow   bool                // the table decayctl_store has no row
	Columns map[string][]string // by table; a missing table has none
	Keys    map[string][]Index  // unique indexes by table
	Indexes []string            // names of the indexes of decayctl_jobs
}

// Check fails with an Unusable *Error if decayctl's own tables are incomplete, as after a restore of only some of them.
// Without a lost claim, a job would be done with facts unswept. Without lost before-images, an undo would remove overrides
// that were there before. Tables of a newer decayctl pass if all that this version knows is there. name quotes a table's
// name for SQL.
func (s OwnState) Check(name func(table string) string) error {
	var there, lost []string
	for _, table := range OwnTables() {
		if len(s.Columns[table]) > 0 {
			there = append(there, table)
		} else if table == OwnVersions || s.madeBy(table) {
			lost = append(lost, table)
		}
	}
	if len(there) == 0 {
		return nil
	}
	broken := func(what string) error {
		var drop strings.Builder
		for _, table := range there {
			fmt.Fprintf(&drop, "DROP TABLE %s;\n", name(table))
		}
		text := what + "; restore all tables whose names begin with decayctl_ from one backup, or drop them all: the next sweep makes them anew, and no sweep so far can then be resumed or undone"
		if s.Version > NewestOwn {
			text = what + "; the tables are of a newer decayctl, so upgrade this one"
		}
		return &Error{Kind: Unusable, Text: text, Detail: drop.String()}
	}
	switch {
	case len(lost) == 1:
		return broken("decayctl's own table " + lost[0] + " is missing, and others of them are there")
	case len(lost) > 1:
		return broken("decayctl's own tables " + strings.Join(lost, ", ") + " are missing, and others of them are there")
	}
	if s.Version < 0 {
		return nil
	}
	for _, made := range ownShape {
		noted := made.version <= s.Version
		for _, column := range made.columns {
			if has := slices.Contains(s.Columns[made.table], column); has && !noted {
				return broken(fmt.Sprintf("decayctl's own table %s is newer than %s says (it has %s, and version %d is noted)", made.table, OwnVersions, column, s.Version))
			} else if !has && noted {
				return broken(fmt.Sprintf("decayctl's own table %s has no column %s, and %s notes version %d", made.table, column, OwnVersions, s.Version))
			}
		}
		if made.index != "" && !noted && slices.Contains(s.Indexes, made.index) {
			return broken(fmt.Sprintf("decayctl's own table %s is newer than %s says (it has the index %s, and version %d is noted)", made.table, OwnVersions, made.index, s.Version))
		}
		if made.key != nil && noted && !s.unique(made.table, made.key) {
			return broken(fmt.Sprintf("decayctl's own table %s has lost its primary key (%s)", made.table, strings.Join(made.key, ", ")))
		}
	}
	if s.NoRow {
		return &Error{
			Kind: Unusable,
			Text: "decayctl's own table decayctl_store has lost its one row, under whose lock sweeps start; put it back with INSERT INTO " +
				name("decayctl_store") + " (id, last_stamp) SELECT 1, max(stamp) FROM " + name("decayctl_jobs"),
		}
	}
	return nil
}

// madeBy tells whether the migrations that are noted have made a table. A history that the role may not read has at
// least the first.
func (s OwnState) madeBy(table string) bool {
	noted := s.Version
	if noted < 0 {
		noted = 1
	}
	return slices.ContainsFunc(ownShape, func(made ownPart) bool { return made.table == table && made.version <= noted })
}

// unique tells whether no two rows of a table have the same key.
func (s OwnState) unique(table string, key []string) bool {
	return slices.ContainsFunc(s.Keys[table], func(i Index) bool {
		return i.Unique && len(i.Columns) == len(key) && !slices.ContainsFunc(i.Columns, func(c string) bool { return !slices.Contains(key, c) })
	})
}

// LostIndexes are the indexes that a migration created and that are gone. decayctl works without them, but slower.
func (s OwnState) LostIndexes() (names []string) {
	for _, made := range ownShape {
		if made.index != "" && made.version <= s.Version && !slices.Contains(s.Indexes, made.index) {
			names = append(names, made.index)
		}
	}
	return names
}
