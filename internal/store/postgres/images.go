package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"decayctl/internal/fact"
	"decayctl/internal/store"
)

// keepBeforeImages inserts before-images. If there is an older one, it stays: an undo has to restore the oldest.
func (w *writer) keepBeforeImages(ctx context.Context, images []store.BeforeImage) error {
	if len(images) == 0 {
		return nil
	}
	var a imageArrays
	for _, image := range images {
		a.add(image)
	}
	_, err := w.tx.Exec(ctx, `
		INSERT INTO `+w.table("decayctl_before")+` (job_id, fact_id, had_override, valid_until, confidence, reason,
			updated_at, updated_by, had_edge, edge_valid_until, edge_decay_epoch, edge_confidence)
		SELECT $1, b.fact_id, b.had_override, b.valid_until, b.confidence, b.reason,
			CASE WHEN b.had_override <> 0 THEN b.updated_at END, b.updated_by, b.had_edge, b.edge_valid_until, b.edge_decay_epoch, b.edge_confidence
		FROM `+imageList(2)+`
		ON CONFLICT (job_id, fact_id) DO NOTHING`, append([]any{w.batch.Lease.JobID}, a.args()...)...)
	return err
}

// imageArrays is before-images column by column, as arguments of one statement.
type imageArrays struct {
	ids               []string
	overridden, edged []int32
	override          overrideArrays
	edgeUntil         []*string
	edgeEpoch         []*int64
	edgeConfidence    []*float32
}

func (a *imageArrays) add(image store.BeforeImage) {
	override, edge := image.Override, image.Edge
	a.ids, a.overridden, a.edged = append(a.ids, image.FactID), append(a.overridden, boolInt(override != nil)), append(a.edged, boolInt(edge != nil))
	if override == nil {
		override = &fact.Override{}
	}
	if edge == nil {
		edge = &fact.Edge{}
	}
	a.override.add(*override)
	a.edgeUntil, a.edgeEpoch = append(a.edgeUntil, edge.ValidUntil), append(a.edgeEpoch, edge.DecayEpoch)
	a.edgeConfidence = append(a.edgeConfidence, toFloat4(edge.Confidence))
}

func (a *imageArrays) args() []any {
	o := a.override
	return []any{a.ids, a.overridden, o.validUntil, o.confidence, o.reason, o.updatedAt, o.updatedBy, a.edged, a.edgeUntil, a.edgeEpoch, a.edgeConfidence}
}

// imageList is before-images b as an item of FROM. The first of their arrays is argument $first.
func imageList(first int) string {
	types := []string{"text", "int", "text", "float4", "text", "text", "text", "int", "text", "bigint", "float4"}
	arrays := make([]string, len(types))
	for i, each := range types {
		arrays[i] = fmt.Sprintf("$%d::%s[]", first+i, each)
	}
	return "unnest(" + strings.Join(arrays, ", ") + `)
			AS b(fact_id, had_override, valid_until, confidence, reason, updated_at, updated_by, had_edge, edge_valid_until, edge_decay_epoch, edge_confidence)`
}

// beforeImages reads the before-images of a job for some facts. They are not joined with the facts' overrides, which may be on
// other nodes of a cluster. If their text is too long, it returns fewer ids: more is the last of them, or "".
func (s *Store) beforeImages(ctx context.Context, tx pgx.Tx, id string, ids []string) (fit []string, images imageArrays, more string, err error) {
	edgeConfidence, err := s.prepareLookups(ctx, tx)
	if err != nil {
		return nil, images, "", err
	}
	// LATERAL looks each up by its key. Ids in decayctl_before have the default collation; ids of facts may have another.
	rows, err := tx.Query(ctx, `
		SELECT i.place, b.fact_id, b.had_override <> 0, b.valid_until, b.confidence, b.reason, coalesce(b.updated_at, ''), b.updated_by,
			b.had_edge <> 0, b.edge_valid_until, b.edge_decay_epoch, `+edgeConfidence+`
		FROM unnest($1::text[]) WITH ORDINALITY AS i(id, place)
		CROSS JOIN LATERAL (SELECT * FROM `+s.table("decayctl_before")+` b WHERE b.job_id = $2 AND b.fact_id = i.id LIMIT 1) b
		ORDER BY i.place`, ids, id)
	if err != nil {
		return nil, images, "", err
	}
	var place, text int
	var hadOverride, hadEdge bool
	var o fact.Override
	var e fact.Edge
	var factID string
	var confidence, edgeWas *float32
	_, err = pgx.ForEachRow(rows, []any{&place, &factID, &hadOverride, &o.ValidUntil, &confidence, &o.Reason, &o.UpdatedAt, &o.UpdatedBy, &hadEdge, &e.ValidUntil, &e.DecayEpoch, &edgeWas}, func() error {
		if more != "" {
			return nil // to stop the reading would end the transaction
		}
		image, override, edge := store.BeforeImage{FactID: factID}, o, e
		if override.Confidence = fromFloat4(confidence); hadOverride {
			image.Override = &override
		}
		if edge.Confidence = fromFloat4(edgeWas); hadEdge {
			image.Edge = &edge
		}
		images.add(image)
		if text += override.Text(); text > store.MaxPartText && place < len(ids) {
			ids, more = ids[:place], factID
		}
		return nil
	})
	return ids, images, more, err
}

// prepareLookups makes the transaction look before-images up by their key, even if their table is small. It returns the column
// with the confidence of edges before the job. Tables that an older decayctl made do not have it until this version writes.
func (s *Store) prepareLookups(ctx context.Context, tx pgx.Tx) (edgeConfidence string, err error) {
	var there bool
	err = tx.QueryRow(ctx, `
		SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_attribute
			WHERE attrelid = $1::regclass AND attname = 'edge_confidence' AND NOT attisdropped)
		FROM set_config('enable_seqscan', 'off', true)`, s.table("decayctl_before")).Scan(&there)
	if there {
		return "b.edge_confidence", err
	}
	return "NULL::float4", err
}
