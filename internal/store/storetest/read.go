package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"decayctl/internal/fact"
	"decayctl/internal/rule"
	"decayctl/internal/store"
)

func testRanges(t *testing.T, d Database) {
	s, ctx := d.open(t, false), context.Background()
	if r, err := s.NextRange(ctx, store.RangeParams{Size: 10}); err != nil || !r.End() || r.Facts != 0 {
		t.Fatalf("an empty store has the range %+v, %v", r, err)
	}
	for i := range 25 {
		d.Insert(t, Fact(fmt.Sprintf("%08x-fact", rand.Uint32()), func(c *fact.Candidate) { //nolint:gosec // no secret
			if i%3 == 0 {
				c.Scope = "team"
			}
		}))
	}
	want := d.Rows(t, "SELECT id FROM facts ORDER BY id")
	for _, size := range []int{1, 10, 25, 26, 100} {
		var got []string
		var at store.Cursor
		for {
			r, err := s.NextRange(ctx, store.RangeParams{After: at, Size: size})
			if err != nil {
				t.Fatal(err)
			}
			if r.End() {
				break
			}
			if r.Facts > size || r.After != at {
				t.Fatalf("asked for %d after %+v, got %+v", size, at, r)
			}
			found, err := Candidates(ctx, s, store.CandidatesParams{Range: r, AsOf: AsOf, Prefilter: store.Prefilter{Live: true}})
			if err != nil || len(found) != r.Facts {
				t.Fatalf("%d facts in %+v, %v", len(found), r, err)
			}
			for _, c := range found {
				got = append(got, c.ID)
			}
			at = r.Last
		}
		if !slices.Equal(got, want) {
			t.Errorf("in ranges of %d: %v, want %v", size, got, want)
		}
	}
	if n, err := s.Estimate(ctx); err != nil || n < 10 || n > 100 {
		t.Errorf("25 facts are estimated as %d, %v", n, err)
	}
}

func testStrangeIDs(t *testing.T, d Database) {
	ids := []string{"", " ", "'", `"`, `\`, "{a,b}", "NULL", "$1", "A", "a", "é", "zß", "\x1b[31mred", "line\nbreak", "\u202eevil", "日本"}
	var facts []fact.Candidate
	for _, id := range ids {
		facts = append(facts, Fact(id, func(c *fact.Candidate) { c.Entity, c.Relation = "e"+id, "r"+id }))
	}
	d.Insert(t, facts...)
	s := d.open(t, false)
	all := everything(t, s)
	if len(all) != len(ids) {
		t.Fatalf("%d facts of %d", len(all), len(ids))
	}
	applied, err := s.Apply(context.Background(), batch(t, s, all, true))
	if err != nil || len(applied.Changed) != 0 {
		t.Fatalf("%+v, %v", applied, err)
	}
	for _, query := range []string{"SELECT fact_id FROM fact_validity_overrides", "SELECT fact_id FROM fact_retractions"} {
		got := d.Rows(t, query)
		slices.Sort(got)
		want := slices.Sorted(slices.Values(ids))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
}

func testContext(t *testing.T, d Database) {
	full := fact.Override{ValidUntil: ptr("2030-01-01T00:00:00Z"), Confidence: ptr(0.7), Reason: ptr("why"), UpdatedAt: "when", UpdatedBy: ptr("who")}
	want := []fact.Candidate{
		Fact("a plain"),
		Fact("b expiry", func(c *fact.Candidate) { c.ValidUntil = ptr("2030-01-01") }),
		Fact("c full", Overridden(full)),
		Fact("d empty", Overridden(fact.Override{})),
		Fact("e confidence", func(c *fact.Candidate) { c.Confidence = 0.35 }),
	}
	d.Insert(t, want...)
	got := everything(t, d.open(t, true))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}

	hold := func(id, entity, scope, tenant string, legal int) {
		d.Exec(t, holdSQL, id, entity, scope, tenant, legal)
	}
	entity := func(name string) func(*fact.Candidate) { return func(c *fact.Candidate) { c.Entity = name } }
	d.Insert(t,
		Fact("hold star", entity("star")), Fact("hold scope", entity("scope")), Fact("hold list", entity("list")),
		Fact("free other scope", entity("other scope")), Fact("free other tenant", entity("other tenant")),
		Fact("free no hold", entity("no hold")), Fact("free revoked", entity("revoked")), Fact("hold one of two", entity("two")),
		Fact("hold by another", entity("by another")), Fact("hold by other case", entity("by other case")), Fact("free by both", entity("by both")),
		Fact("pending row"), Fact("free promoted"), Fact("pending null row"), Fact("free rejected"))
	hold("t1", "star", "*", "default", 1)
	hold("t2", "scope", "local", "default", 1)
	hold("t3", "list", `["local"]`, "default", 1)
	hold("t4", "other scope", "team", "default", 1)
	hold("t5", "other tenant", "*", "acme", 1)
	hold("t6", "no hold", "*", "default", 0)
	hold("t7", "revoked", "*", "default", 1)
	hold("t8", "two", "*", "default", 1)
	hold("t9", "two", "*", "default", 1)
	hold("ta", "by another", "*", "default", 1)
	hold("tb", "by other case", "*", "default", 1)
	hold("tc", "by both", "*", "default", 1)
	for i, revoked := range [][2]string{{"t7", "admin"}, {"t8", "admin"}, {"ta", "another issuer"}, {"tb", "Admin"}, {"tc", "another issuer"}, {"tc", "admin"}} {
		d.Exec(t, revocationSQL, fmt.Sprint("r", i), revoked[0], revoked[1])
	}
	d.Exec(t, pendingSQL, "pending row", "pending")
	d.Exec(t, pendingSQL, "free promoted", "promoted")
	d.Exec(t, pendingSQL, "free rejected", "rejected")
	d.Exec(t, `INSERT INTO facts (id, entity, relation, value_type, value_v, source, timestamp, confidence, scope, quarantine_status)
		VALUES ('pending base', 'e', 'r', 'string', 'v', 's', '2026', 0.3, 'local', 'pending'),
		       ('free base', 'e', 'r', 'string', 'v', 's', '2026', 0.3, 'local', 'pending')`)
	d.Exec(t, pendingSQL, "free base", "promoted")
	d.Exec(t, `INSERT INTO fact_quarantine_status (fact_id, quarantine_status, updated_at) VALUES ('pending null row', NULL, 'x')`)
	protected := func() {
		t.Helper()
		s := d.open(t, true)
		for _, c := range everything(t, s) {
			alone, err := s.Fact(context.Background(), c.ID)
			wantHold, wantPending := len(c.ID) > 4 && c.ID[:4] == "hold", c.ID == "pending row" || c.ID == "pending base"
			if err != nil || c.LegalHold != wantHold || alone.LegalHold != wantHold || c.QuarantinePending != wantPending {
				t.Errorf("%q: hold %v, read alone %v (%v), pending %v", c.ID, c.LegalHold, alone, err, c.QuarantinePending)
			}
		}
	}
	protected()
	d.manyTombstones(t)
	protected()
}

func testScopeAndTenant(t *testing.T, d Database) {
	for _, scope := range fact.Scopes {
		for _, tenant := range []string{"default", "acme"} {
			d.Insert(t, Fact(scope+" "+tenant, func(c *fact.Candidate) { c.Scope, c.Tenant = scope, tenant }))
		}
	}
	s, ctx := d.open(t, true), context.Background()
	r, err := s.NextRange(ctx, store.RangeParams{Size: 100})
	if err != nil || r.Facts != 8 {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, test := range []struct {
		scope, tenant string
		want          []string
	}{
		{"local", "", []string{"local acme", "local default"}},
		{"", "acme", []string{"company acme", "local acme", "public acme", "team acme"}},
		{"team", "acme", []string{"team acme"}},
		{"", "nobody", nil},
	} {
		found, err := Candidates(ctx, s, store.CandidatesParams{Range: r, AsOf: AsOf, Scope: test.scope, Tenant: test.tenant, Prefilter: store.Prefilter{Below: ptr(1.0)}})
		var got []string
		for _, c := range found {
			got = append(got, c.ID)
		}
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("scope %q, tenant %q: %v, %v; want %v", test.scope, test.tenant, got, err, test.want)
		}
	}
}

// testOtherTenants counts facts of every scope and state, once for each tenant.
func testOtherTenants(t *testing.T, d Database) {
	s := d.open(t, true)
	check := func(tenant string, want store.OtherTenants) {
		t.Helper()
		if got, err := s.OtherTenants(t.Context(), tenant); got != want || err != nil {
			t.Errorf("beside %q: %+v, %v; want %+v", tenant, got, err, want)
		}
	}
	check("default", store.OtherTenants{})
	for i, tenant := range []string{"default", "default", "acme", "Default", "zeta", "zeta", "zeta", "d\u00e9faut", strings.Repeat("z", 2000)} {
		d.Insert(t, Fact(fmt.Sprint(i), func(c *fact.Candidate) {
			c.Tenant = tenant
			if i%2 == 1 {
				c.Scope, c.ValidUntil = "team", ptr("2020-01-01T00:00:00Z")
			}
		}))
	}
	s = d.open(t, true)
	check("default", store.OtherTenants{Known: true, Tenants: 5, Facts: 7})
	check("zeta", store.OtherTenants{Known: true, Tenants: 5, Facts: 6})
	check("acme", store.OtherTenants{Known: true, Tenants: 5, Facts: 8})
	check("nobody", store.OtherTenants{Tenants: 6, Facts: 9})
	check("' OR ''='", store.OtherTenants{Tenants: 6, Facts: 9})
	checkTenantNames(t, s, []string{"Default", "acme", "default", "d\u00e9faut", "zeta", strings.Repeat("z", 2000)})
	found, err := s.Diagnose(t.Context())
	want := []store.TenantFacts{{Tenant: "zeta", Facts: 3}, {Tenant: "default", Facts: 2}, {Tenant: "Default", Facts: 1}, {Tenant: "acme", Facts: 1},
		{Tenant: "d\u00e9faut", Facts: 1}, {Tenant: strings.Repeat("z", store.TenantChars), Facts: 1}}
	if diff := cmp.Diff(want, found.Tenants); diff != "" || err != nil || found.OtherTenants != 0 {
		t.Errorf("%v, %d others (-want +got):\n%s", err, found.OtherTenants, diff)
	}
}

// checkTenantNames lists all tenants, each once, in whatever order the store has them, and then the first of them from each on.
func checkTenantNames(t *testing.T, s store.Store, want []string) {
	t.Helper()
	all, err := s.TenantNames(t.Context(), "", 100)
	if diff := cmp.Diff(want, all, cmpopts.SortSlices(strings.Compare)); diff != "" || err != nil {
		t.Fatalf("tenants: %v (-want +got):\n%s", err, diff)
	}
	for i, from := range all {
		if got, err := s.TenantNames(t.Context(), from, 2); err != nil || !slices.Equal(got, all[i:min(i+2, len(all))]) {
			t.Errorf("two tenants from %.9q on: %.9q, %v; all are %.9q", from, got, err, all)
		}
	}
}

// drawRange adds a few facts to a store, after all others, and returns their range.
func (d Database) drawRange(t *testing.T, rt *rapid.T, s store.Store, round int) (written []fact.Candidate, r store.Range) {
	after := store.Cursor{}
	if last := d.Rows(t, "SELECT max(id) FROM facts"); last[0] != "-" {
		after = store.After(last[0])
	}
	for i := range rapid.IntRange(1, 12).Draw(rt, "facts") {
		written = append(written, Draw(rt, fmt.Sprintf("%06d-%02d", round, i)))
	}
	d.Insert(t, written...)
	r, err := s.NextRange(context.Background(), store.RangeParams{After: after, Size: 100})
	if err != nil || r.Facts != len(written) {
		rt.Fatalf("%d facts written, range %+v, %v", len(written), r, err)
	}
	return written, r
}

// testPrefilter draws stores and rules. The store must hand over each fact that the rules would expire or a protection keeps.
// Each fact must be read as it was written, so that both databases give the rules the same.
func testPrefilter(t *testing.T, d Database) {
	s, ctx := d.open(t, false), context.Background()
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		written, r := d.drawRange(t, rt, s, round)
		rules, prefilter := DrawRules(rt)
		byID := map[string]fact.Candidate{}
		for _, live := range []bool{false, true} {
			prefilter.Live = live
			p := store.CandidatesParams{Range: r, AsOf: AsOf, Prefilter: prefilter}
			found, err := Candidates(ctx, s, p)
			if err != nil {
				rt.Fatal(err)
			}
			var all []fact.Candidate
			_, whole, err := s.ScanAll(ctx, p, func(part []fact.Candidate, _ int) error {
				all = append(all, part...)
				return nil
			})
			if err != nil {
				rt.Fatal(err)
			}
			ways := map[string][]fact.Candidate{"Candidates": found}
			if whole {
				ways["ScanAll"] = all
			}
			for way, found := range ways {
				clear(byID)
				for _, c := range found {
					byID[c.ID] = c
				}
				for _, c := range written {
					read, found := byID[c.ID]
					verdict := rules.Decide(&c, AsOf)
					switch {
					case found && !reflect.DeepEqual(read, c):
						rt.Fatalf("%s: written and read differ: %s", way, cmp.Diff(c, read))
					case !found && (verdict.Action != rule.Ignore || live && rule.Live(&c, AsOf)):
						rt.Fatalf("%s: left out with %s, live %v, although the rules say %+v: %+v (override %+v)", way, rules, live, verdict, c.Fact, c.Override)
					}
				}
			}
		}
	})
}
