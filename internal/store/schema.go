package store

import (
	"fmt"
	"slices"
)

// Table is a table of the node's schema, and what decayctl does with it.
type Table struct {
	Name   string
	Read   []string // columns that decayctl reads
	Insert []string // columns that a sweep inserts
	Update []string // columns that a sweep updates
	Null   []string // columns that may be NULL; of the others that decayctl uses, only ids may
	Newer  []string // columns of newer nodes that an insert fills in if the store has them

	Lookups []Lookup // the ways in which decayctl finds rows
	Without string   // what follows if decayctl works without the table, for the operator
}

// Tables are the tables that decayctl needs.
var Tables = []Table{
	{Name: "schema_migrations", Read: []string{"version"}},
	{
		Name: "facts",
		Read: []string{"id", "entity", "relation", "source", "tenant_id", "scope", "timestamp", "valid_until", "confidence", "quarantine_status"},
		Null: []string{"valid_until", "quarantine_status"},
		Lookups: []Lookup{
			{Columns: []string{"id"}, Unique: true, Effect: "a fact could be there twice"},
			{Columns: []string{"entity", "relation"}, Effect: "a policy with keep_last reads all facts for every range"},
			{Columns: []string{"tenant_id"}, Effect: "a report reads all facts once more to count those of other tenants"},
		},
	},
	{
		Name:   "fact_validity_overrides",
		Read:   []string{"fact_id", "valid_until", "confidence", "reason", "updated_at", "updated_by"},
		Insert: []string{"fact_id", "valid_until", "confidence", "reason", "updated_at", "updated_by"},
		Update: []string{"valid_until", "confidence", "reason", "updated_at", "updated_by"},
		Null:   []string{"valid_until", "confidence", "reason", "updated_by"},
		Lookups: []Lookup{
			{Columns: []string{"fact_id"}, Unique: true, Effect: "a fact could get two overrides"},
		},
	},
	{
		Name: "fact_quarantine_status",
		Read: []string{"fact_id", "quarantine_status"},
		Null: []string{"quarantine_status"},
		Lookups: []Lookup{
			{Columns: []string{"fact_id"}, Unique: true, Effect: "a fact could have two states"},
		},
	},
	{
		Name:    "tombstones",
		Read:    []string{"id", "entity_uri", "scope", "tenant_id", "legal_hold", "signed_by"},
		Lookups: []Lookup{{Columns: []string{"entity_uri"}, Effect: "a fact that had an override reads all tombstones; where these are many, every fact does"}},
	},
	{
		Name:    "tombstone_revocations",
		Read:    []string{"tombstone_id", "signed_by"},
		Lookups: []Lookup{{Columns: []string{"tombstone_id"}, Effect: "a legal hold reads all revocations"}},
	},
	{
		Name:   "fact_retractions",
		Read:   []string{"fact_id", "retracted_at"},
		Insert: []string{"id", "fact_id", "retracted_at", "retracted_by"},
		Lookups: []Lookup{
			{Columns: []string{"fact_id"}, Effect: "a batch with a floor, and every batch of an undo, reads the whole retraction log"},
			{Columns: []string{"id"}, Effect: "every batch of an undo reads the whole retraction log"},
		},
	},
	{
		Name: "entity_edges", Read: []string{"id", "valid_until", "confidence", "decay_epoch"}, Update: []string{"valid_until", "confidence", "decay_epoch"},
		Null:    []string{"valid_until", "decay_epoch"},
		Lookups: []Lookup{{Columns: []string{"id"}, Effect: "every batch reads all edges"}},
	},
	{
		Name:   "jobs",
		Read:   []string{"id", "job_type", "status", "scope", "estimated_s", "created_at", "started_at", "completed_at", "result_json", "error"},
		Insert: []string{"id", "job_type", "status", "scope", "estimated_s", "created_at", "started_at", "completed_at", "result_json", "error"},
		Update: []string{"status", "started_at", "completed_at", "result_json", "error"},
		Null:   []string{"scope", "started_at", "completed_at", "result_json", "error"},
		Newer:  []string{"tenant_id"},
	},
	{
		Name: "memory_cards", Read: []string{"entity_uri", "tenant_id", "scope", "is_stale"}, Update: []string{"is_stale"},
		Lookups: []Lookup{{Columns: []string{"entity_uri", "tenant_id", "scope"}, Effect: "every batch reads all memory cards"}},
	},
}

// VectorTables are further tables of a node that makes embeddings. decayctl works without them if they are missing or
// unfit.
var VectorTables = []Table{
	{Name: "vec_facts", Read: []string{"fact_id"}, Without: "the vectors of expired facts stay, and semantic recall may still find them"},
	{
		Name:    "fact_embedding_status",
		Insert:  []string{"fact_id", "embedding_missing", "updated_at", "updated_by"},
		Lookups: []Lookup{{Columns: []string{"fact_id"}, Unique: true, Effect: "a fact could have two states"}},
		Without: "after an undo the node is not told which vectors to make again",
	},
}

// DoneWithout is the note for the operator that decayctl works without a table, for a reason.
func (t Table) DoneWithout(reason string) string { return reason + "; while that is so, " + t.Without }

// UndoTables are the tables in which an undo finds what a job wrote. The node makes no triggers on them.
var UndoTables = []string{"fact_validity_overrides", "fact_retractions", "entity_edges"}

// Written tells whether a sweep writes the table. A dry run reads none of these tables but the overrides.
func (t Table) Written() bool { return len(t.Insert)+len(t.Update) > 0 }

// CheckSchema checks the node's migrations and the forms of its tables. A missing table has no form. The notes are for the
// operator. It fails with an Unusable *Error if decayctl cannot work with the store.
func CheckSchema(migrations []string, forms map[string]Form) (notes []string, err error) {
	if len(forms["facts"].Columns) == 0 || len(forms["schema_migrations"].Columns) == 0 {
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
		form := forms[table.Name]
		for _, column := range slices.Concat(table.Read, table.Insert, table.Update) {
			if !slices.ContainsFunc(form.Columns, func(c Column) bool { return c.Name == column }) {
				return nil, unfit("the store has no column %s.%s; its newest migration %q may need a newer decayctl", table.Name, column, newest)
			}
		}
		if err := table.Check(form); err != nil {
			return nil, err
		}
	}
	return notes, nil
}

// TableNames are the names of Tables, whose forms CheckSchema needs.
func TableNames() []string { return names(Tables) }

// AllTableNames are the names of Tables and VectorTables.
func AllTableNames() []string { return append(TableNames(), names(VectorTables)...) }

func names(of []Table) []string {
	names := make([]string, len(of))
	for i, table := range of {
		names[i] = table.Name
	}
	return names
}
