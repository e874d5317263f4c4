package postgres_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"decayctl/internal/store"
	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/postgres"
	"decayctl/internal/store/sample"
	"decayctl/internal/store/sample/samplepg"
	"decayctl/internal/store/storetest"
)

// keys are the indexes by which the tables that grow with a store may be read, and the columns that a
// look-up has to give.
var keys = map[string]map[string][]string{
	"facts": {
		"facts_pkey": {"id"}, "idx_entity_relation": {"entity", "relation"}, "idx_entity_relation_scope": {"entity", "relation"},
	},
	"fact_validity_overrides": {"fact_validity_overrides_pkey": {"fact_id"}},
	"fact_retractions": {
		"fact_retractions_pkey": {"id"}, "idx_fact_retractions_fact_id": {"fact_id"}, "idx_fact_retractions_fact_ts": {"fact_id"},
	},
	"entity_edges":    {"entity_edges_pkey": {"id"}},
	"memory_cards":    {"memory_cards_pkey": {"entity_uri"}, "idx_memory_cards_entity": {"entity_uri"}},
	"decayctl_before": {"decayctl_before_pkey": {"job_id", "fact_id"}},
	"vec_facts":       {"vec_facts_pkey": {"fact_id"}},
}

// jobKeys are those of the tables that grow with the number of jobs.
var jobKeys = map[string]map[string][]string{
	"decayctl_jobs": {
		"decayctl_jobs_pkey": {"job_id"}, "decayctl_jobs_state": {"state"}, "decayctl_jobs_completed": {"completed_at"},
	},
	"decayctl_before": {"decayctl_before_pkey": {"job_id"}},
}

// plan is a step of a plan as the server tells it.
type plan struct {
	Type     string `json:"Node Type"`
	Relation string `json:"Relation Name"`
	Index    string `json:"Index Name"`
	Cond     string `json:"Index Cond"`
	TID      string `json:"TID Cond"`
	Join     string `json:"Join Filter"`
	Function string `json:"Function Name"` // "" for several at once
	Filter   string
	Plans    []plan
}

// wrong lists the steps that read more of a table than is looked for.
func (p plan) wrong(parent string, keys map[string]map[string][]string, many bool) (all []string) {
	indexes, guarded := keys[p.Relation]
	if p.Relation == "tombstones" && many {
		indexes, guarded = map[string][]string{"idx_tombstones_entity_uri": {"entity_uri"}}, true
	}
	by := func(scan plan) bool {
		columns, known := indexes[scan.Index]
		return known && !slices.ContainsFunc(columns, func(column string) bool { return !strings.Contains(scan.Cond, column) })
	}
	limited := parent == "Limit" && p.Filter == ""   // reads as much as it returns
	counted := limited && p.Relation == "tombstones" // up to a number, in whatever order
	fine := true
	switch p.Type {
	case "Tid Scan":
		fine = counted || strings.HasPrefix(p.TID, "(ctid = ANY")
	case "Seq Scan", "Tid Range Scan":
		fine = counted
	case "Sample Scan": // of some pages
		fine = limited
	case "Index Scan", "Index Only Scan":
		_, known := indexes[p.Index]
		fine = by(p) || limited && known || counted
	case "Bitmap Heap Scan":
		fine = slices.ContainsFunc(p.Plans, func(scan plan) bool { return scan.Type == "Bitmap Index Scan" && by(scan) })
	}
	if p.Type == "Nested Loop" && p.Join != "" && p.Plans[1].listed() {
		all = append(all, "a look through the whole list for each row, where ["+p.Join+"]")
	}
	if guarded && !fine {
		all = append(all, p.Type+" of "+p.Relation+" by ["+p.Index+"] where ["+p.Cond+"] filtered ["+p.Filter+"]")
	}
	for _, each := range p.Plans {
		all = append(all, each.wrong(p.Type, keys, many)...)
	}
	return all
}

// listed tells whether a step gives the rows of a list, such as a batch.
func (p plan) listed() bool {
	return p.Type == "Function Scan" && (p.Function == "unnest" || p.Function == "") || len(p.Plans) == 1 && p.Relation == "" && p.Plans[0].listed()
}

// ofTables names tables and indexes without the number of a shard.
func (p plan) ofTables() plan {
	p.Relation, p.Index = shard.ReplaceAllString(p.Relation, ""), shard.ReplaceAllString(p.Index, "")
	for i, each := range p.Plans {
		p.Plans[i] = each.ofTables()
	}
	return p
}

var shard = regexp.MustCompile(`_1\d{5}$`)

var parameter = regexp.MustCompile(`[=<>] \$[1-9]`) // $0 is what a part of the plan gives

// any tells whether the plan is for any values of the statement's parameters: it names them then.
func (p plan) any() bool {
	return parameter.MatchString(p.Cond+p.Filter) || slices.ContainsFunc(p.Plans, plan.any)
}

// planner is a database whose servers write down how they run each statement of a store.
type planner struct {
	storetest.Database
	servers []*pgtest.Cluster // the first is the one that the store is opened on
	dsn     string
	mode    string  // plan_cache_mode
	read    []int64 // of each server's log
	many    bool    // tombstones
	only    string  // the table to look at; "" is every one
	keys    map[string]map[string][]string
	except  string // a part of the statements not to look at; "" is none
}

// newPlanner makes one with facts.
func newPlanner(t testing.TB, facts int) *planner {
	t.Helper()
	cluster := pgtest.Start(t)
	db := cluster.NewDatabase(t, pgtest.DatabaseOptions{})
	fill(t, db, facts, "")
	p := observe(t, db, cluster)
	for _, table := range slices.Concat(slices.Collect(maps.Keys(keys)), slices.Collect(maps.Keys(jobKeys))) {
		p.Exec(t, "ALTER TABLE "+table+" SET (autovacuum_enabled = off)") // statistics change when the test says so
	}
	return p
}

// fill inserts facts, runs SQL, and makes decayctl's own tables.
func fill(t testing.TB, db *pgtest.Database, facts int, then string) {
	t.Helper()
	conn := db.Conn(t)
	if err := samplepg.Fill(t.Context(), conn, sample.Options{Facts: facts, AsOf: storetest.AsOf, VectorDimension: 2}); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), then); err != nil {
		t.Fatal(err)
	}
	s, err := open(t, db.URL, db.Schema, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// observe makes servers write down the plans of a database.
func observe(t testing.TB, db *pgtest.Database, servers ...*pgtest.Cluster) *planner {
	t.Helper()
	p := &planner{Database: database(t, db, db.URL), servers: servers, dsn: db.URL, read: make([]int64, len(servers)), keys: keys}
	p.skip(t)
	p.Exec(t, "ALTER DATABASE "+db.Name+" SET session_preload_libraries = auto_explain")
	p.Open = func(o store.OpenParams) (store.Store, error) {
		settings := url.Values{
			"plan_cache_mode": {p.mode}, "auto_explain.log_min_duration": {"0"}, "auto_explain.log_format": {"json"},
		}
		return postgres.Open(context.Background(), p.dsn+"&"+settings.Encode(), db.Schema, o)
	}
	return p
}

// skip leaves the plans out that were made since the last time.
func (p *planner) skip(t testing.TB) {
	t.Helper()
	for i, server := range p.servers {
		p.read[i] = server.LogEnd(t)
	}
}

// analyze gathers statistics, and makes them tell of so many times more rows. Pages are counted by the
// server when it plans: to read all of a table looks cheaper to it than it would be.
func (p *planner) analyze(t testing.TB, times int) {
	t.Helper()
	p.Exec(t, "ANALYZE")
	p.Exec(t, "UPDATE pg_class SET reltuples = reltuples * $1 WHERE relnamespace = 'public'::regnamespace AND reltuples > 0", times)
}

// manyTombstones makes a fact's own tombstones be looked up.
func (p *planner) manyTombstones(t testing.TB) {
	t.Helper()
	p.many = true
	p.Exec(t, `INSERT INTO tombstones (id, entity_uri, scope, signed_by, signature, created_at)
		SELECT 'many' || i, 'nobody' || i, 'local', 'admin', 'x', '2026-01-01T00:00:00+00:00' FROM generate_series(0, $1::int) i`, store.MaxTombstones)
}

// forgetStatistics makes the tables as they are before the first ANALYZE.
func (p *planner) forgetStatistics(t testing.TB) {
	t.Helper()
	for _, statement := range forgetStatistics {
		p.Exec(t, statement)
	}
}

var forgetStatistics = []string{
	"DELETE FROM pg_statistic WHERE starelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)",
	"UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'",
}

// walk goes every path before a first sweep and after it, planning for the values of each statement and for
// any values.
func (p *planner) walk(t testing.TB, size, times int) {
	t.Helper()
	for _, state := range []struct {
		name   string
		change func()
	}{
		{"before a first sweep", func() { p.analyze(t, times) }},
		{"after it", func() { p.SweptBefore(t); p.analyze(t, times) }},
		{"with many tombstones", func() { p.manyTombstones(t); p.analyze(t, times) }},
		{"never analysed", func() { p.forgetStatistics(t) }},
	} {
		state.change()
		for _, p.mode = range []string{"force_custom_plan", "force_generic_plan"} {
			p.Exec(t, "UPDATE memory_cards SET is_stale = 0")
			p.EachPath(t, size, func(part string, begin ...string) {
				t.Helper()
				p.check(t, part+", "+state.name+", "+p.mode, begin...)
			})
		}
	}
}

// look goes every path once, and looks at how one table is read.
func (p *planner) look(t testing.TB, table string, size int) {
	t.Helper()
	p.mode, p.only = "force_custom_plan", table
	p.EachPath(t, size, func(part string, begin ...string) {
		t.Helper()
		p.check(t, part, begin...)
	})
}

// check looks at the plans that were made since the last time.
func (p *planner) check(t testing.TB, what string, begin ...string) {
	t.Helper()
	said, plans, generic := map[string]bool{}, 0, 0
	for i := range p.servers {
		fresh, text := p.fresh(t, i)
		hasRun := func(query string) {
			begin = slices.DeleteFunc(slices.Clone(begin), func(each string) bool { return strings.Contains(query, each) })
		}
		if i == 0 {
			hasRun(storetest.Bare(text, "public")) // on a cluster: statements without plans
		}
		for _, each := range fresh {
			plans++
			if each.Plan.any() {
				generic++
			}
			query := storetest.Bare(each.Query, "public")
			hasRun(query)
			if p.except != "" && strings.Contains(query, p.except) {
				continue
			}
			for _, wrong := range each.Plan.wrong("", p.keys, p.many) {
				if !said[query+wrong] && strings.Contains(wrong, " of "+p.only) {
					said[query+wrong] = true
					t.Errorf("%s: %s\n%s", what, wrong, query)
				}
			}
		}
	}
	if len(begin) > 0 {
		t.Errorf("%s: of %d statements none has %q", what, plans, begin)
	}
	if plans == 0 || (generic > 0) != (p.mode == "force_generic_plan") {
		t.Errorf("%s: %d of %d plans are for any values", what, generic, plans)
	}
}

// logged is a plan as auto_explain writes it down.
type logged struct {
	Query string `json:"Query Text"`
	Plan  plan
}

// fresh are the plans that a server has written down since the last time, and all else.
func (p *planner) fresh(t testing.TB, server int) (all []logged, text string) {
	t.Helper()
	text, p.read[server] = p.servers[server].Log(t, p.read[server])
	for rest := text; ; {
		_, after, found := strings.Cut(rest, " plan:\n")
		if !found {
			return all, text
		}
		rest = after
		var each logged
		if err := json.NewDecoder(strings.NewReader(rest)).Decode(&each); err != nil {
			t.Fatal(err)
		}
		each.Plan = each.Plan.ofTables()
		all = append(all, each)
	}
}

// TestPlans: no statement of a range or of a batch reads a table that grows with the store but by its keys.
// A plain join hashed all overrides for every batch once, and made the cost of a sweep quadratic. The
// store is a small one whose statistics are those of a million facts; TestSoakPlans has the million.
func TestPlans(t *testing.T) {
	t.Parallel()
	t.Run("few cards", testPlansOfCards) // one after the other: they share a log
	t.Run("few before-images", testPlansOfImages)
	t.Run("a small scope", testPlansOfScope)
	t.Run("many jobs", testPlansOfJobs)
	const facts, crowd, times, size = 4_000, 16_000, 50, 250
	p := newPlanner(t, facts)
	p.Crowd(t, crowd)
	p.walk(t, size, times)
}

// testPlansOfJobs: nothing that a start, a resume, a list of some states or a removal does reads all of decayctl's jobs.
// The node's table is read for a list, and has no index for it.
func testPlansOfJobs(t *testing.T) {
	p := newPlanner(t, 100)
	p.keys, p.mode, p.except = jobKeys, "force_custom_plan", "FROM jobs n WHERE n.job_type = 'decay'"
	for _, analysed := range []bool{true, false} {
		p.EachJobPath(t, 4_000, func(part string, begin ...string) {
			t.Helper()
			if part != "the first job" {
				p.check(t, part, begin...)
				return
			}
			if p.forgetStatistics(t); analysed {
				p.analyze(t, 10)
			}
			p.skip(t)
		})
	}
}

// testPlansOfCards: cards are looked up one by one even where the table is small and few of them are fresh. All
// fresh ones were compared with each of a batch once, and two workers got slower than one.
func testPlansOfCards(t *testing.T) {
	p := newPlanner(t, 2_000)
	p.Crowd(t, 20_000)
	p.Exec(t, "UPDATE memory_cards SET is_stale = 1 WHERE entity_uri LIKE '%0'")
	p.analyze(t, 1)
	p.look(t, "memory_cards", 500)
}

// testPlansOfImages: before-images are looked up one by one, in a table of a few pages too. All of them were read
// for every fact that an undo looked at.
func testPlansOfImages(t *testing.T) {
	p := newPlanner(t, 2_000)
	p.analyze(t, 1)
	p.look(t, "decayctl_before", 100)
}

// testPlansOfScope: a range is read by ids, not by the indexes on scope and tenant, however few facts are of the
// scope that is asked for. Every range read all of those.
func testPlansOfScope(t *testing.T) {
	p := newPlanner(t, 20_000)
	p.Exec(t, "UPDATE facts SET scope = 'public' WHERE scope = 'local' AND right(id, 1) > '0'")
	p.analyze(t, 20)
	p.look(t, "facts", 1_000)
}
