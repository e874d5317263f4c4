//go:build interop

package interop_test

import (
	"net/http"
	"slices"
	"testing"
)

// TestTenants: a sweep of one tenant, or of all, expires what the node's own sweep expires. As with the node's jobs, only
// a key of the job's tenant can poll a job.
func TestTenants(t *testing.T) {
	onBoth(t, func(t *testing.T, p *place) {
		settings := append([]string{"STIGMEM_MULTI_TENANT_ENABLED=true", allAsync}, plugins...)
		n := serve(t, p, settings...)
		acme := n.as("agent:acme", "acme")
		for _, n := range []*node{n, acme} {
			n.assert(alice)
			n.assert(bob)
		}
		// polled polls a job with both keys. Only the key of its tenant gets an answer.
		polled := func(job object, own, other *node) {
			t.Helper()
			path := "/v1/decay/jobs/" + job["job_id"].(string)
			if got := own.get(path, nil)["job_id"]; got != job["job_id"] {
				t.Errorf("the tenant's own key gets %v", got)
			}
			other.want(http.StatusNotFound, http.MethodGet, path, nil, nil)
		}
		told := func(n *node, of string, want ...string) {
			t.Helper()
			same(t, of, n.facts(nil), want...)
		}
		twin := p.copy(t)
		both := []string{"user:alice admin 0.9", "user:bob guest 0.5"}

		// The sweep of a named tenant.
		swept := p.decayctl(t, 0, append(rules{floor: 0.6}.command(), "--tenant", "acme")...)
		if got := sweptBy(swept); got != (counts{1, 1, false}) || swept["tenant"] != "acme" {
			t.Errorf("decayctl counts %+v in tenant %v", got, swept["tenant"])
		}
		polled(swept, acme, n)
		told(acme, "acme", both[0])
		told(n, "default", both...)
		// The sweeps of the default tenant, and of all.
		swept = p.all(t)
		if got := sweptBy(swept); got != (counts{2, 2, false}) || swept["tenant"] != "default" {
			t.Errorf("decayctl counts %+v in tenant %v", got, swept["tenant"])
		}
		polled(swept, n, acme)
		told(n, "default")
		told(acme, "acme", both[0])
		swept = p.decayctl(t, 0, "sweep", "--yes", "--ttl", "0", "--all-tenants")
		if got := sweptBy(swept); got != (counts{1, 1, false}) || swept["tenant"] != nil {
			t.Errorf("decayctl counts %+v in tenant %v", got, swept["tenant"])
		}
		polled(swept, n, acme)
		told(acme, "acme")
		// An undo restores the facts of each tenant.
		p.decayctl(t, 0, "jobs", "undo", swept["job_id"].(string), "--yes")
		told(acme, "acme, after an undo", both[0])
		told(n, "default, after an undo")

		// The node does the same to a copy, over HTTP and with its command.
		theirs := serve(t, twin, settings...)
		theirAcme := *theirs
		theirAcme.Key = acme.Key
		job := theirAcme.want(http.StatusAccepted, http.MethodPost, "/v1/decay/sweep", rules{floor: 0.6}.query(), nil)
		theirs.await("the node's job is done", func() bool { return theirAcme.poll(job["job_id"])["status"] == "done" })
		polled(job, &theirAcme, theirs)
		told(&theirAcme, "acme, after the node's sweep", both[0])
		told(theirs, "default, after the node's sweep of acme", both...)
		if listed := twin.decayctl(t, 0, "jobs", "list")["jobs"].([]any); len(listed) != 1 || listed[0].(object)["source"] != "node" {
			t.Errorf("jobs: %v", listed)
		}
		for _, c := range []struct {
			flags []string
			facts float64
			said  string
		}{
			{nil, 2, "2 facts decayed (2 scanned)\n"},
			{[]string{"--all-tenants"}, 1, "1 facts decayed (1 scanned)\n"},
		} {
			if ours := twin.decayctl(t, 0, slices.Concat([]string{"dry-run", "--ttl-seconds", "0"}, c.flags)...)["scanned"]; ours != c.facts {
				t.Errorf("%v: decayctl would expire %v facts, want %v", c.flags, ours, c.facts)
			}
			if said := twin.nodeCommand(t, slices.Concat([]string{"decay", "sweep", "--ttl-seconds", "0"}, c.flags)...); said != c.said {
				t.Errorf("%v: the node says %q, want %q", c.flags, said, c.said)
			}
		}
		told(&theirAcme, "acme, after the node's sweep of all")
	})
}
