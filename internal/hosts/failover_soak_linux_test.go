//go:build soak

package hosts_test

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/storetest"
)

var soakFailovers = flag.Int("soak-failovers", 3, "how often the soak tests fail over in each way")

// pair is a primary and its standby, each on a host of its own.
type pair struct {
	*scene
	two     *host
	standby *pgtest.Standby
}

func newPair(t *testing.T, facts int, sync bool) *pair {
	t.Helper()
	p := &pair{scene: newScene(t, facts, "synchronous_commit = on")}
	p.lease = nil // as decayctl has it: the failover takes less
	p.two = p.add(t, "two")
	p.two.run(t, func() { t.Helper(); p.standby = p.cluster.Standby(t) })
	// pg_basebackup has copied over the Unix socket. From here on the standby follows over the network.
	p.onStandby(t, fmt.Sprintf("ALTER SYSTEM SET primary_conninfo = 'host=%s port=%d user=postgres password=pgtest application_name=two'", p.server.address, p.cluster.Port))
	p.onStandby(t, "SELECT pg_reload_conf()")
	p.await(t, "the standby follows over the network", nil, "SELECT count(*) = 1 FROM pg_stat_replication WHERE client_addr = $1::inet AND state = 'streaming'", p.two.address)
	if sync {
		p.sql(t, "ALTER SYSTEM SET synchronous_standby_names = 'two'")
		p.sql(t, "SELECT pg_reload_conf()")
		p.await(t, "the standby is synchronous", nil, "SELECT sync_state = 'sync' FROM pg_stat_replication")
	}
	both := fmt.Sprintf("%s:%d,%s:%d", p.server.address, p.cluster.Port, p.two.address, p.standby.Port)
	p.store = strings.Replace(p.store, fmt.Sprintf("%s:%d", p.server.address, p.cluster.Port), both, 1) + "&target_session_attrs=read-write"
	return p
}

// socket is a database on the standby, over its Unix socket.
func (p *pair) socket(db *pgtest.Database) string {
	return fmt.Sprintf("host=%s port=%d user=postgres dbname=%s", p.standby.Folder, p.standby.Port, db.Name)
}

func (p *pair) onStandby(t *testing.T, query string, args ...any) []string {
	t.Helper()
	return query1(t, p.socket(p.db), query, args...)
}

// fallBehind has the standby get nothing more, and waits until the primary has written some batches more.
func (p *pair) fallBehind(t *testing.T, counted string) {
	t.Helper()
	p.server.ip(t, "route add blackhole "+p.two.address+"/32")
	had := p.sql(t, "SELECT "+counted+" FROM decayctl_jobs ORDER BY stamp DESC LIMIT 1")[0]
	p.await(t, "the primary goes on alone", nil, "SELECT "+counted+" > $1::bigint + 3000 FROM decayctl_jobs ORDER BY stamp DESC LIMIT 1", had)
}

// failOver ends the primary, and promotes the standby after some time. A silent primary is cut off, and is fenced before it is back.
func (p *pair) failOver(t *testing.T, silent bool, after time.Duration, counted string) {
	t.Helper()
	said := p.sql(t, "SELECT "+counted+" FROM decayctl_jobs ORDER BY stamp DESC LIMIT 1")[0]
	if silent {
		p.server.cut(t)
	} else {
		p.cluster.Stop(t, pgtest.Immediate)
	}
	t.Cleanup(func() { // its databases are dropped next, and no standby confirms that
		if !silent {
			p.cluster.Restart(t)
		}
		p.sql(t, "ALTER SYSTEM RESET synchronous_standby_names")
		p.sql(t, "SELECT pg_reload_conf()")
	})
	has := p.onStandby(t, "SELECT "+counted+" FROM decayctl_jobs ORDER BY stamp DESC LIMIT 1")[0]
	time.Sleep(after) // is what is tested
	p.onStandby(t, "SELECT pg_promote()")
	t.Logf("the primary had written %s facts at least, and the standby has %s", said, has)
}

// outcome waits for the processes. If all of them ended before the job did, it goes on with the job.
func (p *pair) outcome(t *testing.T, all []*process, again func(on *host) *process) {
	t.Helper()
	var stopped []*host
	for _, each := range all {
		switch exit, r := each.ends(t, patience); {
		case exit == 0:
			t.Logf("%s ended the job after %s: %s", each.host.name, time.Since(each.begun).Round(time.Second), r.Status)
		case exit == 3 && strings.Contains(each.lastLine(), "goes on"):
			t.Logf("%s: %s", each.host.name, each.lastLine())
			stopped = append(stopped, each.host)
		default:
			t.Errorf("%s: exit code %d: %s", each.host.name, exit, &each.stderr)
		}
	}
	if len(stopped) == len(all) {
		if exit, r := again(stopped[0]).ends(t, patience); exit != 0 {
			t.Errorf("gone on with: exit code %d, %+v", exit, r)
		}
	}
}

const (
	expired  = "coalesce((counts::json->>'decayed')::bigint, 0)"
	restored = "coalesce((counts::json->>'restored')::bigint, 0)"
)

// TestSoakFailover: the primary ends in the middle of a job of two hosts, and its standby takes over. The processes go on, or end
// and say what goes on. The rows are then those of a sweep that nothing happened to, however much the standby lacked.
func TestSoakFailover(t *testing.T) {
	for _, test := range []struct {
		name         string
		sync, silent bool
		rounds       int
	}{
		{"synchronous", true, false, *soakFailovers},
		{"asynchronous", false, false, *soakFailovers},
		{"synchronous, primary cut off", true, true, 1},
		{"asynchronous, primary cut off", false, true, 1},
	} {
		for round := range test.rounds {
			t.Run(fmt.Sprint(test.name, " ", round), func(t *testing.T) {
				p := newPair(t, 60_000, test.sync)
				a, b := p.add(t, "a"), p.add(t, "b")
				id := p.detach(t, a)
				slow := []string{"--batch-size", fmt.Sprint(50 + 70*round), "--max-rate", "1500/s", "--workers", "2"}
				both := []*process{p.resume(t, a, id, slow...), p.resume(t, b, id, slow...)}
				p.awaitWork(t, id, both...)
				if !test.sync {
					p.fallBehind(t, expired)
				}
				p.failOver(t, test.silent, 0, expired)
				p.outcome(t, both, func(on *host) *process { return p.resume(t, on, id) })
				p.sameOn(t, id)
			})
		}
	}
}

// TestSoakSlowFailover: the failover takes longer than the lease, as one of a managed server may. Both processes go on by themselves.
func TestSoakSlowFailover(t *testing.T) {
	p := newPair(t, 40_000, true)
	a, b := p.add(t, "a"), p.add(t, "b")
	id := p.detach(t, a)
	both := []*process{p.resume(t, a, id, "--batch-size", "50", "--max-rate", "1500/s"), p.resume(t, b, id, "--batch-size", "50", "--max-rate", "1500/s")}
	p.awaitWork(t, id, both...)
	p.failOver(t, false, 90*time.Second, expired)
	for _, each := range both {
		exit, r := each.ends(t, patience)
		t.Logf("%s ended after %s: exit code %d: %s", each.host.name, time.Since(each.begun).Round(time.Second), exit, &each.stderr)
		if exit != 0 || r.Status != "done" {
			t.Errorf("%s: exit code %d, %s", each.host.name, exit, r.Status)
		}
	}
	p.sameOn(t, id)
}

// sameOn is same, on the standby that is the primary now.
func (p *pair) sameOn(t *testing.T, id string) {
	t.Helper()
	sweep := p.two.decayctl(t, slices.Concat([]string{"sweep", "--store", p.standby.URL(p.whole), "--pace", "1"}, rules)...)
	if exit, r := sweep.ends(t, patience); exit != 0 || r.Status != "done" {
		t.Fatalf("the undisturbed sweep: exit code %d: %s", exit, &sweep.stderr)
	}
	p.compare(t, p.socket(p.db), p.socket(p.whole), id)
}

// TestSoakFailoverOfUndo: the same for an undo, and a standby that lacks its last batches. All facts are as they were before
// the sweep.
func TestSoakFailoverOfUndo(t *testing.T) {
	for round := range *soakFailovers {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			p := newPair(t, 40_000, false)
			a := p.add(t, "a")
			before := storetest.Database{SQL: storetest.OpenPostgres(t, p.db.Socket, "public")}.Touched(t)
			id := p.detach(t, a)
			if exit, _ := p.resume(t, a, id).ends(t, patience); exit != 0 {
				t.Fatal("the sweep failed")
			}
			undo := func(on *host, more ...string) *process {
				return on.decayctl(t, append([]string{"jobs", "undo", id, "--yes", "--store", p.store, "-o", "json"}, more...)...)
			}
			first := undo(a, "--pace", "0.2", "--batch-size", fmt.Sprint(100+100*round))
			p.await(t, "the undo has begun", []*process{first}, "SELECT "+restored+" > 500 FROM decayctl_jobs")
			p.fallBehind(t, restored)
			p.failOver(t, false, 0, restored)
			p.outcome(t, []*process{first}, func(on *host) *process { return undo(on) })
			const cards = storetest.TouchedCards // they stay stale
			after := storetest.Database{SQL: storetest.OpenPostgres(t, p.socket(p.db), "public")}.Touched(t)
			if diff := cmp.Diff(before[:cards], after[:cards]); diff != "" {
				t.Errorf("(-before the sweep +after the undo):\n%.4000s", diff)
			}
			if state := p.onStandby(t, "SELECT state FROM decayctl_jobs"); state[0] != "undone" {
				t.Errorf("the job is %s", state)
			}
		})
	}
}
