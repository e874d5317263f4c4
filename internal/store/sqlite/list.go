package sqlite

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/store"
)

// Find is the job whose id begins with a prefix.
func (s *Store) Find(ctx context.Context, prefix string) (j job.Job, err error) {
	if s.broken != nil {
		return j, s.broken
	}
	err = s.reading(ctx, func(tx querier) error {
		found, err := s.matching(ctx, tx, prefix)
		if err != nil {
			return err
		}
		if whole := slices.IndexFunc(found, func(j job.Job) bool { return j.ID == prefix }); whole >= 0 {
			found = found[whole : whole+1]
		}
		switch len(found) {
		case 0:
			return s.unknown(ctx, tx, prefix)
		case 1:
			j = found[0]
		default:
			ambiguous := &job.Ambiguous{Prefix: prefix}
			for _, j := range found[:min(len(found), 3)] {
				ambiguous.IDs = append(ambiguous.IDs, j.ID)
			}
			return ambiguous
		}
		if j.Node {
			return nil
		}
		return tx.QueryRowContext(ctx, "SELECT count(*) FROM decayctl_before WHERE job_id = $1", j.ID).Scan(&j.BeforeImages)
	})
	if err != nil {
		return job.Job{}, s.translate(err, "read the jobs")
	}
	return j, nil
}

// matching are a few of the jobs whose ids begin with a prefix, by id, one that is the whole prefix
// among them. The prefix is no pattern: LIKE would make one of it.
func (s *Store) matching(ctx context.Context, tx querier, prefix string) ([]job.Job, error) {
	if prefix == "" {
		return nil, nil
	}
	own, err := s.exists(ctx, tx, "decayctl_jobs")
	if err != nil {
		return nil, err
	}
	end := store.PrefixEnd(prefix)
	begins := func(column string) string {
		if end == "" {
			return column + " >= $1 AND instr(" + column + ", $1) = 1 AND $2 = ''"
		}
		return column + " >= $1 AND " + column + " < $2 AND instr(" + column + ", $1) = 1"
	}
	var found []job.Job
	if own {
		if found, err = s.jobs(ctx, tx, "WHERE "+begins("job_id")+" ORDER BY job_id LIMIT 3", prefix, end); err != nil {
			return nil, err
		}
	}
	more, err := s.nodeJobs(ctx, tx, own, "AND "+begins("id")+" ORDER BY id LIMIT 3", prefix, end)
	found = append(found, more...)
	slices.SortFunc(found, func(a, b job.Job) int { return cmp.Compare(a.ID, b.ID) })
	return found, err
}

// unknown says that there is no such job, and whether it may have been pruned.
func (s *Store) unknown(ctx context.Context, tx querier, prefix string) error {
	unknown := &job.Unknown{Prefix: prefix}
	own, err := s.exists(ctx, tx, "decayctl_store")
	if err != nil {
		return err
	}
	if !own {
		return unknown
	}
	var before *string
	if err := tx.QueryRowContext(ctx, "SELECT pruned_before FROM decayctl_store WHERE id = 1").Scan(&before); err != nil {
		return err
	}
	unknown.PrunedBefore, _ = fact.ParseInstant(text(before)) // NULL until jobs were pruned
	return unknown
}

// List reads the keys of all jobs first: an order by their stamps has no index in the node's table.
func (s *Store) List(ctx context.Context, p store.ListParams, use func(job.Job) error) error {
	if s.broken != nil {
		return s.broken
	}
	var own bool
	var keys []store.JobKey
	err := s.reading(ctx, func(tx querier) (err error) {
		if own, err = s.exists(ctx, tx, "decayctl_jobs"); err != nil {
			return err
		}
		keys, err = s.jobKeys(ctx, tx, own, p)
		return err
	})
	if err != nil {
		return s.translate(err, "read the jobs")
	}
	return store.ListJobs(store.SortJobs(keys, p), p, func(ours, node []string) (found []job.Job, err error) {
		err = s.reading(ctx, func(tx querier) error {
			if len(ours) > 0 {
				list, err := json.Marshal(ours)
				if err != nil {
					return err
				}
				if found, err = s.jobs(ctx, tx, "WHERE job_id IN (SELECT value FROM json_each($1))", string(list)); err != nil {
					return err
				}
			}
			if len(node) == 0 {
				return nil
			}
			list, err := json.Marshal(node)
			if err != nil {
				return err
			}
			more, err := s.nodeJobs(ctx, tx, own, "AND id IN (SELECT value FROM json_each($1))", string(list))
			found = append(found, more...)
			return err
		})
		return found, s.translate(err, "read the jobs")
	}, use)
}

// jobKeys are the jobs that a list is of, in no order.
func (s *Store) jobKeys(ctx context.Context, tx querier, own bool, p store.ListParams) (keys []store.JobKey, err error) {
	states, err := json.Marshal(p.States)
	if err != nil {
		return nil, err
	}
	limit := p.Limit
	if limit == 0 {
		limit = -1 // all of them
	}
	read := func(node bool, query string, args ...any) error {
		rows, err := tx.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var id, created string
			if err := rows.Scan(&id, &created); err != nil {
				return err
			}
			keys = append(keys, store.NewJobKey(id, created, node))
		}
		return rows.Err()
	}
	every := len(p.States) == 0
	if own {
		where, args := "($1 OR state IN (SELECT value FROM json_each($2)))", []any{every, string(states), limit}
		if !every {
			where = "state IN (SELECT value FROM json_each($2)) AND NOT $1" // by the index of states
		}
		if !p.After.IsZero() {
			where, args = where+" AND stamp > $4", append(args, fact.FormatSecond(p.After))
		}
		if err := read(false, "SELECT job_id, created_at FROM decayctl_jobs WHERE "+where+" ORDER BY created_at DESC, job_id LIMIT $3", args...); err != nil {
			return nil, err
		}
	}
	if !p.After.IsZero() {
		return keys, nil
	}
	err = read(true, "SELECT id, created_at FROM jobs "+nodeMade(own)+`
		AND ($1 OR status IN (SELECT value FROM json_each($2)))
		ORDER BY created_at DESC, id LIMIT $3`, every, string(states), limit)
	return keys, err
}

// jobs are jobs of ours, with their workers.
func (s *Store) jobs(ctx context.Context, tx querier, where string, args ...any) ([]job.Job, error) {
	rows, err := tx.QueryContext(ctx, `
		SELECT `+store.JobColumns+`, (SELECT count(*) FROM decayctl_claims c WHERE c.job_id = decayctl_jobs.job_id)
		FROM decayctl_jobs `+where, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var found []job.Job
	for rows.Next() {
		var row store.JobRow
		var claims int
		if err := rows.Scan(append(row.Fields(), &claims)...); err != nil {
			return nil, err
		}
		j, err := row.Job()
		if err != nil {
			return nil, err
		}
		j.OpenClaims = claims
		found = append(found, j)
	}
	if err := rows.Err(); err != nil || len(found) == 0 {
		return nil, err
	}
	return found, s.addWorkers(ctx, tx, found)
}

// addWorkers reads the workers of all jobs, who are few.
func (s *Store) addWorkers(ctx context.Context, tx querier, jobs []job.Job) error {
	rows, err := tx.QueryContext(ctx, `
		SELECT job_id, worker, host, space, pid, process_start, joined_at, lease_until
		FROM decayctl_workers ORDER BY job_id, worker`)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	now, workers := s.nowMS(), map[string][]job.Worker{}
	for rows.Next() {
		var id, joined string
		var until int64
		var w job.Worker
		if err := rows.Scan(&id, &w.Number, &w.Host, &w.Space, &w.PID, &w.Start, &joined, &until); err != nil {
			return err
		}
		w.Joined, _ = fact.ParseInstant(joined) // for display alone
		w.Live, w.Left = until > now, time.Duration(until-now)*time.Millisecond
		workers[id] = append(workers[id], w)
	}
	for i := range jobs {
		jobs[i].Workers = workers[jobs[i].ID]
	}
	return rows.Err()
}

// nodeJobs are decay jobs that the node made: those without a row of ours, if there are any of ours.
func (s *Store) nodeJobs(ctx context.Context, tx querier, own bool, where string, args ...any) ([]job.Job, error) {
	rows, err := tx.QueryContext(ctx, `
		SELECT id, status, scope, CAST(estimated_s AS INTEGER), created_at, started_at, completed_at, result_json, error
		FROM jobs `+nodeMade(own)+where, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var found []job.Job
	for rows.Next() {
		var id, status string
		var estimated int64
		var scope, created, started, completed, result, failure *string
		if err := rows.Scan(&id, &status, &scope, &estimated, &created, &started, &completed, &result, &failure); err != nil {
			return nil, err
		}
		found = append(found, store.NodeJob(id, status, scope, estimated, created, started, completed, result, failure))
	}
	return found, rows.Err()
}

// nodeMade is the condition for a decay job that the node made.
func nodeMade(own bool) string {
	if !own {
		return "WHERE job_type = 'decay' AND id IS NOT NULL "
	}
	return "WHERE job_type = 'decay' AND id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM decayctl_jobs j WHERE j.job_id = jobs.id) "
}

// CountUpTo counts facts, and stops at most.
func (s *Store) CountUpTo(ctx context.Context, scope, tenant string, most int64) (int64, error) {
	where, args := "true", []any{most}
	for column, value := range map[string]string{"scope": scope, "tenant_id": tenant} {
		if value != "" {
			args = append(args, value)
			where += fmt.Sprintf(" AND %s = $%d", column, len(args))
		}
	}
	var facts int64
	err := s.read.QueryRowContext(ctx, "SELECT count(*) FROM (SELECT 1 FROM facts WHERE "+where+" LIMIT $1)", args...).Scan(&facts)
	return facts, s.translate(err, "count the facts")
}
