package jobtable

import (
	"context"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/store"
)

// Find does not use LIKE: a character of the prefix might be a wildcard.
func (t *Table) Find(ctx context.Context, prefix string) (j job.Job, err error) {
	if t.broken != nil {
		return j, t.broken
	}
	if prefix == "" || !utf8.ValidString(prefix) || strings.ContainsRune(prefix, 0) { // no id begins so
		return j, &job.Unknown{Prefix: prefix}
	}
	err = t.db.Read(ctx, func(tx Tx) error {
		own, err := t.db.HasTable(ctx, tx, "decayctl_jobs")
		if err != nil {
			return err
		}
		ids, err := t.beginningWith(ctx, tx, own, prefix)
		switch {
		case err != nil:
			return err
		case len(ids) == 0:
			return t.unknown(ctx, tx, prefix)
		case len(ids) > 1 && ids[0] != prefix:
			return &job.Ambiguous{Prefix: prefix, IDs: ids}
		}
		found, err := t.read(ctx, tx, own, ids[:1], ids[:1])
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return &job.Unknown{Prefix: prefix} // removed between the two statements
		}
		if j = found[0]; j.Node {
			return nil
		}
		_, err = first(ctx, tx, []any{&j.BeforeImages}, `SELECT count(*) FROM `+t.db.Table("decayctl_before")+` WHERE job_id = $1`, j.ID)
		return err
	})
	if err != nil {
		return job.Job{}, t.db.Translate(err, "look for the job")
	}
	return j, nil
}

// beginningWith are up to three ids of jobs that begin with a prefix, an exact match first.
func (t *Table) beginningWith(ctx context.Context, tx Tx, own bool, prefix string) ([]string, error) {
	args := []any{prefix}
	end := store.PrefixEnd(prefix)
	if end != "" {
		args = append(args, end)
	}
	begins := func(column string) string {
		where := t.db.Bytes(column) + ` >= $1 AND substr(` + t.db.Bytes(column) + `, 1, length($1)) = $1`
		if end != "" {
			where += ` AND ` + t.db.Bytes(column) + ` < $2`
		}
		return where
	}
	query := `SELECT ` + t.db.Bytes("n.id") + ` AS id FROM ` + t.db.Table("jobs") + ` n WHERE n.job_type = 'decay' AND ` + begins("n.id")
	if own {
		query += ` UNION SELECT ` + t.db.Bytes("job_id") + ` FROM ` + t.db.Table("decayctl_jobs") + ` WHERE ` + begins("job_id")
	}
	return texts(ctx, tx, `SELECT id FROM (`+query+`) j ORDER BY id <> $1, id LIMIT 3`, args...)
}

// List reads the keys of all jobs first: the node's table has no index on created_at.
func (t *Table) List(ctx context.Context, p store.ListParams, use func(job.Job) error) error {
	if t.broken != nil {
		return t.broken
	}
	var own bool
	var keys []store.JobKey
	err := t.db.Read(ctx, func(tx Tx) (err error) {
		if own, err = t.db.HasTable(ctx, tx, "decayctl_jobs"); err == nil {
			keys, err = t.keys(ctx, tx, own, p)
		}
		return err
	})
	if err != nil {
		return t.db.Translate(err, "list the jobs")
	}
	return store.ListJobs(store.SortJobs(keys, p), p, func(ours, node []string) (found []job.Job, err error) {
		err = t.db.Read(ctx, func(tx Tx) error {
			found, err = t.read(ctx, tx, own, ours, node)
			return err
		})
		return found, t.db.Translate(err, "list the jobs")
	}, use)
}

// CountJobs goes by the index on the state.
func (t *Table) CountJobs(ctx context.Context) (map[job.State]int64, error) {
	if t.broken != nil {
		return nil, t.broken
	}
	counts := map[job.State]int64{}
	err := t.db.Read(ctx, func(tx Tx) error {
		own, err := t.db.HasTable(ctx, tx, "decayctl_jobs")
		if err != nil || !own {
			return err
		}
		var state string
		var jobs int64
		return tx.Query(ctx, []any{&state, &jobs}, func() error {
			counts[job.State(state)] = jobs
			return nil
		}, `SELECT state, count(*) FROM `+t.db.Table("decayctl_jobs")+` GROUP BY state`)
	})
	return counts, t.db.Translate(err, "count the jobs")
}

// read reads jobs of decayctl and of the node by their ids. own tells whether decayctl's own tables exist.
func (t *Table) read(ctx context.Context, tx Tx, own bool, ours, node []string) (found []job.Job, err error) {
	if own && len(ours) > 0 {
		if found, err = t.readJobs(ctx, tx, "WHERE "+t.db.In("job_id", 1), t.db.Array(ours)); err != nil {
			return nil, err
		}
		if err := t.readWorkers(ctx, tx, found); err != nil {
			return nil, err
		}
	}
	if len(node) == 0 {
		return found, nil
	}
	more, err := t.nodeJobs(ctx, tx, own, node)
	return append(found, more...), err
}

// keys are the keys of the jobs to list, in no order.
func (t *Table) keys(ctx context.Context, tx Tx, own bool, p store.ListParams) (keys []store.JobKey, err error) {
	limit := int64(math.MaxInt64)
	if p.Limit > 0 {
		limit = int64(p.Limit)
	}
	args, ofStates := []any{limit}, func(string) string { return "" }
	if len(p.States) > 0 {
		var states []string
		for _, state := range p.States {
			states = append(states, string(state))
		}
		args = append(args, t.db.Array(states))
		ofStates = func(column string) string { return ` AND ` + t.db.In(column, 2) }
	}
	read := func(node bool, query string, args ...any) error {
		var id, created string
		return tx.Query(ctx, []any{&id, &created}, func() error {
			keys = append(keys, store.NewJobKey(id, created, node))
			return nil
		}, query, args...)
	}
	if own {
		later, args := "", args
		if !p.After.IsZero() {
			args = append(args, fact.FormatSecond(p.After))
			later = fmt.Sprintf(` AND %s > $%d`, t.db.Bytes("stamp"), len(args))
		}
		if err := read(false, `
			SELECT job_id, created_at FROM `+t.db.Table("decayctl_jobs")+` WHERE true`+ofStates("state")+later+`
			ORDER BY `+t.db.Bytes("created_at")+` DESC, job_id LIMIT $1`, args...); err != nil {
			return nil, err
		}
	}
	if !p.After.IsZero() {
		return keys, nil
	}
	err = read(true, `
		SELECT n.id, n.created_at FROM `+t.db.Table("jobs")+` n
		WHERE `+t.ofNode(own)+ofStates("n.status")+`
		ORDER BY `+t.db.Bytes("n.created_at")+` DESC, n.id LIMIT $1`, args...)
	return keys, err
}

// nodeJobs reads decay jobs that the node made, by their ids.
func (t *Table) nodeJobs(ctx context.Context, tx Tx, own bool, ids []string) (found []job.Job, err error) {
	var id, status, created string
	var scope, started, completed, result, failure *string
	var estimated int64
	err = tx.Query(ctx, []any{&id, &status, &scope, &estimated, &created, &started, &completed, &result, &failure}, func() error {
		found = append(found, store.NodeJob(id, status, scope, estimated, &created, started, completed, result, failure))
		return nil
	}, `
		SELECT n.id, n.status, n.scope, CAST(n.estimated_s AS bigint), n.created_at, n.started_at, n.completed_at, n.result_json, n.error
		FROM `+t.db.Table("jobs")+` n WHERE `+t.ofNode(own)+` AND `+t.db.In("n.id", 1), t.db.Array(ids))
	return found, err
}

// ofNode is the condition that the node made the decay job n: decayctl's own tables do not have it.
func (t *Table) ofNode(own bool) string {
	where := `n.job_type = 'decay' AND n.id IS NOT NULL`
	if own {
		where += ` AND NOT EXISTS (SELECT 1 FROM ` + t.db.Table("decayctl_jobs") + ` j WHERE j.job_id = ` + t.db.NodeJobID() + `)`
	}
	return where
}

// CountUpTo ends reading with LIMIT.
func (t *Table) CountUpTo(ctx context.Context, scope, tenant string, most int64) (facts int64, err error) {
	where, args := "true", []any{most}
	for _, each := range []struct{ column, value string }{{"scope", scope}, {"tenant_id", tenant}} {
		if each.value != "" {
			args = append(args, each.value)
			where += fmt.Sprintf(" AND %s = $%d", each.column, len(args))
		}
	}
	err = t.db.Read(ctx, func(tx Tx) error {
		_, err := first(ctx, tx, []any{&facts}, `SELECT count(*) FROM (SELECT 1 FROM `+t.db.Table("facts")+` WHERE `+where+` LIMIT $1) f`, args...)
		return err
	})
	return facts, t.db.Translate(err, "count the facts")
}
