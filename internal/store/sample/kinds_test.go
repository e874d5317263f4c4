package sample_test

import (
	"strings"
	"testing"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/rule"
	"decayctl/internal/store/sample"
)

// kinds are the rows that every sample of the default size must have, as queries that count them.
var kinds = []struct{ name, query string }{
	{"each scope", `SELECT count(DISTINCT scope) = 4 FROM facts`},
	{"each value type", `SELECT count(DISTINCT value_type) = 7 FROM facts`},
	{"three tenants, default first", `SELECT count(DISTINCT tenant_id) = 3 AND sum(tenant_id = 'default') > 0.8 * count(*) FROM facts`},
	{"25 relations", `SELECT count(DISTINCT relation) > 25 FROM facts`},
	{"instructions", `SELECT count(*) FROM facts WHERE interpret_as = 'instruction'`},
	{"confidence 0", `SELECT count(*) FROM facts WHERE confidence = 0.0`},
	{"confidence at a floor", `SELECT count(*) FROM facts WHERE confidence = 0.4`},
	{"confidence in two decimals", `SELECT count(*) = 20000 FROM facts WHERE confidence = round(confidence, 2)`},
	{"node stamps", `SELECT count(*) > 19000 FROM facts WHERE timestamp GLOB '????-??-??T??:??:??.??????+00:00'`},
	{"stamps with Z", `SELECT count(*) FROM facts WHERE timestamp GLOB '????-??-??T??:??:??Z'`},
	{"stamps with an offset", `SELECT count(*) FROM facts WHERE timestamp GLOB '*+02:00'`},
	{"naive stamps", `SELECT count(*) FROM facts WHERE timestamp GLOB '????-??-??T??:??:??.??????'`},
	{"dates", `SELECT count(*) FROM facts WHERE timestamp GLOB '????-??-??'`},
	{"no fraction", `SELECT count(*) FROM facts WHERE timestamp GLOB '????-??-??T??:??:??+00:00'`},
	{"not a date", `SELECT count(*) FROM facts WHERE timestamp = 'not a date'`},
	{"epochs", `SELECT count(*) FROM facts WHERE timestamp GLOB '1718*'`},
	{"stamps to come", `SELECT count(*) FROM facts WHERE timestamp BETWEEN '2026-06-16' AND '2026-08'`},
	{"never old", `SELECT count(*) FROM facts WHERE timestamp GLOB '2999*'`},
	{"exactly 90 days", `SELECT count(*) FROM facts WHERE timestamp = '2026-03-17T12:00:00.500000+00:00'`},
	{"expiries past", `SELECT count(*) > 500 FROM facts WHERE valid_until < '2026-06-15'`},
	{"expiries to come", `SELECT count(*) > 500 FROM facts WHERE valid_until BETWEEN '2026-06-16' AND '2029'`},
	{"expiry at as-of", `SELECT count(*) FROM facts WHERE valid_until = '2026-06-15T12:00:00.500000+00:00'`},
	{"expiries unreadable", `SELECT count(*) FROM facts WHERE valid_until = 'tomorrow'`},
	{"expiries empty", `SELECT count(*) FROM facts WHERE valid_until = ''`},
	{"system entities", `SELECT count(*) FROM facts WHERE entity GLOB 'stigmem:node:*'`},
	{"system relations", `SELECT count(*) FROM facts WHERE relation = 'stigmem:received_from'`},
	{"upper-case system relations", `SELECT count(*) FROM facts WHERE relation GLOB 'STIGMEM:*'`},
	{"rel: relations", `SELECT count(*) FROM facts WHERE relation GLOB 'rel:*'`},
	{"federated facts", `SELECT count(*) FROM facts WHERE received_from IS NOT NULL`},
	{"terminal escapes", `SELECT count(*) = 2 FROM facts WHERE instr(entity || relation, char(27)) > 0`},
	{"bidi overrides", `SELECT count(*) FROM facts WHERE instr(entity, char(0x202e)) > 0`},
	{"line ends and quotes", `SELECT count(*) FROM facts WHERE instr(relation, char(10)) > 0 AND instr(entity, '''') > 0`},
	{"edges", `SELECT count(*) > 1000 FROM entity_edges JOIN facts USING (id) WHERE value_type = 'ref' AND value_v = object`},
	{"edges expired", `SELECT count(*) FROM entity_edges JOIN fact_validity_overrides ON fact_id = id AND entity_edges.valid_until = fact_validity_overrides.valid_until WHERE decay_epoch > 1700000000000`},
	{"rejections", `SELECT count(*) FROM fact_validity_overrides WHERE confidence = 0.0 AND valid_until IS NULL AND reason = 'quarantine_rejected'`},
	{"extensions", `SELECT count(*) FROM fact_validity_overrides o JOIN facts ON id = fact_id WHERE o.valid_until > facts.valid_until AND reason = 'extended'`},
	{"swept, old", `SELECT count(*) FROM fact_validity_overrides WHERE reason = 'decay_sweep' AND fact_id NOT IN (SELECT fact_id FROM fact_retractions)`},
	{"swept, weak", `SELECT count(*) FROM fact_validity_overrides JOIN fact_retractions USING (fact_id) WHERE reason = 'decay_sweep' AND retracted_at = valid_until`},
	{"pending in the fact", `SELECT count(*) FROM facts LEFT JOIN fact_quarantine_status q ON fact_id = id WHERE facts.quarantine_status = 'pending' AND fact_id IS NULL`},
	{"pending in the table", `SELECT count(*) FROM facts JOIN fact_quarantine_status q ON fact_id = id WHERE facts.quarantine_status IS NULL AND q.quarantine_status = 'pending'`},
	{"pending, not overridden", `SELECT count(*) FROM facts JOIN fact_quarantine_status q ON fact_id = id WHERE facts.quarantine_status = 'pending' AND q.quarantine_status IS NULL`},
	{"promoted", `SELECT count(*) FROM facts JOIN fact_quarantine_status q ON fact_id = id WHERE facts.quarantine_status = 'pending' AND q.quarantine_status = 'promoted'`},
	{"held", `SELECT count(*) FROM facts JOIN tombstones ON entity_uri = entity WHERE legal_hold = 1 AND tombstones.scope = '*' AND tombstones.tenant_id = +facts.tenant_id AND tombstones.id NOT IN (SELECT tombstone_id FROM tombstone_revocations)`},
	{"held in one scope", `SELECT count(*) FROM facts JOIN tombstones ON entity_uri = entity WHERE legal_hold = 1 AND tombstones.scope = facts.scope`},
	{"hold of another tenant", `SELECT count(*) FROM facts JOIN tombstones ON entity_uri = entity WHERE legal_hold = 1 AND tombstones.tenant_id = 'lab' AND facts.tenant_id = 'default'`},
	{"hold revoked", `SELECT count(*) FROM facts JOIN tombstones ON entity_uri = entity WHERE legal_hold = 1 AND tombstones.id IN (SELECT tombstone_id FROM tombstone_revocations r WHERE r.signed_by = tombstones.signed_by)`},
	{"hold revoked by another", `SELECT count(*) FROM facts JOIN tombstones ON entity_uri = entity WHERE legal_hold = 1 AND tombstones.id IN (SELECT tombstone_id FROM tombstone_revocations r WHERE r.signed_by <> tombstones.signed_by)`},
	{"plain tombstones", `SELECT count(*) FROM facts JOIN tombstones ON entity_uri = entity WHERE legal_hold = 0`},
	{"fresh cards", `SELECT count(*) > 1000 FROM memory_cards JOIN facts ON entity_uri = entity AND +facts.tenant_id = memory_cards.tenant_id AND +facts.scope = memory_cards.scope WHERE is_stale = 0`},
	{"stale cards", `SELECT count(*) > 1000 FROM memory_cards WHERE is_stale = 1`},
	{"conflicts", `SELECT count(*) FROM conflicts JOIN facts a ON a.id = fact_a_id JOIN facts b ON b.id = fact_b_id WHERE a.entity = b.entity AND a.relation = b.relation AND a.value_v <> b.value_v`},
	{"embeddings missing", `SELECT count(*) FROM fact_embedding_status WHERE embedding_missing = 1`},
	{"journal", `SELECT count(*) FROM fact_journal`},
	{"memberships", `SELECT count(*) FROM fact_garden_membership WHERE garden_id IS NULL`},
	{"each job status", `SELECT count(DISTINCT status) = 4 FROM jobs`},
	{"node id", `SELECT count(*) FROM node_meta WHERE key = 'node_id'`},
}

func TestDefaultSample(t *testing.T) {
	start := time.Now()
	db := filled(t, sample.Options{AsOf: asOf, Seed: 1, NearExpiries: true})
	t.Logf("made in %v", time.Since(start).Round(time.Millisecond))
	if n := count(t, db, "SELECT count(*) FROM facts"); n != sample.DefaultFacts {
		t.Errorf("%d facts, want %d", n, sample.DefaultFacts)
	}
	for _, kind := range kinds {
		if count(t, db, kind.query) == 0 {
			t.Errorf("no %s", kind.name)
		}
	}
}

// A plain sweep of a sample has something to do and something to leave alone.
func TestSampleIsMostlyStale(t *testing.T) {
	ttl, floor := rule.TTL(90*86400), rule.Floor(0.4)
	rules := rule.Set{TTL: &ttl, Floor: &floor}
	overrides := map[any]*fact.Override{}
	var candidates []fact.Candidate
	for rows := range sample.Generate(sample.Options{AsOf: asOf, Seed: 1}) {
		at := func(row []any, column string) any {
			for i, name := range rows.Columns {
				if name == column {
					return row[i]
				}
			}
			t.Fatalf("%s has no column %s", rows.Table, column)
			return nil
		}
		for _, row := range rows.Values {
			switch rows.Table {
			case "facts":
				c := fact.Candidate{Fact: fact.Fact{
					ID: at(row, "id").(string), Entity: at(row, "entity").(string), Relation: at(row, "relation").(string),
					Timestamp: at(row, "timestamp").(string), Confidence: at(row, "confidence").(float64),
				}}
				if until, ok := at(row, "valid_until").(string); ok {
					c.ValidUntil = &until
				}
				candidates = append(candidates, c)
			case "fact_validity_overrides":
				o := &fact.Override{}
				if until, ok := at(row, "valid_until").(string); ok {
					o.ValidUntil = &until
				}
				if confidence, ok := at(row, "confidence").(float64); ok {
					o.Confidence = &confidence
				}
				overrides[at(row, "fact_id")] = o
			}
		}
	}
	actions := map[rule.Action]int{}
	protections := map[rule.Protection]int{}
	for i := range candidates {
		c := &candidates[i]
		c.Override = overrides[c.ID]
		v := rules.Decide(c, asOf)
		actions[v.Action]++
		protections[v.Kept]++
	}
	share := float64(actions[rule.Expire]) / float64(len(candidates))
	t.Logf("%.1f %% to expire, kept: %v", 100*share, protections)
	if share < 0.55 || share > 0.75 {
		t.Errorf("%.1f %% of the facts are to expire, want 60 to 70", 100*share)
	}
	for _, kept := range []rule.Protection{rule.System, rule.Rel, rule.UnreadableTimestamp, rule.UnreadableValidUntil} {
		if protections[kept] == 0 {
			t.Errorf("no fact is kept as %s", kept)
		}
	}
}

// plainKinds are what a plain sample must hold to, as queries.
var plainKinds = []struct{ name, query string }{
	{"the node's stamps only", `SELECT count(*) = 20000 FROM facts
		WHERE timestamp GLOB '????-??-??T??:??:??.??????+00:00' AND coalesce(valid_until, timestamp) GLOB '????-??-??T??:??:??.??????+00:00'`},
	{"a year, up to its as-of", `SELECT min(timestamp) BETWEEN '2025-06-15' AND '2025-06-17' AND max(timestamp) BETWEEN '2026-06-15' AND '2026-06-15T12:00:00.500000+00:00' FROM facts`},
	{"5 % system facts", `SELECT sum(entity LIKE 'stigmem:%' AND entity NOT LIKE 'stigmem://%' OR relation LIKE 'stigmem:%') BETWEEN 900 AND 1100 FROM facts`},
	{"10 % with an expiry", `SELECT sum(valid_until IS NOT NULL) BETWEEN 1800 AND 2200 FROM facts`},
	{"20 % references with an edge", `SELECT count(*) BETWEEN 3600 AND 4400 FROM entity_edges JOIN facts USING (id) WHERE value_type = 'ref'`},
	{"2 % overrides", `SELECT count(*) BETWEEN 300 AND 500 FROM fact_validity_overrides`},
	{"about 70 % stale", `SELECT count(*) BETWEEN 13600 AND 14400 FROM facts f LEFT JOIN fact_validity_overrides o ON o.fact_id = f.id
		WHERE entity NOT GLOB 'stigmem:[^/]*' AND relation NOT GLOB 'stigmem:*' AND relation NOT GLOB 'rel:*'
		  AND (timestamp <= '2026-03-17T12:00:00.500000+00:00' AND coalesce(o.valid_until, f.valid_until) IS NULL
		    OR f.confidence > 0 AND f.confidence < 0.4 AND coalesce(o.valid_until, f.valid_until, '9') > '2026-06-15T12:00:00.500000+00:00')`},
	{"few cards", `SELECT count(*) BETWEEN 50 AND 1000 FROM memory_cards`},
	{"few holds", `SELECT count(*) BETWEEN 5 AND 50 FROM tombstones WHERE legal_hold = 1`},
	{"pending facts", `SELECT count(*) FROM facts WHERE quarantine_status = 'pending'`},
	{"nothing that attacks a terminal", `SELECT sum(instr(entity || relation, char(27))) = 0 FROM facts`},
}

func TestPlainSample(t *testing.T) {
	db := filled(t, sample.Options{AsOf: asOf, Seed: 1, Plain: true})
	for _, kind := range plainKinds {
		if count(t, db, kind.query) == 0 {
			t.Errorf("not so: %s", kind.name)
		}
	}
}

func TestSmallSamples(t *testing.T) {
	for _, facts := range []int{1, 2, 30} {
		db := filled(t, sample.Options{Facts: facts, AsOf: asOf, Seed: 3})
		if n := count(t, db, "SELECT count(*) FROM facts"); n != facts {
			t.Errorf("%d facts, want %d", n, facts)
		}
	}
}

func TestPostgresDDLIsUnqualified(t *testing.T) {
	if ddl := sample.PostgresDDL(); strings.Contains(ddl, "public.") || !strings.Contains(ddl, "CREATE TABLE facts") {
		t.Error("the DDL qualifies its tables, or has none")
	}
}
