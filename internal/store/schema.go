package store

import (
	"fmt"
	"slices"
)

// Table is a table of the node's schema and what decayctl does with it.
type Table struct {
	Name   string
	Read   []string // columns
	Insert []string // columns; only a sweep needs to
	Update []string // columns; only a sweep needs to
}

// Tables is all that decayctl needs of a fact store. vec_facts is not among them: it exists only
// where the node makes embeddings.
var Tables = []Table{
	{Name: "schema_migrations", Read: []string{"version"}},
	{Name: "facts", Read: []string{"id", "entity", "relation", "source", "tenant_id", "scope", "timestamp", "valid_until", "confidence", "quarantine_status"}},
	{
		Name:   "fact_validity_overrides",
		Read:   []string{"fact_id", "valid_until", "confidence", "reason", "updated_at", "updated_by"},
		Insert: []string{"fact_id", "valid_until", "confidence", "reason", "updated_at", "updated_by"},
		Update: []string{"valid_until", "confidence", "reason", "updated_at", "updated_by"},
	},
	{Name: "fact_quarantine_status", Read: []string{"fact_id", "quarantine_status"}},
	{Name: "tombstones", Read: []string{"id", "entity_uri", "scope", "tenant_id", "legal_hold"}},
	{Name: "tombstone_revocations", Read: []string{"tombstone_id"}},
	{
		Name:   "fact_retractions",
		Read:   []string{"fact_id", "retracted_at"},
		Insert: []string{"id", "fact_id", "retracted_at", "retracted_by"},
	},
	{Name: "entity_edges", Read: []string{"id", "valid_until", "confidence", "decay_epoch"}, Update: []string{"valid_until", "confidence", "decay_epoch"}},
	{
		Name:   "jobs",
		Read:   []string{"id", "job_type", "status", "scope", "estimated_s", "created_at", "started_at", "completed_at", "result_json", "error"},
		Insert: []string{"id", "job_type", "status", "scope", "estimated_s", "created_at", "started_at", "completed_at", "result_json", "error"},
		Update: []string{"status", "started_at", "completed_at", "result_json", "error"},
	},
	{Name: "memory_cards", Read: []string{"entity_uri", "tenant_id", "scope", "is_stale"}, Update: []string{"is_stale"}},
}

// Written tells whether a sweep writes the table. Those that only a sweep reads are written too.
func (t Table) Written() bool { return len(t.Insert)+len(t.Update) > 0 }

// CheckSchema judges what a store says of itself: the node migrations it has had, and the columns
// of the tables it holds (none for a table that is missing). The notes are for the operator.
func CheckSchema(migrations []string, columns map[string][]string) (notes []string, err error) {
	if len(columns["facts"]) == 0 || len(columns["schema_migrations"]) == 0 {
		return nil, &Error{Kind: Unusable, Text: "not a Stigmem fact store: it has no tables facts and schema_migrations; name the node's own store with --store"}
	}
	if !slices.Contains(migrations, RequiredMigration) {
		return nil, &Error{Kind: Unusable, Text: "the store is older than migration " + RequiredMigration + " (stigmem-node v0.9.0a2); start the node once with a newer release so that it migrates"}
	}
	newest := slices.Max(migrations)
	if newest > NewestMigration {
		notes = append(notes, fmt.Sprintf("the store's newest migration %q is not known to this version of decayctl (up to %s); the columns it uses are all there", newest, NewestMigration))
	}
	for _, table := range Tables {
		for _, column := range slices.Concat(table.Read, table.Insert, table.Update) {
			if !slices.Contains(columns[table.Name], column) {
				return nil, &Error{Kind: Unusable, Text: fmt.Sprintf("the store has no column %s.%s; its newest migration %q may need a newer decayctl", table.Name, column, newest)}
			}
		}
	}
	return notes, nil
}

// TableNames lists the tables whose columns CheckSchema wants to see.
func TableNames() []string {
	names := make([]string, len(Tables))
	for i, table := range Tables {
		names[i] = table.Name
	}
	return names
}
