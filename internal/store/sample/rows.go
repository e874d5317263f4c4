package sample

import (
	"iter"
)

// Rows are some rows of one table.
type Rows struct {
	Table   string
	Columns []string
	Values  [][]any // string, int64, float64, []float32 or nil
}

// table is an index in tables.
type table int

const (
	nodeMeta table = iota
	gardens
	tombstones
	revocations
	jobs
	facts
	overrides
	retractions
	edges
	journal
	quarantine
	membership
	embeddingStatus
	conflicts
	cards
	vectors
	tableCount
)

// tables are the tables with rows, each after the tables to which it refers.
var tables = [tableCount]struct {
	name    string
	columns []string
}{
	nodeMeta: {"node_meta", []string{"key", "value"}},
	gardens: {"gardens", []string{"id", "slug", "name", "scope", "created_by", "created_at", "tenant_id",
		"quarantine"}},
	tombstones: {"tombstones", []string{"id", "entity_uri", "scope", "reason", "signed_by", "signature",
		"created_at", "legal_hold", "tenant_id", "key_id"}},
	revocations: {"tombstone_revocations", []string{"id", "tombstone_id", "reason", "signed_by", "signature",
		"created_at", "key_id"}},
	jobs: {"jobs", []string{"id", "job_type", "status", "scope", "estimated_s", "created_at", "started_at",
		"completed_at", "result_json", "error"}},
	facts: {"facts", []string{"id", "entity", "relation", "value_type", "value_v", "source", "timestamp",
		"valid_until", "confidence", "scope", "hlc", "received_from", "origin_node_id", "origin_allowed_scopes",
		"re_federation_blocked", "garden_id", "tenant_id", "quarantine_status", "quarantine_garden_id",
		"source_trust", "cid", "interpret_as"}},
	overrides: {"fact_validity_overrides", []string{"fact_id", "valid_until", "confidence", "reason",
		"updated_at", "updated_by"}},
	retractions: {"fact_retractions", []string{"id", "fact_id", "retracted_at", "retracted_by"}},
	edges: {"entity_edges", []string{"id", "subject", "relation", "object", "scope", "garden_id", "tenant_id",
		"valid_until", "confidence", "source_trust", "decay_epoch", "created_at"}},
	journal: {"fact_journal", []string{"id", "fact_id", "event_type", "event_ts", "tenant_id", "actor_uri",
		"source", "scope", "cid", "body_json"}},
	quarantine: {"fact_quarantine_status", []string{"fact_id", "quarantine_garden_id", "quarantine_status",
		"quarantine_reason", "quarantine_acted_by", "quarantine_acted_at", "updated_at"}},
	membership: {"fact_garden_membership", []string{"fact_id", "garden_id", "updated_at", "updated_by"}},
	embeddingStatus: {"fact_embedding_status", []string{"fact_id", "embedding_missing", "updated_at",
		"last_error", "updated_by"}},
	conflicts: {"conflicts", []string{"id", "fact_a_id", "fact_b_id", "status", "detected_at"}},
	cards: {"memory_cards", []string{"entity_uri", "tenant_id", "scope", "summary", "fact_hashes",
		"avg_confidence", "refreshed_at", "is_stale", "has_contradictions"}},
	vectors: {"vec_facts", []string{"fact_id", "embedding"}},
}

// factsPerFlush limits the memory for a large sample. Each flush costs a COPY for each table.
const factsPerFlush = 10_000

// Generate yields the rows of a sample, in an order in which foreign keys are valid.
func Generate(o Options) iter.Seq[Rows] {
	return func(yield func(Rows) bool) {
		g := newGenerator(o)
		g.surroundings()
		for k := range g.o.Facts {
			if k%factsPerFlush == 0 && !g.flush(yield) {
				return
			}
			g.fact(k)
		}
		g.pastJobs()
		g.flush(yield)
	}
}

func (g *generator) add(t table, row ...any) { g.rows[t] = append(g.rows[t], row) }

func (g *generator) flush(yield func(Rows) bool) bool {
	for t := range g.rows {
		if len(g.rows[t]) == 0 {
			continue
		}
		if !yield(Rows{Table: tables[t].name, Columns: tables[t].columns, Values: g.rows[t]}) {
			return false
		}
		g.rows[t] = nil
	}
	return true
}
