//go:build interop

package interop_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"decayctl/internal/store/sample"
)

// poll queries the node for a decay job.
func (n *node) poll(id any) object {
	n.t.Helper()
	return n.get("/v1/decay/jobs/"+id.(string), nil)
}

// shows checks some fields of an answer.
func shows(t testing.TB, what string, answer, want object) {
	t.Helper()
	got := object{}
	for name := range want {
		got[name] = answer[name]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// TestJobsPolled: the node serves decayctl's jobs in each state.
func TestJobsPolled(t *testing.T) {
	onBoth(t, func(t *testing.T, p *place) {
		n := serve(t, p)
		p.fill(t, sample.Options{Facts: 2500, AsOf: time.Now().UTC().Truncate(time.Second), Seed: 3})
		sweep := []string{"sweep", "--yes", "--ttl", "90d", "--min-confidence", "0.4", "--detach", "--threshold", "0"}
		id := p.decayctl(t, 0, sweep...)["job_id"].(string)
		pending := n.poll(id)
		shows(t, "pending", pending, object{"job_id": id, "status": "pending", "state": "pending", "scope": nil, "dry_run": false,
			"scanned": 0.0, "decayed": 0.0, "estimated_s": 60.0, "started_at": nil, "completed_at": nil, "error": nil})

		paused := p.pause(t, n, id)

		done := p.decayctl(t, 0, "jobs", "resume", id)
		polled := n.poll(id)
		shows(t, "done", polled, object{"status": "done", "state": "done", "dry_run": false, "error": nil,
			"scanned": done["scanned"], "decayed": done["decayed"], "created_at": pending["created_at"], "started_at": paused["started_at"]})
		if polled["completed_at"] == nil || done["decayed"].(float64) <= paused["decayed"].(float64) {
			t.Errorf("done: %v after %v", polled, paused)
		}
		if diff := cmp.Diff(polled, n.poll(id)); diff != "" {
			t.Errorf("a second poll of a finished job differs:\n%s", diff)
		}
		n.want(http.StatusNotFound, http.MethodGet, "/v1/lint/jobs/"+id, nil, nil)

		undone := p.decayctl(t, 0, "jobs", "undo", id, "--yes")
		shows(t, "undone", n.poll(id), object{"status": "done", "state": "undone", "decayed": undone["decayed"]})

		cancelled := p.decayctl(t, 0, sweep...)["job_id"].(string)
		p.decayctl(t, 0, "jobs", "cancel", cancelled)
		polled = n.poll(cancelled)
		shows(t, "cancelled", polled, object{"status": "failed", "state": "cancelled", "decayed": 0.0})
		if polled["error"] == nil {
			t.Errorf("cancelled, and no error says so: %v", polled)
		}
	})
}

// pause lets decayctl start a pending job at a slow pace, and pauses the job after four batches. Meanwhile it polls the
// node. It returns what the node says of the paused job.
func (p *place) pause(t testing.TB, n *node, id string) object {
	t.Helper()
	ended := make(chan int, 1)
	go func() {
		exit := -1
		defer func() { ended <- exit }()
		exit, _, _ = p.command(t, "jobs", "resume", id, "--batch-size", "10", "--pace", "0.05")
	}()
	var seen []float64
	n.await("the counts rise four times", func() bool {
		polled := n.poll(id)
		if decayed := polled["decayed"].(float64); len(seen) == 0 || decayed != seen[len(seen)-1] {
			seen = append(seen, decayed)
		}
		if polled["status"] == "running" && (polled["started_at"] == nil || polled["completed_at"] != nil || polled["error"] != nil) {
			t.Errorf("running: %v", polled)
		}
		return len(seen) >= 5
	})
	if !slices.IsSorted(seen) {
		t.Errorf("the counts were %v", seen)
	}
	p.decayctl(t, 0, "jobs", "pause", id)
	if exit := <-ended; exit != 3 {
		t.Errorf("the paused sweep ends with %d, want 3", exit)
	}
	paused := n.poll(id)
	shows(t, "paused", paused, object{"status": "running", "state": "paused", "completed_at": nil, "error": nil})
	return paused
}

// TestFailedJob: if the database refuses the writes of a sweep, the node says that the job failed.
func TestFailedJob(t *testing.T) {
	onBoth(t, func(t *testing.T, p *place) {
		n := serve(t, p, noAuth)
		n.assert(alice)
		p.Exec(t, map[string]string{
			"sqlite": `CREATE TRIGGER refuse BEFORE INSERT ON fact_validity_overrides BEGIN SELECT RAISE(ABORT, 'refused by the test'); END`,
			"postgres": `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused by the test'; END $$;
				CREATE TRIGGER refuse BEFORE INSERT ON fact_validity_overrides FOR EACH ROW EXECUTE FUNCTION refuse()`,
		}[p.name])
		id := p.decayctl(t, 1, "sweep", "--yes", "--ttl", "0")["job_id"]
		polled := n.poll(id)
		shows(t, "failed", polled, object{"status": "failed", "state": "failed", "scanned": 1.0, "decayed": 0.0})
		if polled["error"] == nil || polled["completed_at"] == nil {
			t.Errorf("failed: %v", polled)
		}
		if left := n.facts(nil); len(left) != 1 {
			t.Errorf("the node serves %v", left)
		}
	})
}

// TestNodeJobs: decayctl lists and shows the node's own jobs, and refuses to work on them.
func TestNodeJobs(t *testing.T) {
	onBoth(t, func(t *testing.T, p *place) {
		n := serve(t, p, allAsync)
		everything := url.Values{"ttl_seconds": {"0"}}
		stale := object{"scope": "local", "checks": []string{"stale", "orphan"}}
		// 0 facts are not above the threshold 0, so a fact is needed for a job.
		n.post("/v1/decay/sweep", everything, nil)
		n.post("/v1/lint", nil, stale)
		n.assert(alice)
		n.post("/v1/decay/sweep", with(everything, "dry_run", "true"), nil)
		n.post("/v1/decay/sweep", with(everything, "scope", "team"), nil)

		accepted := n.want(http.StatusAccepted, http.MethodPost, "/v1/decay/sweep", everything, nil)
		shows(t, "accepted", accepted, object{"status": "pending", "estimated_s": 60.0})
		id := accepted["job_id"].(string)
		n.await("the node's job is done", func() bool { return n.poll(id)["status"] == "done" })
		shows(t, "the node's job", n.poll(id), object{"scanned": 1.0, "decayed": 1.0, "dry_run": false})

		linted := n.want(http.StatusAccepted, http.MethodPost, "/v1/lint", nil, stale)["job_id"].(string)
		lint := func() object { return n.get("/v1/lint/jobs/"+linted, nil) }
		n.await("the lint is done", func() bool { return lint()["status"] == "done" })
		shows(t, "lint", lint(), object{"scope": "local", "fact_count": 1.0, "findings": []any{}, "checks_run": []any{"stale", "orphan"}})
		if diff := cmp.Diff(lint(), lint()); diff != "" {
			t.Errorf("two polls differ: %s", diff)
		}
		for _, wrong := range []string{"/v1/decay/jobs/" + linted, "/v1/lint/jobs/" + id, "/v1/decay/jobs/" + uuid.NewString(),
			"/v1/lint/jobs/" + uuid.NewString(), "/v1/lint/jobs/nonsense"} {
			n.want(http.StatusNotFound, http.MethodGet, wrong, nil, nil)
		}

		own := p.decayctl(t, 0, "sweep", "--yes", "--ttl", "0")
		listed := p.decayctl(t, 0, "jobs", "list")["jobs"].([]any)
		if len(listed) != 2 || listed[0].(object)["job_id"] != own["job_id"] {
			t.Fatalf("jobs: %v", listed)
		}
		theirs := object{"job_id": id, "source": "node", "status": "done", "scanned": 1.0, "decayed": 1.0}
		shows(t, "in the list", listed[1].(object), theirs)
		shows(t, "shown", p.decayctl(t, 0, "jobs", "show", id), theirs)
		for _, args := range [][]string{{"resume", id}, {"undo", id, "--yes"}} {
			exit, document, _ := p.command(t, append([]string{"jobs"}, args...)...)
			if text, _ := document["error"].(object)["message"].(string); exit != 2 || !strings.Contains(text, "the node") {
				t.Errorf("%s of the node's job: exit code %d, %v", args[0], exit, document)
			}
		}
	})
}
