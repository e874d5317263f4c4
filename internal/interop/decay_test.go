//go:build interop

package interop_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// rules are the rules of a sweep.
type rules struct {
	ttl    *int // seconds
	floor  float64
	scope  string
	dryRun bool
}

func ttl(seconds int) *int { return &seconds }

// query is the rules as parameters of the node's request.
func (r rules) query() url.Values {
	query := url.Values{}
	if r.ttl != nil {
		query.Set("ttl_seconds", strconv.Itoa(*r.ttl))
	}
	if r.floor > 0 {
		query.Set("min_confidence", fmt.Sprint(r.floor))
	}
	if r.scope != "" {
		query.Set("scope", r.scope)
	}
	if r.dryRun {
		query.Set("dry_run", "true")
	}
	return query
}

// command is the rules as a command line of decayctl.
func (r rules) command() []string {
	args := []string{"sweep", "--yes"}
	if r.dryRun {
		args = []string{"dry-run"}
	}
	if r.ttl != nil {
		args = append(args, "--ttl-seconds", strconv.Itoa(*r.ttl))
	}
	if r.floor > 0 {
		args = append(args, "--min-confidence", fmt.Sprint(r.floor))
	}
	if r.scope != "" {
		args = append(args, "--scope", r.scope)
	}
	return args
}

// TestSweep: decayctl and the node write the same rows and report the same counts, on the facts of the node's own tests.
// Afterwards a query of the node returns the facts that did not expire.
func TestSweep(t *testing.T) {
	all := []said{alice, bob}
	for _, c := range []struct {
		name             string
		facts            []said
		rules            rules
		scanned, decayed float64
		left             []string
	}{
		{"everything", all, rules{ttl: ttl(0)}, 2, 2, []string{}},
		{"below a floor", all, rules{floor: 0.6}, 1, 1, []string{"user:alice admin 0.9"}},
		{"dry run", []said{alice}, rules{ttl: ttl(0), dryRun: true}, 1, 0, []string{"user:alice admin 0.9"}},
		{"one scope", []said{alice, bob.in("team")}, rules{ttl: ttl(0), scope: "local"}, 1, 1, []string{"user:bob guest 0.5"}},
		{"no facts", nil, rules{ttl: ttl(60)}, 0, 0, []string{}},
		{"too young", all, rules{ttl: ttl(3600)}, 0, 0, []string{"user:alice admin 0.9", "user:bob guest 0.5"}},
		{"expired before", []said{alice.expiring(-2 * time.Hour)}, rules{ttl: ttl(0)}, 0, 0, []string{}},
		{"expiring later", []said{alice.expiring(time.Hour), bob.expiring(time.Hour)}, rules{ttl: ttl(0), floor: 0.6}, 1, 1, []string{"user:alice admin 0.9"}},
		{"both rules", all, rules{ttl: ttl(0), floor: 0.6}, 2, 2, []string{}},
		{"every scope", []said{alice, bob.in("team")}, rules{ttl: ttl(0)}, 2, 2, []string{}},
		{"no confidence", []said{{entity: "user:c", relation: "a:b", value: "c"}}, rules{floor: 1}, 0, 0, []string{"user:c c 0"}},
		{"a fact of the graph", []said{{entity: "a://1", relation: "r:knows", value: "a://2", kind: "ref", confidence: 0.2}}, rules{floor: 0.5}, 1, 1, []string{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, p *place) {
				n := serve(t, p, noAuth)
				for _, s := range c.facts {
					n.assert(s)
				}
				b := besides(t, p, c.rules)
				if counts := (counts{c.scanned, c.decayed, c.rules.dryRun}); b.ours != counts || b.theirs != counts {
					t.Errorf("decayctl counts %+v, the node %+v, want %+v", b.ours, b.theirs, counts)
				}
				if diff := cmp.Diff(b.theirRows, b.ourRows); diff != "" {
					t.Errorf("(-the node's +ours):\n%s", diff)
				}
				if diff := cmp.Diff(c.left, n.facts(nil)); diff != "" {
					t.Errorf("what the node still serves (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestSystemFacts: the system facts that a node writes about a contradiction never expire.
func TestSystemFacts(t *testing.T) {
	onBoth(t, func(t *testing.T, p *place) {
		n := serve(t, p)
		n.assert(alice)
		n.assert(contrary)
		b := besides(t, p, rules{ttl: ttl(0), floor: 1})
		if b.ours.decayed != 2 || b.theirs != b.ours {
			t.Errorf("decayctl counts %+v, the node %+v, want 2 decayed", b.ours, b.theirs)
		}
		if diff := cmp.Diff(b.theirRows, b.ourRows); diff != "" {
			t.Errorf("(-the node's +ours):\n%s", diff)
		}
		own := 0
		for _, each := range n.get("/v1/facts", url.Values{"limit": {"100"}})["facts"].([]any) {
			if f := each.(object); !system(f) {
				t.Errorf("%v is still served", f)
			} else if own++; f["valid_until"] != nil {
				t.Errorf("%v %v expires at %v", f["entity"], f["relation"], f["valid_until"])
			}
		}
		if own == 0 {
			t.Error("the contradiction left no system facts")
		}
	})
}

// TestRefused: decayctl and the node refuse the same wrong requests, and write nothing. (The node's command line would
// accept them.) A sweep without a rule does nothing in the node and is an error in decayctl.
func TestRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, p *place) {
		n := serve(t, p)
		n.assert(alice)
		n.want(http.StatusBadRequest, http.MethodPost, "/v1/decay/sweep", url.Values{"scope": {"invalid_scope"}}, nil)
		p.decayctl(t, 2, "sweep", "--yes", "--ttl", "0", "--scope", "invalid_scope")
		n.want(http.StatusUnprocessableEntity, http.MethodPost, "/v1/decay/sweep", url.Values{"min_confidence": {"7"}}, nil)
		p.decayctl(t, 2, "sweep", "--yes", "--min-confidence", "7")
		if got := sweptBy(n.post("/v1/decay/sweep", nil, nil)); got != (counts{}) {
			t.Errorf("without a rule the node sweeps %+v", got)
		}
		p.decayctl(t, 2, "sweep", "--yes")
		n.Key = "another-key"
		n.want(http.StatusUnauthorized, http.MethodPost, "/v1/decay/sweep", nil, nil)
		if rows := p.swept(t); len(rows) > 0 {
			t.Errorf("refused, and yet: %v", rows)
		}
	})
}

// TestCommandLine: decayctl expires what the node's own command line expires.
func TestCommandLine(t *testing.T) {
	onBoth(t, func(t *testing.T, p *place) {
		n := serve(t, p, noAuth)
		n.assert(alice)
		n.assert(bob)
		args := []string{"decay", "sweep", "--ttl-seconds", "86400", "--min-confidence", "0.6", "--scope", "local"}
		if said, want := p.nodeCommand(t, append(args, "--dry-run")...), "[dry-run] 1 facts would be decayed\n"; said != want {
			t.Errorf("the node says %q, want %q", said, want)
		}
		r := rules{ttl: ttl(86400), floor: 0.6, scope: "local", dryRun: true}
		if got := sweptBy(p.decayctl(t, 0, r.command()...)); got != (counts{1, 0, true}) {
			t.Errorf("decayctl counts %+v", got)
		}
		if said, want := p.nodeCommand(t, args...), "1 facts decayed (1 scanned)\n"; said != want {
			t.Errorf("the node says %q, want %q", said, want)
		}
		r.dryRun = false
		if got := sweptBy(p.decayctl(t, 0, r.command()...)); got != (counts{}) {
			t.Errorf("decayctl sweeps once more: %+v", got)
		}
	})
}
