package sqlite_test

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"decayctl/internal/store"
	"decayctl/internal/store/sample"
	"decayctl/internal/store/sqlite"
	"decayctl/internal/store/storetest"
)

// keys are what a look-up in the tables that grow with a store begins with.
var keys = map[string][]string{
	"facts":                   {"id", "entity=? AND relation", "rowid=?"},
	"fact_validity_overrides": {"fact_id"},
	"fact_retractions":        {"id", "fact_id"},
	"entity_edges":            {"id"},
	"memory_cards":            {"entity_uri"},
	"decayctl_before":         {"job_id=? AND fact_id"},
	"vec_facts":               {"2"}, // what vec0 calls the look-up of a key
}

// jobKeys are those of the tables that grow with the number of jobs.
var jobKeys = map[string][]string{
	"decayctl_jobs": {"job_id", "state", "(completed_at,job_id", "completed_at"}, "decayctl_claims": {"job_id"}, "decayctl_before": {"job_id"}, "jobs": {"id"},
}

var (
	named = regexp.MustCompile(`\b(facts|fact_validity_overrides|fact_retractions|entity_edges|memory_cards|decayctl_before|decayctl_jobs|decayctl_claims|vec_facts|tombstones)(?: AS)? ([a-z])\b`)
	step  = regexp.MustCompile(`^(?:SCAN|SEARCH) (\w+)(?: VIRTUAL TABLE INDEX \d+:(\w+)|(?: USING (?:COVERING INDEX \w+|INDEX \w+|(?:INTEGER )?PRIMARY KEY) \(([^)]*)\))?)`)
)

// planner is a file whose stores tell how they run their statements.
type planner struct {
	storetest.Database
	mu    sync.Mutex          // facts are read while others are claimed
	plans map[string][]string // by statement
	many  bool                // tombstones
	keys  map[string][]string // by table
}

// newPlanner makes one, with facts.
func newPlanner(t testing.TB, facts int) *planner {
	t.Helper()
	path := newFile(t)
	if err := sample.FillSQLite(t.Context(), path, sample.Options{Facts: facts, AsOf: storetest.AsOf, VectorDimension: 8}); err != nil {
		t.Fatal(err)
	}
	p := &planner{Database: database(t, path), plans: map[string][]string{}, keys: keys}
	p.Open = func(o store.OpenParams) (store.Store, error) {
		s, err := sqlite.Open(context.Background(), path, o)
		if err == nil {
			s.Watch(func(tx sqlite.Querier, query string) { p.explain(t, tx, query) })
		}
		return s, err
	}
	return p
}

// explain notes how a statement will be run. Its values do not matter to that. What makes decayctl's own tables has no plan:
// each statement needs the one before.
func (p *planner) explain(t testing.TB, tx sqlite.Querier, query string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.plans[query] != nil || strings.HasPrefix(query, "PRAGMA") || strings.Contains(query, "CREATE TABLE") {
		return
	}
	args := []any{}
	for strings.Contains(query, "$"+strconv.Itoa(len(args)+1)) {
		args = append(args, nil)
	}
	rows, err := tx.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer func() { _ = rows.Close() }()
	steps := []string{}
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, detail)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	p.plans[query] = steps
}

// wrong lists the steps that read more of a table than is looked for.
func (p *planner) wrong(query string, steps []string) (all []string) {
	tables := map[string]string{}
	for _, name := range named.FindAllStringSubmatch(query, -1) {
		tables[name[2]] = name[1]
	}
	for _, each := range steps {
		found := step.FindStringSubmatch(each)
		if found == nil {
			continue
		}
		table, by := found[1], found[2]+found[3]
		if tables[table] != "" {
			table = tables[table]
		}
		columns, guarded := p.keys[table]
		if table == "tombstones" && p.many {
			columns, guarded = []string{"entity_uri"}, !strings.HasPrefix(query, "SELECT coalesce((SELECT max(rowid)")
		}
		switch {
		case table == "fact_validity_overrides" && strings.Contains(query, "ORDER BY rowid LIMIT"):
			continue // some rows from each end, once
		case table == "memory_cards" && strings.HasPrefix(query, "SELECT"):
			columns = []string{"entity_uri", "is_stale"} // of the facts, or the fresh ones up to a number
		}
		looked := slices.ContainsFunc(columns, func(column string) bool {
			after, found := strings.CutPrefix(by, column)
			return found && (after == "" || strings.ContainsRune("=<>", rune(after[0])))
		})
		if guarded && !looked {
			all = append(all, each)
		}
	}
	return all
}

// check looks at the plans that were made since the last time.
func (p *planner) check(t testing.TB, what string, begin ...string) {
	t.Helper()
	begin = slices.Clone(begin)
	for query, steps := range p.plans {
		bare := storetest.Bare(query, "")
		begin = slices.DeleteFunc(begin, func(each string) bool { return strings.Contains(bare, each) })
		if wrong := p.wrong(bare, steps); len(wrong) > 0 {
			t.Errorf("%s: %q\n%s", what, wrong, bare)
		}
	}
	if len(begin) > 0 {
		t.Errorf("%s: of %d statements none has %q", what, len(p.plans), begin)
	}
	clear(p.plans)
}

// walk goes every path before a first sweep and after it, with the statistics of a million facts, and with
// none, as a node leaves its store.
func (p *planner) walk(t testing.TB, size, times int) {
	t.Helper()
	for _, state := range []struct {
		name   string
		stale  bool // nearly all memory cards, and then the fresh ones are read in another way
		change func()
	}{
		{"before a first sweep", false, func() {}},
		{"after it", true, func() { p.SweptBefore(t) }},
		{"with many tombstones", false, func() { p.manyTombstones(t) }},
		{"with statistics", false, func() { p.analyze(t, times) }},
		{"with statistics, few cards fresh", true, func() {}},
	} {
		state.change()
		p.Exec(t, "UPDATE memory_cards SET is_stale = $1", state.stale)
		p.EachPath(t, size, func(part string, begin ...string) {
			t.Helper()
			if state.stale {
				begin = slices.DeleteFunc(slices.Clone(begin), func(each string) bool { return each == "UPDATE memory_cards" })
			}
			p.check(t, part+", "+state.name, begin...)
		})
	}
}

// manyTombstones makes the store take its tombstones for so many that a fact's own are looked up.
func (p *planner) manyTombstones(t testing.TB) {
	t.Helper()
	p.many = true
	p.Exec(t, `INSERT INTO tombstones (rowid, id, entity_uri, scope, signed_by, signature, created_at)
		VALUES ($1, 'last', 'nobody', 'local', 'admin', 'x', '2026-01-01T00:00:00+00:00')`, store.MaxTombstones+1)
}

// analyze gathers statistics, and makes them tell of so many times more rows.
func (p *planner) analyze(t testing.TB, times int) {
	t.Helper()
	p.Exec(t, "ANALYZE")
	for _, row := range p.Rows(t, "SELECT rowid, stat FROM sqlite_stat1 WHERE stat IS NOT NULL") {
		rowid, stat, _ := strings.Cut(row, " | ")
		numbers := strings.Fields(stat)
		for i, number := range numbers {
			if n, err := strconv.Atoi(number); err == nil && n > 1 {
				numbers[i] = strconv.Itoa(n * times)
			}
		}
		p.Exec(t, "UPDATE sqlite_stat1 SET stat = $1 WHERE rowid = $2", strings.Join(numbers, " "), rowid)
	}
}

// TestJobPlans: a start, a resume, a list of some states and a removal do not read all jobs. The node's jobs have no
// index for a list.
func TestJobPlans(t *testing.T) {
	t.Parallel()
	p := newPlanner(t, 100)
	p.keys = jobKeys
	for _, statistics := range []string{"none", "some"} {
		p.EachJobPath(t, 600, func(part string, begin ...string) {
			t.Helper()
			if part == "the first job" && statistics == "some" {
				p.analyze(t, 200)
			}
			for query := range p.plans {
				ofNode := strings.Contains(query, "FROM jobs WHERE job_type = 'decay'")
				few := strings.Contains(query, "ORDER BY created_at") && statistics == "some" // all states look alike then
				first := strings.Contains(query, "WITH RECURSIVE kept")                       // has no condition
				if ofNode || few || first {
					delete(p.plans, query)
				}
			}
			p.check(t, part+", statistics: "+statistics, begin...)
		})
	}
}

// TestPlans: no statement of a range or of a batch reads a table that grows with the store but by its keys.
// SQLite plans by what it is told in sqlite_stat1, not by what there is; TestSoakPlans has a million facts.
func TestPlans(t *testing.T) {
	t.Parallel()
	const facts, times, size = 4_000, 250, 100
	newPlanner(t, facts).walk(t, size, times)
}
