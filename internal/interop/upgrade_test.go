//go:build interop

package interop_test

import (
	"context"
	"strings"
	"testing"
)

// TestUpgrade sweeps a store that the first release with overrides made, before and after the newest one
// has migrated it.
func TestUpgrade(t *testing.T) {
	onBoth(t, func(t *testing.T, p *place) {
		old := serveRelease(t, oldest, p, noAuth)
		old.assert(alice)
		old.assert(bob)
		if got := sweptBy(p.decayctl(t, 0, "sweep", "--yes", "--min-confidence", "0.6")); got != (counts{1, 1, false}) {
			t.Errorf("decayctl counts %+v", got)
		}
		left := func(n *node, want string) {
			t.Helper()
			if told := strings.Join(n.facts(nil), ", "); told != want {
				t.Errorf("the node tells %q, want %q", told, want)
			}
		}
		left(old, "user:alice admin 0.9")

		n := serve(t, p, noAuth)
		left(n, "user:alice admin 0.9")
		n.assert(said{entity: "user:carol", relation: "test:role", value: "guest", confidence: 0.2})
		b := besides(t, p, rules{floor: 0.95})
		if b.ours.decayed != 2 || b.theirs != b.ours {
			t.Errorf("decayctl counts %+v, the node %+v", b.ours, b.theirs)
		}
		left(n, "")
	})
}

// TestTooOld refuses a store of a release that had no overrides, and leaves it as it is. The newest
// node migrates it; then decayctl sweeps it, and leaves alone what the old node's own sweep had expired
// in the facts themselves.
func TestTooOld(t *testing.T) {
	onBoth(t, func(t *testing.T, p *place) {
		old := serveRelease(t, tooOld, p, noAuth)
		old.assert(alice)
		old.assert(bob)
		if got := sweptBy(old.post("/v1/decay/sweep", rules{floor: 0.6}.query(), nil)); got.decayed != 1 {
			t.Fatalf("the old node counts %+v", got)
		}
		facts := func() string {
			return strings.Join(p.Rows(t, "SELECT entity, valid_until FROM facts ORDER BY entity"), ", ")
		}
		before := facts()
		for _, command := range []string{"sweep", "dry-run"} {
			args := []string{command, "--ttl", "0"}
			if command == "sweep" {
				args = append(args, "--yes")
			}
			document := p.decayctl(t, 8, args...)
			if text := document["error"].(object)["message"].(string); !strings.Contains(text, "v"+oldest) {
				t.Errorf("%s: %s", command, text)
			}
		}
		if after := facts(); after != before {
			t.Errorf("the refused store has %s, had %s", after, before)
		}

		n := serve(t, p, noAuth)
		if got := sweptBy(p.decayctl(t, 0, "sweep", "--yes", "--ttl", "0")); got != (counts{1, 1, false}) {
			t.Errorf("decayctl counts %+v", got)
		}
		if told := n.facts(nil); len(told) > 0 {
			t.Errorf("the node still tells %v", told)
		}
		if after := facts(); after != before {
			t.Errorf("the facts are %s, were %s", after, before)
		}
	})
}

// TestWheel starts a node as PyPI's wheel installs it. It comes without migrations, finds no tables and
// ends, which is why all other tests have the sources of a release in front.
func TestWheel(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := python(ctx, t, "none", append(engines[0].fresh(t).environ, noAuth, "STIGMEM_HOST=127.0.0.1", "STIGMEM_PORT=0"), "stigmem-node")
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "no such table") {
		t.Errorf("%v: %s", err, out)
	}
}
