//go:build interop

package interop_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// counts are the counts that both decayctl and the node report of a sweep.
type counts struct {
	scanned, decayed float64
	dryRun           bool
}

func sweptBy(answer object) counts {
	return counts{answer["scanned"].(float64), answer["decayed"].(float64), answer["dry_run"].(bool)}
}

// both is one sweep, by decayctl on a store and by the node on a copy.
type both struct {
	ours, theirs       counts
	ourRows, theirRows map[string]string
	asOf               string // "" if the node expired nothing
}

// besides lets a node sweep a copy of the store over HTTP. Then decayctl sweeps the store with the same as-of, so that
// all rows can be compared exactly.
func besides(t testing.TB, p *place, r rules) (b both) {
	t.Helper()
	twin := p.copy(t)
	b.theirs = sweptBy(serve(t, twin, noAuth).post("/v1/decay/sweep", r.query(), nil))
	b.theirRows = twin.swept(t)
	command := r.command()
	if b.theirs.decayed > 0 {
		// Older sweeps have older stamps.
		b.asOf = twin.Rows(t, `SELECT max(valid_until) FROM fact_validity_overrides
			WHERE reason = 'decay_sweep' AND updated_by = 'stigmem:system:decay'`)[0]
		command = append(command, "--as-of", b.asOf)
	}
	facts := func() []string {
		return p.Rows(t, "SELECT id, valid_until, confidence, timestamp FROM facts ORDER BY id")
	}
	before := facts()
	b.ours = sweptBy(p.decayctl(t, 0, command...))
	b.ourRows = p.swept(t)
	if diff := cmp.Diff(before, facts()); diff != "" {
		t.Errorf("the facts themselves (-before +after):\n%s", diff)
	}
	return b
}

// swept is the rows of each swept fact in all three tables. Columns that differ by nature are left out: ids of
// retractions, updated_at, and decay_epoch, for which the node reads its clock once more.
func (p *place) swept(t testing.TB) map[string]string {
	t.Helper()
	rows := map[string]string{}
	for _, query := range []string{
		`SELECT fact_id, valid_until, confidence, reason, updated_by FROM fact_validity_overrides ORDER BY fact_id`,
		`SELECT fact_id, retracted_at, retracted_by FROM fact_retractions ORDER BY fact_id, retracted_at`,
		`SELECT id, valid_until, CASE WHEN decay_epoch IS NULL THEN '-' ELSE 'stamped' END, confidence FROM entity_edges ORDER BY id`,
	} {
		for _, row := range p.Rows(t, query) {
			id, rest, _ := strings.Cut(row, " | ")
			rows[id] += "[" + rest + "] "
		}
	}
	return rows
}
