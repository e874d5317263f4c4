package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/store"
)

// Apply uses READ COMMITTED. It locks rows table by table and in the order of keys, so that two batches cannot deadlock.
func (s *Store) Apply(ctx context.Context, b store.Batch) (store.Applied, error) {
	var w writer
	tries := int64(0)
	err := s.withinBatch(ctx, func(tx pgx.Tx) error {
		w = writer{Store: s, batch: b.CloneForAttempt(), asOf: fact.FormatInstant(b.AsOf), stamp: fact.FormatSecond(b.Stamp)}
		w.locked, w.tx = s.params.Now(), tx
		w.batch.Count.Retries += tries
		tries++
		steps := []func(context.Context) error{w.lockClaim, w.insertOverrides, w.updateOverrides, w.findOwn, w.retract, w.expireEdges}
		if s.vec {
			steps = append(steps, w.deleteVectors)
		}
		return s.runSteps(ctx, tx, w.locked, append(steps, w.staleCards, w.verify, w.recordBatch)...)
	})
	if err != nil {
		return store.Applied{}, s.translate(err, "write a batch")
	}
	return store.Applied{Changed: w.batch.Changed(), Counts: w.counts, Timing: store.Timing{Locked: s.params.Now().Sub(w.locked)}}, nil
}

// writer writes one batch in one transaction.
type writer struct {
	*Store
	tx       pgx.Tx
	batch    store.Batch
	asOf     string
	stamp    string
	locked   time.Time      // when the transaction began
	counts   job.Counts     // of the whole job, with the batch
	verified store.Verified // numbers of rows that the statements wrote
}

func (w *writer) lockClaim(ctx context.Context) error { return w.LockClaim(ctx, jobTx{w.tx}, &w.batch) }

func (w *writer) recordBatch(ctx context.Context) (err error) {
	w.counts, err = w.RecordBatch(ctx, jobTx{w.tx}, &w.batch, w.locked)
	return err
}

// insertOverrides inserts the overrides of facts that had none. If another process has inserted one since, that one stays:
// it may be a rejection.
func (w *writer) insertOverrides(ctx context.Context) error {
	without := w.batch.WithoutOverride()
	if len(without) == 0 {
		return nil
	}
	free, guard, err := w.unprotected(ctx, without)
	if err != nil {
		return err
	}
	for _, group := range store.GroupByOverride(free, w.asOf) {
		var confidences []*float32 // none of them is NULL for each
		if group.SetsConfidence {
			for _, e := range group.List {
				confidences = append(confidences, toFloat4(e.NewConfidence()))
			}
		}
		ids := idArray(group.List)
		n, err := w.layout.insertNew(ctx, w.tx, `
			INSERT INTO `+w.table("fact_validity_overrides")+` (fact_id, valid_until, confidence, reason, updated_at, updated_by)
			SELECT b.id, $2, b.confidence, $3, $4, $5
			FROM unnest($1::text[], $6::float4[]) AS b(id, confidence)
			`+guard, ids, group.ValidUntil, group.Reason, w.stamp, store.Actor, confidences)
		if err != nil {
			return err
		}
		w.verified.Rows += n
		if group.Inserted(n) {
			continue
		}
		// Some were not inserted. RETURNING would tell which, but slows every statement down. No other job has this stamp,
		// and a job writes a fact once. If triggers change an override, findOwn finds it.
		if _, err := collect(ctx, w.tx, store.NewByID(group.List).MarkWritten, `
			SELECT fact_id FROM `+w.table("fact_validity_overrides")+`
			WHERE fact_id = `+anyKey+` AND valid_until IS NOT DISTINCT FROM $2 AND reason = $3 AND updated_at = $4 AND updated_by = $5`,
			ids, group.ValidUntil, group.Reason, w.stamp, store.Actor); err != nil {
			return err
		}
	}
	return nil
}

// unprotected excludes the facts that a legal hold or a quarantine protects by now. If the protections cannot be loaded, guard
// is a condition for the statement that writes the facts.
func (w *writer) unprotected(ctx context.Context, facts []*store.Expiry) (free []*store.Expiry, guard string, err error) {
	few, err := w.fewTombstones(ctx, w.tx)
	if err != nil {
		return nil, "", err
	}
	protections := &store.Protections{}
	if few {
		if protections, err = w.loadProtections(ctx, w.tx, w.batch.Range(), few); err != nil {
			return nil, "", err
		}
	}
	if !protections.HoldsComplete() || !protections.StatusesComplete() {
		// The condition on the keys makes the planner look every fact up; for the join alone it may scan all facts per batch.
		return facts, `JOIN ` + w.table("facts") + ` f ON f.id = b.id
			WHERE f.id = ` + anyKey + ` AND NOT ` + w.factSQL().Held() + ` AND NOT ` + w.factSQL().Pending(), nil
	}
	protections.ExcludeProtected(w.batch)
	if w.skipKeys.Load() {
		guard = w.factsExist() // else the key refuses facts that were deleted
	}
	return w.batch.WithoutOverride(), guard, nil
}

// updateOverrides updates the overrides of which every column is what was read. It keeps the confidence, unless a policy
// reduces it: a rejected fact stays rejected. It locks the rows first, so that the comparison sees what other sessions have
// committed.
func (w *writer) updateOverrides(ctx context.Context) error {
	overridden := w.batch.Overridden()
	if len(overridden) == 0 {
		return nil
	}
	ids := idArray(overridden)
	var was, becomes overrideArrays
	for _, e := range overridden {
		was.add(*e.Override())
		becomes.add(e.After(w.asOf, w.stamp))
	}
	if err := w.lockOverrides(ctx, w.tx, ids); err != nil {
		return err
	}
	// OFFSET 0 keeps the subquery from becoming a join: each fact is looked up by its key.
	n, err := collect(ctx, w.tx, store.NewByID(overridden).MarkWritten, `
		UPDATE `+w.table("fact_validity_overrides")+` AS o
		SET valid_until = b.new_valid_until, confidence = b.new_confidence, reason = b.new_reason, updated_at = $2, updated_by = $3
		FROM unnest($1::text[], $4::text[], $5::float4[], $6::text[], $7::text[], $8::text[], $9::text[], $10::float4[], $11::text[])
			AS b(id, valid_until, confidence, reason, updated_at, updated_by, new_valid_until, new_confidence, new_reason)
		WHERE o.fact_id = ANY($1::text[]) AND o.fact_id = b.id
		  AND o.valid_until IS NOT DISTINCT FROM b.valid_until
		  AND o.confidence IS NOT DISTINCT FROM b.confidence
		  AND o.reason IS NOT DISTINCT FROM b.reason
		  AND o.updated_at IS NOT DISTINCT FROM b.updated_at
		  AND o.updated_by IS NOT DISTINCT FROM b.updated_by
		  AND EXISTS (
			SELECT 1 FROM `+w.table("facts")+` f
			WHERE f.id = o.fact_id AND NOT `+w.factSQL().Held()+` AND NOT `+w.factSQL().Pending()+` OFFSET 0)
		RETURNING o.fact_id`,
		ids, w.stamp, store.Actor, was.validUntil, was.confidence, was.reason, was.updatedAt, was.updatedBy,
		becomes.validUntil, becomes.confidence, becomes.reason)
	w.verified.Rows += n
	return err
}

// lockOverrides locks the override rows of facts in the order of the ids.
func (s *Store) lockOverrides(ctx context.Context, tx pgx.Tx, ids []string) error {
	lock := rowLock{table: s.table("fact_validity_overrides"), key: "fact_id", columns: "r.fact_id", ids: ids}
	return s.layout.lockRows(ctx, tx, lock, []any{new(string)}, func() error { return nil })
}

// retract logs the facts that a floor expired, once for each expiry. The log may already have a row: of a sweep with the
// same as-of whose override was removed, or of the sweep that wrote the fact's present expiry.
func (w *writer) retract(ctx context.Context) error {
	retracted := w.batch.Retracted()
	if len(retracted) == 0 {
		return nil
	}
	earlier := make([]string, len(retracted))
	for i, e := range retracted {
		earlier[i] = e.SweptAt()
	}
	// Two statements, since Citus refuses a subquery that looks each of a list up. The batch has locked the overrides of these
	// facts, so that no other sweep logs them meanwhile. The concatenation keeps the index on retracted_at from being used: all
	// rows of this sweep have the same value.
	logged := map[string]bool{}
	if _, err := collect(ctx, w.tx, func(id string) { logged[id] = true }, `
		SELECT r.fact_id
		FROM `+w.table("fact_retractions")+` r
		JOIN unnest($1::text[], $3::text[]) AS b(fact_id, earlier) ON b.fact_id = r.fact_id
		WHERE r.fact_id = `+anyKey+` AND r.retracted_at || '' IN ($2, b.earlier)`,
		idArray(retracted), w.asOf, earlier); err != nil {
		return err
	}
	var ids, facts []string
	for _, e := range retracted {
		if !logged[e.ID] {
			ids, facts = append(ids, e.Retraction), append(facts, e.ID)
		}
	}
	var err error
	w.verified.Logged, err = w.layout.insert(ctx, w.tx, `
		INSERT INTO `+w.table("fact_retractions")+` (id, fact_id, retracted_at, retracted_by)
		SELECT b.id, b.fact_id, $3::text, $4 FROM unnest($1::text[], $2::text[]) AS b(id, fact_id)`,
		ids, facts, w.asOf, store.Actor)
	return err
}

// anyKey is for a comparison with the keys in $1. The planner does not know how many there are, and looks each up by the
// index, even if they are most of the table.
const anyKey = `ANY(ARRAY(SELECT unnest($1::text[])))`

// deleteVectors deletes the vectors of expired facts: the node's semantic recall does not check expiries.
func (w *writer) deleteVectors(ctx context.Context) error {
	facts := w.batch.LosingVectors()
	if len(facts) == 0 {
		return nil
	}
	_, err := w.tx.Exec(ctx, `DELETE FROM `+w.table("vec_facts")+` WHERE fact_id = `+anyKey, idArray(facts))
	return err
}

// staleCards marks the memory cards of expired facts as stale. Facts of several batches may share a card. So cards come after
// the facts, are locked in the order of keys, and are left alone if they are stale. The sum keeps the index on is_stale from
// being used: before the first ANALYZE, the planner would read all fresh cards of a tenant for each card.
func (w *writer) staleCards(ctx context.Context) error {
	var all cardArrays
	for _, card := range store.UniqueCards(w.batch.Cards()) {
		all.add(card)
	}
	cards, err := w.layout.lockCards(ctx, w.tx, w.table("memory_cards"), all)
	if err != nil || len(cards.entities) == 0 {
		return err
	}
	// The server loops over the sorted list. If few cards are fresh, the planner would else compare each of the list with all of them.
	if err := w.layout.set(ctx, w.tx, lookUps...); err != nil {
		return err
	}
	_, err = w.tx.Exec(ctx, `
		UPDATE `+w.table("memory_cards")+` m SET is_stale = 1
		FROM (
			SELECT entity_uri, tenant_id, scope
			FROM unnest($1::text[], $2::text[], $3::text[]) AS t(entity_uri, tenant_id, scope)
			ORDER BY entity_uri, tenant_id, scope) t
		WHERE m.entity_uri = t.entity_uri AND m.tenant_id = t.tenant_id AND m.scope = t.scope AND m.is_stale + 0 = 0`,
		cards.entities, cards.tenants, cards.scopes)
	return err
}

// lookUps are settings without which the planner may not look each row of a list up by its key.
var lookUps = []string{"enable_hashjoin = off", "enable_mergejoin = off", "enable_material = off", "enable_seqscan = off"}

// cardArrays is the keys of memory cards column by column, as arguments of one statement.
type cardArrays struct{ entities, tenants, scopes []string }

func (a *cardArrays) add(c store.Card) {
	a.entities, a.tenants, a.scopes = append(a.entities, c.Entity), append(a.tenants, c.Tenant), append(a.scopes, c.Scope)
}

func (a cardArrays) at(i int) store.Card {
	return store.Card{Entity: a.entities[i], Tenant: a.tenants[i], Scope: a.scopes[i]}
}

// collect runs a statement and calls add for each id that it returns. n is the number of rows that it wrote or found.
func collect(ctx context.Context, tx pgx.Tx, add func(id string), query string, args ...any) (n int64, err error) {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	var id string
	returned, err := pgx.ForEachRow(rows, []any{&id}, func() error {
		add(id)
		return nil
	})
	return returned.RowsAffected(), err
}

func idArray(expiries []*store.Expiry) []string {
	ids := make([]string, len(expiries))
	for i, e := range expiries {
		ids[i] = e.ID
	}
	return ids
}
