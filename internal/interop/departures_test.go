//go:build interop

package interop_test

import (
	"database/sql"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/store/sample"
)

// before is a fact before a sweep.
type before struct {
	id, entity, relation, timestamp string
	validUntil, quarantine          sql.NullString  // effective
	confidence                      float64         // effective
	overridden                      sql.NullFloat64 // the override's confidence
	held                            bool
}

// The rules of the sweeps of a sample.
var sampleRules = rules{ttl: ttl(90 * 24 * 3600), floor: 0.7}

// departures are all the differences that are allowed between a store swept by decayctl and one swept by the node. The
// numbers are of docs/decisions.md.
var departures = []struct {
	decision int
	what     string
	only     string // engine
	of       func(f before) bool
	ours     outcome
}{
	{6, "relations in rel: never decay", "", func(f before) bool { return strings.HasPrefix(strings.ToLower(f.relation), "rel:") }, left},
	{6, "names of the node, whatever their case", "postgres", func(f before) bool { return ownName(f.entity) || ownName(f.relation) }, left},
	{7, "legal hold", "", func(f before) bool { return f.held }, left},
	{7, "pending quarantine", "", func(f before) bool { return f.quarantine.String == "pending" }, left},
	{8, "stamps are times, not text", "", func(f before) bool { return !ownForm(f.timestamp) }, either},
	{8, "expiries are times, not text", "", func(f before) bool { return f.validUntil.Valid && !ownForm(f.validUntil.String) }, either},
	{9, "a float4 at the floor is not below it", "postgres", func(f before) bool { return float32(f.confidence) == float32(sampleRules.floor) }, byAge},
	{11, "an override keeps its confidence", "", func(f before) bool { return f.overridden.Valid }, expiredToo},
}

// outcome is what decayctl may do with a fact if its rows differ from the node's.
type outcome int

const (
	left       outcome = iota // not changed
	expiredToo                // expired at the same time, with its confidence
	either                    // expired; or not changed if the node expired it
	byAge                     // not changed, or expired by age alone: without a row in fact_retractions
)

func ownName(name string) bool {
	lower := strings.ToLower(name)
	return strings.HasPrefix(lower, "stigmem:") && !strings.HasPrefix(lower, "stigmem://")
}

// ownForm tells whether a timestamp is in the node's own form. In that form text and time have the same order.
func ownForm(stamp string) bool {
	return regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$`).MatchString(stamp)
}

// TestDepartures: if decayctl and the node leave different rows of a fact, a decision says so. The store has all that
// stores gather in a year, and shows each of these decisions at least once.
func TestDepartures(t *testing.T) {
	onBoth(t, func(t *testing.T, p *place) {
		serve(t, p, noAuth)
		p.fill(t, sample.Options{Facts: 12_000, AsOf: time.Now().UTC().Truncate(time.Second), Seed: 6})
		facts := p.before(t)
		untouched := p.swept(t)
		b := besides(t, p, sampleRules)
		met := make([]int, len(departures))
		for _, f := range facts {
			ours, theirs := b.ourRows[f.id], b.theirRows[f.id]
			if ours == theirs {
				continue
			}
			explained := false
			for i, d := range departures {
				if d.only != "" && d.only != p.name || !d.of(f) {
					continue
				}
				switch d.ours {
				case left:
					explained = ours == untouched[f.id]
				case expiredToo:
					kept := " | " + strconv.FormatFloat(f.overridden.Float64, 'g', -1, 32) + " | decay_sweep"
					explained = strings.Replace(ours, kept, " | - | decay_sweep", 1) == theirs
				case byAge:
					logged := "[" + b.asOf + " | stigmem:system:decay] "
					explained = ours == untouched[f.id] || ours == strings.Replace(theirs, logged, "", 1)
				case either:
					explained = ours == untouched[f.id] || theirs == untouched[f.id]
				}
				if explained {
					met[i]++
					break
				}
			}
			if !explained {
				t.Errorf("%+v\n  before: %s\n  the node: %s\n  decayctl: %s", f, untouched[f.id], theirs, ours)
			}
		}
		for i, d := range departures {
			t.Logf("%6d facts: decision %d, %s", met[i], d.decision, d.what)
			if met[i] == 0 && (d.only == "" || d.only == p.name) {
				t.Errorf("no fact shows decision %d: %s", d.decision, d.what)
			}
		}
		if b.ours.decayed == 0 || len(b.ourRows) < len(facts)/2 {
			t.Errorf("decayctl counts %+v", b.ours)
		}

		again := sweptBy(p.decayctl(t, 0, append(sampleRules.command(), "--as-of", b.asOf)...))
		if diff := cmp.Diff(b.ourRows, p.swept(t)); diff != "" || again.scanned != 0 {
			t.Errorf("a second sweep counts %+v, and changed (-before +after):\n%s", again, diff)
		}
		// The node takes these facts as expired too: its own sweep does not change them.
		serve(t, p, noAuth).post("/v1/decay/sweep", sampleRules.query(), nil)
		for id, row := range p.swept(t) {
			if ours := b.ourRows[id]; ours != untouched[id] && row != ours {
				t.Errorf("%s: the node changed %s to %s", id, ours, row)
			}
		}
	})
}

// before lists the facts of a store.
func (p *place) before(t testing.TB) (all []before) {
	t.Helper()
	rows, err := p.SQL.QueryContext(t.Context(), `
		SELECT f.id, f.entity, f.relation, f.timestamp, COALESCE(o.valid_until, f.valid_until), COALESCE(q.quarantine_status, f.quarantine_status),
			COALESCE(o.confidence, f.confidence), o.confidence,
			EXISTS (SELECT 1 FROM tombstones t WHERE t.entity_uri = f.entity AND t.tenant_id = f.tenant_id AND t.legal_hold = 1
				AND NOT EXISTS (SELECT 1 FROM tombstone_revocations r WHERE r.tombstone_id = t.id AND r.signed_by = t.signed_by))
		FROM facts f LEFT JOIN fact_validity_overrides o ON o.fact_id = f.id LEFT JOIN fact_quarantine_status q ON q.fact_id = f.id`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var f before
		if err := rows.Scan(&f.id, &f.entity, &f.relation, &f.timestamp, &f.validUntil, &f.quarantine, &f.confidence, &f.overridden, &f.held); err != nil {
			t.Fatal(err)
		}
		all = append(all, f)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}
