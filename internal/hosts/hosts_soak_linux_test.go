//go:build soak

package hosts_test

import (
	"strings"
	"testing"
	"time"
)

// TestSoakBackInTime: a host is cut off and is back while its process still tries: before its lease has ended, and after. Either way
// the job ends on both hosts, and the rows are those of a sweep that nothing happened to.
func TestSoakBackInTime(t *testing.T) {
	for _, away := range []time.Duration{2 * time.Second, 8 * time.Second, 40 * time.Second} {
		t.Run(away.String(), func(t *testing.T) {
			s := newScene(t, 40_000)
			a, b := s.add(t, "a"), s.add(t, "b")
			id := s.detach(t, a)
			slow := []string{"--batch-size", "50", "--max-rate", "1500/s", "--workers", "2"}
			lost, other := s.resume(t, a, id, slow...), s.resume(t, b, id, slow...)
			s.awaitWork(t, id, lost, other)
			a.cut(t)
			time.Sleep(away) // is what is tested
			a.reconnect(t)
			if exit, r := other.ends(t, patience); exit != 0 || r.Status != "done" {
				t.Errorf("the other host: exit code %d: %s", exit, &other.stderr)
			}
			exit, r := lost.ends(t, patience)
			if exit != 0 && exit != 3 {
				t.Errorf("the host that was cut off: exit code %d: %s", exit, &lost.stderr)
			}
			t.Logf("away for %s: exit code %d, %s: %s", away, exit, r.Status, lost.lastLine())
			s.same(t, s.db.Socket, id)
		})
	}
}

// TestSoakSilentReader: the server ends each transaction of a host that was cut off, also one that it sends rows for, and that has
// no locks of rows.
func TestSoakSilentReader(t *testing.T) {
	s := newScene(t, 40_000)
	a := s.add(t, "a")
	id := s.detach(t, a)
	p := s.resume(t, a, id, "--batch-size", "50", "--max-rate", "800/s", "--workers", "2")
	s.awaitWork(t, id, p)
	a.cut(t)
	begun := time.Now()
	t.Logf("open as it was cut off: %q", s.sessions(t, a))
	s.await(t, "no transaction of the host is left", nil, "SELECT count(*) = 0 FROM pg_stat_activity WHERE client_addr = $1::inet AND xact_start IS NOT NULL", a.address)
	t.Logf("none is open after %s", time.Since(begun).Round(time.Second))
	exit, _ := p.ends(t, 3*patience)
	t.Logf("the process ended after %s with exit code %d: %s", time.Since(begun).Round(time.Second), exit, p.lastLine())
	if exit != 1 || !strings.Contains(p.lastLine(), "goes on") {
		t.Errorf("exit code %d: %s", exit, &p.stderr)
	}
}
