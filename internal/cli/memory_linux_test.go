package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"decayctl/internal/cli"
	"decayctl/internal/store/storetest"
)

func init() {
	programs["decayctl-measured"] = func() {
		code := cli.Main(cli.ThisProcess())
		status, _ := os.ReadFile("/proc/self/status")
		fmt.Fprintln(os.Stderr, "resident at most, in kB:", string(resident.FindSubmatch(status)[1]))
		os.Exit(code)
	}
}

// The most memory that a process had: what wait4 tells of a child may be what its parent had.
var resident = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// measured runs the program to its end, and tells how many MB it had in memory at most.
func measured(t *testing.T, args ...string) (stdout string, mb int) {
	t.Helper()
	program, err := exec.LookPath("decayctl-measured")
	if err != nil {
		t.Fatal(err)
	}
	var out, said bytes.Buffer
	c := exec.CommandContext(t.Context(), program, args...)
	c.Env, c.Dir, c.Stdout, c.Stderr = []string{}, t.TempDir(), &out, &said
	if err := c.Run(); err != nil {
		t.Fatalf("%v: %v, %s", args, err, said.String())
	}
	_, kb, _ := strings.Cut(said.String(), "in kB: ")
	n, err := strconv.Atoi(strings.TrimSpace(kb))
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), n / 1024
}

// longTexts are facts with one long text each.
type longTexts struct {
	size   int // bytes
	facts  int // of each kind
	mostMB int // that a command may take without the race detector
}

// insert fills a store with old ones, and counts them.
func (l longTexts) insert(t *testing.T, d storetest.Database, name string) (facts int) {
	t.Helper()
	long := func(size int) string { return fmt.Sprintf(" || replace(hex(zeroblob(%d)), '0', 'e')", size/2) }
	longestID := l.size
	if name == "postgres" { // its indexes hold no long value, unless it compresses well
		long = func(size int) string { return fmt.Sprintf(" || repeat('e', %d)", size) }
		longestID = 100_000
		for _, index := range []string{"idx_entity_relation", "idx_entity_relation_scope", "idx_facts_tenant"} {
			d.Exec(t, "DROP INDEX "+index)
		}
	}
	for _, kind := range []string{"id", "entity", "relation", "source", "tenant_id", "reason"} {
		texts := map[string]string{"id": "'" + kind + "' || n", "entity": "'e' || n", "relation": "'r' || n", "source": "'s'", "tenant_id": "'default'"}
		if kind == "id" {
			texts[kind] += long(longestID)
		} else {
			texts[kind] += long(l.size)
		}
		d.Exec(t, fmt.Sprintf(`
			WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < %d)
			INSERT INTO facts (id, entity, relation, source, tenant_id, value_type, value_v, timestamp, confidence, scope)
			SELECT %s, %s, %s, %s, %s, 'string', 'v', '2026-01-01T00:00:00.000000+00:00', 0.9, 'local' FROM numbers`,
			l.facts, texts["id"], texts["entity"], texts["relation"], texts["source"], texts["tenant_id"]))
		facts += l.facts
	}
	d.Exec(t, "INSERT INTO fact_validity_overrides (fact_id, confidence, reason, updated_at) SELECT id, 0.8, id"+long(l.size)+
		", '2026-01-02T00:00:00+00:00' FROM facts WHERE id LIKE 'reason%'")
	return facts
}

// TestLongTexts: memory follows the length of no text.
func TestLongTexts(t *testing.T) {
	t.Parallel()
	longTexts{size: 3 << 19, facts: longFacts, mostMB: 200}.test(t)
}

// test: whatever is long, dry runs, sweeps and undos stay within what they take on a store of short ones plus a few times
// one fact, and find and change all that they should.
func (l longTexts) test(t *testing.T) {
	t.Helper()
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			d, target, _ := b.fresh(t)
			facts := l.insert(t, d, b.name)
			policies := filepath.Join(t.TempDir(), "policies.yaml")
			if err := os.WriteFile(policies, []byte("- {id: newest, relation: \"r*\", source: \"s*\", mode: expire, ttl: 30d, keep_last: 1}\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			run := func(args ...string) (report jobReport) {
				t.Helper()
				stdout, mb := measured(t, append(args, "--store", target, "-o", "json")...)
				if mb > l.mostMB*raceMemory {
					t.Errorf("%s: %d MB in memory", args[:2], mb)
				}
				if len(stdout) > 1<<20 {
					t.Errorf("%s: a report of %d bytes", args[:2], len(stdout))
				}
				if err := json.Unmarshal([]byte(stdout), &report); err != nil {
					t.Fatal(err)
				}
				return report
			}
			older := int64(2 * l.facts) // three kinds are of the same groups, of which the policy keeps the newest
			rules := []string{"--ttl", "90d", "--as-of", "2026-06-15T12:00:00Z", "--all-tenants"}
			if found := run(append([]string{"dry-run", "--samples", "50"}, rules...)...); found.Selected != int64(facts) {
				t.Errorf("a dry run finds %d of %d", found.Selected, facts)
			}
			if found := run(append([]string{"dry-run", "--policies", policies, "--samples", "50"}, rules...)...); found.Selected != older {
				t.Errorf("a dry run with a policy finds %d of %d", found.Selected, older)
			}
			run("policy", "check", "--policies", policies, "--all-tenants")
			done := run(append([]string{"sweep", "--yes", "--max-expire", "100%"}, rules...)...)
			if n := d.Rows(t, "SELECT count(*) FROM fact_validity_overrides WHERE reason = 'decay_sweep'"); n[0] != strconv.Itoa(facts) || done.Decayed != int64(facts) {
				t.Errorf("a sweep expired %s, and counted %d of %d", n[0], done.Decayed, facts)
			}
			if undone := run("jobs", "undo", "--yes", done.JobID); undone.Restored != int64(facts) {
				t.Errorf("an undo restored %d of %d", undone.Restored, facts)
			}
			if n := d.Rows(t, "SELECT count(*) FROM fact_validity_overrides WHERE length(reason) > 1000000"); n[0] != strconv.Itoa(l.facts) {
				t.Errorf("%s overrides as they were", n[0])
			}
			if done := run(append([]string{"sweep", "--policies", policies, "--yes", "--max-expire", "100%"}, rules...)...); done.Decayed != older {
				t.Errorf("a sweep with a policy expired %d of %d", done.Decayed, older)
			}
		})
	}
}
