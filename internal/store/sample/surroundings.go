package sample

import "fmt"

// surroundings adds the rows whose number does not depend on the number of facts.
func (g *generator) surroundings() {
	g.add(nodeMeta, "node_id", "stigmem:node:"+g.uuid())
	founded := secondOf(g.start)
	for _, garden := range []struct {
		slug, scope, tenant string
		quarantine          int64
	}{
		{"engineering", "team", defaultTenant, 0},
		{"research", "company", defaultTenant, 0},
		{"quarantine", "local", defaultTenant, 1},
		{"sales", "team", otherTenant, 0},
		{"quarantine", "local", otherTenant, 1},
		{"bench", "public", smallTenant, 0},
		{"quarantine", "local", smallTenant, 1},
	} {
		id := g.uuid()
		g.add(gardens, id, garden.slug, "The "+garden.slug+" garden", garden.scope, moderator, founded, garden.tenant, garden.quarantine)
		if garden.quarantine == 1 {
			g.holding[garden.tenant] = id
		} else {
			g.gardens[garden.tenant] = append(g.gardens[garden.tenant], id)
		}
	}
	g.addTombstones()
}

// addTombstones adds tombstones of some entities: legal holds of every kind, and plain ones.
func (g *generator) addTombstones() {
	at := secondOf(g.o.AsOf.Add(-50 * day))
	const signature = "ed25519:c2FtcGxl"
	for i := range g.entities {
		scope, tenant, hold, revokedBy := "*", defaultTenant, int64(1), ""
		switch i % g.mix.tombstones {
		case 7:
		case 8:
			scope = "company"
		case 9:
			revokedBy = moderator
		case 10:
			hold = 0
		case 11:
			tenant = smallTenant
		case 12:
			revokedBy = anotherModerator // has no effect
		default:
			continue
		}
		id := g.uuid()
		g.add(tombstones, id, entityName(i), scope, "case 2026-"+fmt.Sprint(i), moderator, signature, at, hold, tenant, nil)
		if revokedBy != "" {
			g.add(revocations, g.uuid(), id, "case closed", revokedBy, signature, at, nil)
		}
	}
}

// pastJobs adds jobs that the node has run, and two that never ended.
func (g *generator) pastJobs() {
	ago := func(days int) string { return stampOf(g.o.AsOf.AddDate(0, 0, -days)) }
	done := fmt.Sprintf(`{"scanned": %d, "decayed": %d, "dry_run": false}`, g.swept, g.swept)
	estimate := int64(max(60, g.o.Facts/1000))
	g.add(jobs, g.uuid(), "decay", "done", nil, estimate, stampOf(g.sweep), stampOf(g.sweep), stampOf(g.sweep), done, nil)
	g.add(jobs, g.uuid(), "lint", "done", "company", int64(10), ago(40), ago(40), ago(40),
		`{"findings": [], "checked_at": "`+ago(40)+`", "scope": "company", "checks_run": ["stale"], "fact_count": 0}`, nil)
	g.add(jobs, g.uuid(), "decay", "failed", nil, estimate, ago(30), ago(30), ago(30), nil, "date value out of range")
	g.add(jobs, g.uuid(), "decay", "running", "team", estimate, ago(20), ago(20), nil, nil, nil)
	g.add(jobs, g.uuid(), "decay", "pending", nil, estimate, ago(10), nil, nil, nil, nil)
}
