package postgres_test

import (
	"slices"
	"strings"
	"testing"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/store"
	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

// TestPoliciesMatchInEveryEncoding: policies and tenants match in every encoding of the database and the role.
// Characters that the encoding does not have match nothing.
func TestPoliciesMatchInEveryEncoding(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t)
	for name, test := range map[string]struct {
		options pgtest.DatabaseOptions
		role    string // the setting of the role
	}{
		"UTF8":                       {},
		"UTF8, the role LATIN1":      {role: "LATIN1"},
		"UTF8, the role SQL_ASCII":   {role: "SQL_ASCII"},
		"UTF8, a schema with umlaut": {options: pgtest.DatabaseOptions{Schema: "gedächtnis"}, role: "LATIN1"},
		"LATIN1":                     {options: pgtest.DatabaseOptions{Encoding: "LATIN1"}},
		"SQL_ASCII":                  {options: pgtest.DatabaseOptions{Encoding: "SQL_ASCII"}},
		"SQL_ASCII, the role UTF8":   {options: pgtest.DatabaseOptions{Encoding: "SQL_ASCII"}, role: "UTF8"},
	} {
		for _, pooled := range []bool{false, true} {
			if pooled && test.role == "" {
				continue
			}
			if pooled {
				name += ", pooled"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				db := cluster.NewDatabase(t, test.options)
				if test.role != "" {
					if _, err := db.Conn(t).Exec(t.Context(), "ALTER ROLE postgres IN DATABASE "+db.Name+" SET client_encoding = '"+test.role+"'"); err != nil {
						t.Fatal(err)
					}
				}
				dsn := db.URL + "&client_encoding=LATIN1"
				if pooled {
					dsn = pgtest.Bouncer(t, cluster).URL(db)
				}
				d := database(t, db, dsn)
				named := func(id, entity, relation, tenant string) {
					d.Insert(t, storetest.Fact(id, func(c *fact.Candidate) { c.Entity, c.Relation, c.Tenant = entity, relation, tenant }))
				}
				named("kept", "e", "memory:größe", "default")
				named("newest", "stigmem://münchen/1", "status:mode", "default")
				named("entity", "stigmem://köln", "memory:x", "default")
				named("grüße", "e", "memory:x", "tenänt")
				if test.options.Encoding == "SQL_ASCII" { // bytes that are no UTF-8
					d.Exec(t, `INSERT INTO facts (id, entity, relation, value_type, value_v, source, timestamp, confidence, scope, tenant_id)
						SELECT 'odd', 'e', convert_from('\x6d656d6f72793af6', 'SQL_ASCII'), value_type, value_v, source, timestamp, confidence, scope, tenant_id FROM facts WHERE id = 'kept'`)
				}
				s, err := open(t, dsn, db.Schema, false)
				if err != nil {
					t.Fatal(err)
				}
				if told := slices.ContainsFunc(s.Notes(), func(n string) bool { return strings.Contains(n, "SQL_ASCII") }); told != (test.options.Encoding == "SQL_ASCII") {
					t.Errorf("notes: %q", s.Notes())
				}
				long, day := rule.TTL(50*365*86400), rule.TTL(86400)
				rules := rule.Set{TTL: &day, Policies: []rule.Policy{
					{ID: "keep", Relation: "memory:größe", Mode: rule.ModeExpire, TTL: &long},
					{ID: "newest", Relation: "status:*", Entity: "stigmem://münchen/*", Mode: rule.ModeExpire, TTL: &day, KeepLast: 1},
					{ID: "entity", Relation: "*", Entity: "stigmem://köln", Mode: rule.ModeExpire, TTL: &long},
					{ID: "nowhere", Relation: "memory:łódź😀", Mode: rule.ModeExpire, TTL: &day},
					{ID: "nor there", Relation: "łódź:*", Entity: "😀", Mode: rule.ModeExpire, TTL: &day},
				}}
				found, err := storetest.Engine(s).Preview(t.Context(), sweep.Params{Rules: rules, AsOf: asOf})
				if want := d.Rows(t, "SELECT count(*) FROM facts WHERE id IN ('grüße', 'odd')")[0]; err != nil || want != map[int64]string{1: "1", 2: "2"}[found.Selected] {
					t.Errorf("selected %d, want %s, %v", found.Selected, want, err)
				}
				j, err := storetest.Sweep(t.Context(), storetest.Engine(s), store.StartParams{Rules: rules, AsOf: asOf}, sweep.Work{})
				if err != nil || j.Counts.Decayed != found.Selected || j.State != job.Done {
					t.Errorf("%s, expired %d, %v", j.State, j.Counts.Decayed, err)
				}
				if again, err := s.Find(t.Context(), j.ID); err != nil || again.Rules.Fingerprint() != rules.Fingerprint() {
					t.Errorf("the rules came back as %s, %v", again.Rules, err)
				}
				if tenants := d.Rows(t, "SELECT count(*) FROM fact_validity_overrides o JOIN facts f ON f.id = o.fact_id WHERE f.tenant_id = 'tenänt'"); tenants[0] != "1" {
					t.Errorf("expired %s of the tenant", tenants)
				}
				joined, err := s.Join(t.Context(), store.JoinParams{ID: j.ID, Undo: true, Worker: storetest.Worker("mars", 1)})
				if err != nil {
					t.Fatal(err)
				}
				if undone, err := storetest.Engine(s).Undo(t.Context(), joined, sweep.Work{}); err != nil || undone.Counts.Restored != found.Selected {
					t.Errorf("restored %d, %v", undone.Counts.Restored, err)
				}
				for tenant, want := range map[string]int64{"tenänt": 1, "łódź": 0} {
					n, err := s.CountUpTo(t.Context(), "", tenant, 10)
					switch {
					case want == 0 && test.options.Encoding == "LATIN1":
						refused(t, err, store.Unusable, "encoding", "LATIN1")
					case err != nil || n != want:
						t.Errorf("%d facts of tenant %s, %v", n, tenant, err)
					}
				}
			})
		}
	}
}
