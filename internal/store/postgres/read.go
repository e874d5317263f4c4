package postgres

import (
	"context"
	"strconv"

	"github.com/jackc/pgx/v5"

	"decayctl/internal/fact"
	"decayctl/internal/store"
)

// Estimate implements store.Facts.
func (s *Store) Estimate(ctx context.Context) (int64, error) {
	var rows int64
	err := s.within(ctx, reading, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, s.layout.estimate(), s.table("facts")).Scan(&rows)
	})
	return rows, s.translate(err, "estimate the number of facts")
}

// NextRange reads the index on id only, in the order of the column's collation.
func (s *Store) NextRange(ctx context.Context, p store.RangeParams) (next store.Range, err error) {
	err = s.within(ctx, reading, func(tx pgx.Tx) error {
		next, err = s.nextRange(ctx, tx, p)
		return err
	})
	return next, s.translate(err, "read the facts")
}

func (s *Store) nextRange(ctx context.Context, tx pgx.Tx, p store.RangeParams) (store.Range, error) {
	where, args := "", []any{p.Size}
	if p.After.Set {
		where, args = "WHERE id > $2", append(args, p.After.ID)
	}
	next := store.Range{After: p.After}
	var last *string
	err := tx.QueryRow(ctx, `
		SELECT max(id), count(*)
		FROM (SELECT id FROM `+s.table("facts")+` `+where+` ORDER BY id LIMIT $1) r`,
		args...).Scan(&last, &next.Facts)
	next.Last = cursor(last)
	return next, err
}

// cursor is the cursor of a column: NULL is before the first fact.
func cursor(id *string) store.Cursor {
	if id == nil {
		return store.Cursor{}
	}
	return store.After(*id)
}

// partSize is how many facts are handed over at once.
const partSize = 1_000

// Candidates reads one range in one snapshot. The condition of the range is repeated for the overrides: in a plain join, the
// planner would hash all overrides for every range.
func (s *Store) Candidates(ctx context.Context, p store.CandidatesParams, use func([]fact.Candidate) error) error {
	err := s.onOneState(ctx, func(tx pgx.Tx) error {
		common, err := s.commonExpiries(ctx, tx)
		if err != nil {
			return err
		}
		few, err := s.fewTombstones(ctx, tx)
		if err != nil {
			return err
		}
		protections, err := s.loadProtections(ctx, tx, p.Range, few)
		if err != nil {
			return err
		}
		quarantine := "f.quarantine_status"
		if !protections.StatusesComplete() {
			quarantine = s.factSQL().Status()
		}
		unswept, err := s.mostlyUnswept(ctx, tx, p.Range)
		if err != nil {
			return err
		}
		ask := s.candidatesQuery
		if unswept || !s.layout.looksUp() {
			ask = s.mostlyUnsweptQuery
			// A sequential scan for a part of the facts may look cheap to the planner, and grows with the table. A bitmap scan
			// and a sort need memory.
			if err := s.layout.set(ctx, tx, "enable_seqscan = off", "work_mem = '32MB'"); err != nil {
				return err
			}
		}
		query, args := ask(p, common, s.selected(p, protections.HoldsComplete(), quarantine))
		place := 0
		return s.eachPart(ctx, tx, query, args, protections, func(part []fact.Candidate) error {
			for i := range part {
				part[i].Place = place
				place++
			}
			return use(part)
		})
	})
	return s.translate(err, "read the facts")
}

// mostlyUnswept tells whether less than a third of the facts of a range have an override.
func (s *Store) mostlyUnswept(ctx context.Context, tx pgx.Tx, r store.Range) (bool, error) {
	if r.IDs != nil {
		return false, nil
	}
	where, args := within(r, "fact_id")
	var overrides int
	err := tx.QueryRow(ctx, "SELECT count(*) FROM "+s.table("fact_validity_overrides")+" WHERE "+where, args...).Scan(&overrides)
	return overrides < r.Facts/3, err
}

// eachPart hands over the facts of a query in parts, with their protections. A part has at most partSize facts, and at most
// store.MaxPartText bytes before its last fact.
func (s *Store) eachPart(ctx context.Context, tx pgx.Tx, query string, args []any, protections *store.Protections, use func([]fact.Candidate) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	part, text := make([]fact.Candidate, 0, partSize), 0
	if err := s.eachCandidate(ctx, tx, query, args, func(c fact.Candidate) error {
		protections.Protect(&c)
		text += c.Text()
		if part = append(part, c); len(part) < partSize && text <= store.MaxPartText {
			return nil
		}
		full := part
		part, text = make([]fact.Candidate, 0, partSize), 0
		err := use(full)
		if err != nil {
			stop() // else the driver would read all remaining rows before it closes them
		}
		return err
	}); err != nil {
		return err
	}
	return use(part)
}

func (s *Store) eachCandidate(ctx context.Context, tx pgx.Tx, query string, args []any, use func(fact.Candidate) error) error {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	var c fact.Candidate
	var o fact.Override
	var confidence float32
	var overridden bool
	var overriddenConfidence *float32
	var updatedAt *string
	_, err = eachRow(rows, []any{&c.ID, &c.Entity, &c.Relation, &c.Tenant, &c.Scope,
		&c.Timestamp, &c.ValidUntil, &confidence, &overridden, &o.ValidUntil, &overriddenConfidence,
		&o.Reason, &updatedAt, &o.UpdatedBy, &c.LegalHold, &c.Quarantine, &c.Source,
	}, func() error {
		each := c
		each.Confidence = shortest(confidence)
		if overridden {
			override := o
			override.UpdatedAt, override.Confidence = *updatedAt, fromFloat4(overriddenConfidence)
			each.Override = &override
		}
		return use(each)
	})
	return err
}

// candidateColumns are the columns that eachCandidate reads.
func candidateColumns(held, quarantine, source string) string {
	return `f.id, f.entity, f.relation, f.tenant_id, f.scope, f.timestamp, f.valid_until, f.confidence,
		       o.fact_id IS NOT NULL, o.valid_until, o.confidence, o.reason, o.updated_at, o.updated_by,
		       ` + held + `, ` + quarantine + `, ` + source
}

// shortest is the number of a float4's shortest decimal, so that 0.7 is 0.7 and not 0.699999988. A confidence that is equal to
// the floor is not below it, as on SQLite.
func shortest(value float32) float64 {
	wide, _ := strconv.ParseFloat(strconv.FormatFloat(float64(value), 'g', -1, 32), 64)
	return wide
}

// selected are the columns of a candidate. A column that is known or not asked for is a constant.
func (s *Store) selected(p store.CandidatesParams, holdsKnown bool, quarantine string) string {
	held := s.factSQL().Held()
	if holdsKnown {
		held = "false"
	}
	source := "''"
	if p.Source {
		source = "f.source"
	}
	return candidateColumns(held, quarantine, source)
}

// mostlyUnsweptQuery reads the facts of a range few of which have an override. The rows are fetched in their physical order,
// which is faster than a look-up for each.
func (s *Store) mostlyUnsweptQuery(p store.CandidatesParams, common []string, selected string) (string, []any) {
	inRange, args := within(p.Range, "f.id")
	overrideInRange, _ := within(p.Range, "o.fact_id")
	conditions := s.factSQL().Conditions(p, common, &args)
	return `
		SELECT ` + selected + `
		FROM ` + s.table("facts") + ` f
		LEFT JOIN ` + s.table("fact_validity_overrides") + ` o ON o.fact_id = f.id AND ` + overrideInRange + `
		WHERE ` + inRange + ` AND ` + conditions.Where(store.EffectiveColumns) + `
		ORDER BY f.id`, args
}

// candidatesQuery reads the facts of a range.
//
// It first leaves out facts that an override has expired, by the indexes on id and the overrides, which are stored in the order
// of ids. On a store that was swept before, few rows of facts are left to fetch. LATERAL with LIMIT looks each of them up by
// its key; for a plain join, the planner may scan all facts.
func (s *Store) candidatesQuery(p store.CandidatesParams, common []string, selected string) (string, []any) {
	inRange, args := within(p.Range, "f.id")
	overrideInRange, _ := within(p.Range, "o.fact_id")
	conditions := s.factSQL().Conditions(p, common, &args)
	return `
		WITH o AS MATERIALIZED (
			SELECT f.id, o.fact_id, o.valid_until, o.confidence, o.reason, o.updated_at, o.updated_by
			FROM ` + s.table("facts") + ` f
			LEFT JOIN ` + s.table("fact_validity_overrides") + ` o ON o.fact_id = f.id AND ` + overrideInRange + `
			WHERE ` + inRange + ` AND ` + conditions.Unexpired("o.valid_until") + `)
		SELECT ` + selected + `
		FROM o
		CROSS JOIN LATERAL (
			SELECT f.id, f.entity, f.relation, f.tenant_id, f.scope, f.timestamp, f.valid_until, f.confidence, f.quarantine_status, f.source
			FROM ` + s.table("facts") + ` f WHERE f.id = o.id LIMIT 1) f
		WHERE ` + conditions.Where(store.EffectiveColumns) + `
		ORDER BY f.id`, args
}
