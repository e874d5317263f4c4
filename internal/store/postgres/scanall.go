package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"decayctl/internal/fact"
	"decayctl/internal/store"
)

// maxScanAll is how many facts one transaction may read. While it is open, VACUUM cannot remove rows that were deleted since.
const maxScanAll = 20_000_000

// ScanAll reads all facts in their physical order and joins each table once. In the order of ids, each row would be on
// another page.
func (s *Store) ScanAll(ctx context.Context, p store.CandidatesParams, use func(found []fact.Candidate, covered int) error) (seen store.Range, whole bool, err error) {
	if total, err := s.Estimate(ctx); err != nil || total > maxScanAll {
		return store.Range{}, false, err
	}
	err = s.onOneState(ctx, func(tx pgx.Tx) error {
		// A nested loop would read the overrides in a random order of pages, and the planner may choose it on bad statistics.
		// A hash join needs memory for the overrides.
		if err := s.layout.set(ctx, tx, "enable_nestloop = off", "work_mem = '64MB'"); err != nil {
			return err
		}
		var last *string
		if err := tx.QueryRow(ctx, "SELECT n, last FROM (SELECT count(*) AS n FROM "+s.table("facts")+") c CROSS JOIN (SELECT max(id) AS last FROM "+s.table("facts")+") m").Scan(&seen.Facts, &last); err != nil {
			return err
		}
		seen.Last = cursor(last)
		few, err := s.fewTombstones(ctx, tx)
		if err != nil {
			return err
		}
		protections := &store.Protections{}
		if few {
			if err := protections.LoadHolds(s.factSQL(), onRows(ctx, tx)); err != nil {
				return err
			}
		}
		common, err := s.commonExpiries(ctx, tx)
		if err != nil {
			return err
		}
		query, args := s.scanAllQuery(p, common, protections.HoldsComplete())
		return s.eachPart(ctx, tx, query, args, protections, func(part []fact.Candidate) error {
			return use(part, len(part)) // facts that were filtered out count in seen only
		})
	})
	return seen, true, s.translate(err, "read the facts")
}

func (s *Store) scanAllQuery(p store.CandidatesParams, common []string, holdsKnown bool) (string, []any) {
	var args store.Args
	return `
		SELECT ` + s.selected(p, holdsKnown, "coalesce(q.quarantine_status, f.quarantine_status)") + `
		FROM ` + s.table("facts") + ` f
		LEFT JOIN ` + s.table("fact_validity_overrides") + ` o ON o.fact_id = f.id
		LEFT JOIN ` + s.table("fact_quarantine_status") + ` q ON q.fact_id = f.id
		WHERE ` + s.factSQL().Conditions(p, common, &args).Where(store.EffectiveColumns), args
}
