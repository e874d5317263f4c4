package hosts_test

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestCutOffAndStopped: in the middle of their work the switch drops all packets of one host, and another host's process is
// stopped for longer than its lease. The server ends the transactions of both, so that a third host takes over and ends the job.
// The stopped process, when it goes on, writes nothing: the rows are those of a sweep that nothing happened to.
// TestSoakSilentReader waits until the process that was cut off gives up.
func TestCutOffAndStopped(t *testing.T) {
	t.Parallel()
	s := newScene(t, 30_000)
	a, b, c := s.add(t, "a"), s.add(t, "b"), s.add(t, "c")
	id := s.detach(t, a)
	slow := []string{"--batch-size", "50", "--max-rate", "800/s"}
	lost, stopped := s.resume(t, a, id, slow...), s.resume(t, b, id, slow...)
	s.awaitWork(t, id, lost, stopped)
	a.cut(t)
	stopped.signal(t, syscall.SIGSTOP)
	other := s.resume(t, c, id, "--workers", "2")
	if exit, r := other.ends(t, patience); exit != 0 || r.Status != "done" {
		t.Errorf("the third host: exit code %d: %s", exit, &other.stderr)
	}
	stopped.signal(t, syscall.SIGCONT)
	if exit, r := stopped.ends(t, patience); exit != 0 || r.Status != "done" { // by the third host
		t.Errorf("the process that was stopped: exit code %d: %s", exit, &stopped.stderr)
	}
	s.await(t, "no transaction of the host that was cut off has locks of rows", nil, `SELECT count(*) = 0 FROM pg_stat_activity
		WHERE client_addr = $1::inet AND backend_xid IS NOT NULL`, a.address)
	s.same(t, s.db.Socket, id)
}

// TestClocksApart: the clock of one host is an hour behind, of the other an hour ahead. Leases are by the server's clock: each
// host knows the other to be alive, and both end the job as one host would.
func TestClocksApart(t *testing.T) {
	t.Parallel()
	s := newScene(t, 25_000)
	a, b := s.add(t, "a"), s.add(t, "b")
	id := s.detach(t, a)
	slow := []string{"--batch-size", "50", "--max-rate", "2000/s"}
	behind := a.decayctlAhead(t, -time.Hour, s.resumeArgs(id, slow...)...)
	ahead := b.decayctlAhead(t, time.Hour, s.resumeArgs(id, slow...)...)
	s.awaitWork(t, id, behind, ahead)
	for _, p := range []*process{behind, ahead} {
		if exit, r := p.ends(t, patience); exit != 0 || r.Status != "done" || strings.Contains(p.stderr.String(), "took over") {
			t.Errorf("%s: exit code %d: %s", p.host.name, exit, &p.stderr)
		}
	}
	s.same(t, s.db.Socket, id)
}
