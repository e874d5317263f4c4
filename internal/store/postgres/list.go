package postgres

import (
	"context"
	"strconv"

	"github.com/jackc/pgx/v5"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/store"
)

// Find compares the beginnings of ids, and takes no character of the prefix for a wildcard.
func (s *Store) Find(ctx context.Context, prefix string) (j job.Job, err error) {
	if s.broken != nil {
		return j, s.broken
	}
	err = s.within(ctx, reading, func(tx pgx.Tx) error {
		own, err := s.has(ctx, tx, "decayctl_jobs")
		if err != nil {
			return err
		}
		ids, err := s.idsLike(ctx, tx, own, prefix)
		switch {
		case err != nil:
			return err
		case len(ids) == 0 && own:
			return s.unknown(ctx, tx, prefix)
		case len(ids) == 0:
			return &job.Unknown{Prefix: prefix}
		case len(ids) > 1 && ids[0] != prefix:
			return &job.Ambiguous{Prefix: prefix, IDs: ids}
		}
		var found []job.Job
		if own {
			if found, err = s.jobs(ctx, tx, "WHERE job_id = $1", ids[0]); err != nil {
				return err
			}
		}
		if len(found) == 0 {
			if found, err = s.nodeJobs(ctx, tx, "AND n.id = $1", ids[0]); err != nil {
				return err
			}
		}
		if len(found) == 0 {
			return &job.Unknown{Prefix: prefix} // gone between two statements
		}
		if !found[0].Node {
			if err := s.detail(ctx, tx, found); err != nil {
				return err
			}
		}
		j = found[0]
		return nil
	})
	if unstorable(err) {
		return j, &job.Unknown{Prefix: prefix}
	}
	return j, s.translate(err, "look for the job")
}

// idsLike are the ids of jobs that begin with a prefix, the exact one first, and no more than tell
// that there are several.
func (s *Store) idsLike(ctx context.Context, tx pgx.Tx, own bool, prefix string) ([]string, error) {
	if prefix == "" {
		return nil, nil
	}
	// Both columns are compared byte by byte, whatever collation either has.
	query := `SELECT n.id COLLATE "C" AS id FROM ` + s.table("jobs") + ` n WHERE n.job_type = 'decay'`
	if own {
		query += ` UNION SELECT job_id COLLATE "C" FROM ` + s.table("decayctl_jobs")
	}
	rows, err := tx.Query(ctx, `
		SELECT id FROM (`+query+`) j
		WHERE left(id, length($1)) = $1
		ORDER BY id <> $1, id LIMIT 3`, prefix)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// detail reads what hangs on one job.
func (s *Store) detail(ctx context.Context, tx pgx.Tx, found []job.Job) error {
	if err := s.complete(ctx, tx, found); err != nil {
		return err
	}
	return tx.QueryRow(ctx, `SELECT count(*) FROM `+s.table("decayctl_before")+` WHERE job_id = $1`, found[0].ID).Scan(&found[0].BeforeImages)
}

// List reads the keys of all jobs first: an order by their stamps has no index in the node's table.
func (s *Store) List(ctx context.Context, p store.ListParams, use func(job.Job) error) error {
	if s.broken != nil {
		return s.broken
	}
	var keys []store.JobKey
	err := s.within(ctx, reading, func(tx pgx.Tx) (err error) {
		keys, err = s.jobKeys(ctx, tx, p)
		return err
	})
	if err != nil {
		return s.translate(err, "list the jobs")
	}
	return store.ListJobs(store.SortJobs(keys, p), p, func(ours, node []string) (found []job.Job, err error) {
		err = s.within(ctx, reading, func(tx pgx.Tx) error {
			if len(ours) > 0 {
				if found, err = s.jobs(ctx, tx, "WHERE job_id = ANY($1::text[])", ours); err != nil {
					return err
				}
				if err := s.complete(ctx, tx, found); err != nil {
					return err
				}
			}
			if len(node) == 0 {
				return nil
			}
			more, err := s.nodeJobs(ctx, tx, "AND n.id = ANY($1::text[])", node)
			found = append(found, more...)
			return err
		})
		return found, s.translate(err, "list the jobs")
	}, use)
}

// jobKeys are the jobs that a list is of, in no order.
func (s *Store) jobKeys(ctx context.Context, tx pgx.Tx, p store.ListParams) (keys []store.JobKey, err error) {
	own, err := s.has(ctx, tx, "decayctl_jobs")
	if err != nil {
		return nil, err
	}
	// LIMIT NULL is none.
	var limit *int
	if p.Limit > 0 {
		limit = &p.Limit
	}
	var states []string
	for _, state := range p.States {
		states = append(states, string(state))
	}
	read := func(node bool, query string, args ...any) error {
		rows, err := tx.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		var id, created string
		_, err = pgx.ForEachRow(rows, []any{&id, &created}, func() error {
			keys = append(keys, store.NewJobKey(id, created, node))
			return nil
		})
		return err
	}
	if own {
		where, args := "($1::text[] IS NULL OR state = ANY($1))", []any{states, limit}
		if states != nil {
			where = "state = ANY($1::text[])" // by the index of states
		}
		if !p.After.IsZero() {
			where, args = where+` AND stamp COLLATE "C" > $3`, append(args, fact.FormatSecond(p.After))
		}
		if err := read(false, `SELECT job_id, created_at FROM `+s.table("decayctl_jobs")+` WHERE `+where+`
			ORDER BY created_at COLLATE "C" DESC, job_id LIMIT $2`, args...); err != nil {
			return nil, err
		}
	}
	if !p.After.IsZero() {
		return keys, nil
	}
	others := ""
	if own {
		others = ` AND NOT EXISTS (SELECT 1 FROM ` + s.table("decayctl_jobs") + ` j WHERE j.job_id = n.id COLLATE "default")`
	}
	err = read(true, `SELECT n.id, n.created_at FROM `+s.table("jobs")+` n
		WHERE n.job_type = 'decay' AND ($1::text[] IS NULL OR n.status = ANY($1))`+others+`
		ORDER BY n.created_at COLLATE "C" DESC, n.id LIMIT $2`, states, limit)
	return keys, err
}

// nodeJobs reads the node's own decay jobs.
func (s *Store) nodeJobs(ctx context.Context, tx pgx.Tx, where string, args ...any) (found []job.Job, err error) {
	rows, err := tx.Query(ctx, `
		SELECT n.id, n.status, n.scope, n.estimated_s, n.created_at, n.started_at, n.completed_at, n.result_json, n.error
		FROM `+s.table("jobs")+` n WHERE n.job_type = 'decay' `+where, args...)
	if err != nil {
		return nil, err
	}
	var id, status string
	var scope, created, started, completed, result, failure *string
	var estimated int64
	_, err = pgx.ForEachRow(rows, []any{&id, &status, &scope, &estimated, &created, &started, &completed, &result, &failure}, func() error {
		found = append(found, store.NodeJob(id, status, scope, estimated, created, started, completed, result, failure))
		return nil
	})
	return found, err
}

// CountUpTo counts no further than it must.
func (s *Store) CountUpTo(ctx context.Context, scope, tenant string, most int64) (n int64, err error) {
	where, args := "WHERE true", []any{most}
	if scope != "" {
		args = append(args, scope)
		where += " AND scope = $" + strconv.Itoa(len(args))
	}
	if tenant != "" {
		args = append(args, tenant)
		where += " AND tenant_id = $" + strconv.Itoa(len(args))
	}
	err = s.within(ctx, reading, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `SELECT count(*) FROM (SELECT 1 FROM `+s.table("facts")+` `+where+` LIMIT $1) f`, args...).Scan(&n)
	})
	return n, s.translate(err, "count the facts")
}
