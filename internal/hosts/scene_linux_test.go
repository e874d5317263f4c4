package hosts_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/job"
	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/sample"
	"decayctl/internal/store/sample/samplepg"
	"decayctl/internal/store/storetest"
)

// scene is a network with a PostgreSQL server and two equal stores on it: one for the hosts, one that nothing happens to.
type scene struct {
	*network
	server  *host
	cluster *pgtest.Cluster
	db      *pgtest.Database
	whole   *pgtest.Database
	store   string // the address for the hosts
	lease   []string
}

var (
	now   = time.Now().UTC().Truncate(time.Second)
	rules = []string{"--ttl", "90d", "--min-confidence", "0.4", "--as-of", now.Format(time.RFC3339), "-o", "json"}
)

// open lets hosts connect to the server.
const open = "listen_addresses = '*'"

func newScene(t *testing.T, facts int, settings ...string) *scene {
	t.Helper()
	s := &scene{network: newNetwork(t), lease: []string{"--lease", "4s", "--lock-timeout", "2s"}}
	s.server = s.add(t, "server")
	s.server.run(t, func() { t.Helper(); s.cluster = pgtest.Own(t, append(settings, open)...) })
	admit(t, s.cluster.Folder)
	s.db = s.cluster.NewDatabase(t, pgtest.DatabaseOptions{})
	s.sql(t, "SELECT pg_reload_conf()")
	conn := s.db.Conn(t)
	if err := samplepg.Fill(t.Context(), conn, sample.Options{Facts: facts, AsOf: now, Seed: 11}); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close(t.Context()) // a database with sessions is not copied
	s.whole = s.db.Copy(t)
	s.store = s.at(s.db, s.server, s.cluster.Port)
	return s
}

// admit lets the hosts of the network log in with a password.
func admit(t *testing.T, folder string) {
	t.Helper()
	path := filepath.Join(folder, "data", "pg_hba.conf")
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, append(text, "host all,replication all 10.77.0.0/24 scram-sha-256\n"...), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// at is the address of a database for the hosts.
func (s *scene) at(db *pgtest.Database, server *host, port int) string {
	local := fmt.Sprintf("127.0.0.1:%d", s.cluster.Port)
	return strings.Replace(db.URL, local, fmt.Sprintf("%s:%d", server.address, port), 1)
}

// sql runs a statement over the server's Unix socket, which works without the network.
func (s *scene) sql(t *testing.T, query string, args ...any) []string {
	t.Helper()
	return query1(t, s.db.Socket, query, args...)
}

func query1(t *testing.T, dsn, query string, args ...any) []string {
	t.Helper()
	d := storetest.OpenPostgres(t, dsn, "public")
	defer func() { _ = d.Close() }()
	return storetest.Database{SQL: d}.Rows(t, query, args...)
}

// detach makes the job, which no process works on yet.
func (s *scene) detach(t *testing.T, on *host) (id string) {
	t.Helper()
	p := on.decayctl(t, slices.Concat([]string{"sweep", "--store", s.store, "--detach", "--threshold", "0"}, rules)...)
	exit, r := p.ends(t, patience)
	if exit != 0 || r.Status != "pending" {
		t.Fatalf("exit code %d: %s", exit, &p.stderr)
	}
	return r.JobID
}

// resume starts a process that works on the job.
func (s *scene) resume(t *testing.T, on *host, id string, more ...string) *process {
	t.Helper()
	return on.decayctl(t, s.resumeArgs(id, more...)...)
}

func (s *scene) resumeArgs(id string, more ...string) []string {
	return slices.Concat([]string{"jobs", "resume", id, "--store", s.store, "--pace", "1", "-o", "json"}, s.lease, more)
}

// patience is how long a test waits for what must happen, on a busy machine.
const patience = 3 * time.Minute

// await waits until a query answers true, while some processes run.
func (s *scene) await(t *testing.T, what string, while []*process, query string, args ...any) {
	t.Helper()
	d := storetest.Database{SQL: storetest.OpenPostgres(t, s.db.Socket, "public")}
	defer func() { _ = d.SQL.Close() }()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if rows, err := d.Query(query, args...); err == nil && len(rows) == 1 && rows[0] == "true" {
			return
		}
		for _, p := range while {
			if p.over() {
				t.Fatalf("%s has ended: %s", p.host.name, &p.stderr)
			}
		}
	}
	t.Fatalf("%s: not after %s", what, patience)
}

// awaitWork waits until each process has a claim of which it has written a part.
func (s *scene) awaitWork(t *testing.T, id string, all ...*process) {
	t.Helper()
	for _, p := range all {
		s.await(t, p.host.name+" has begun to write", []*process{p}, `SELECT count(*) > 0 FROM decayctl_claims c JOIN decayctl_workers w USING (job_id, worker)
			WHERE job_id = $1 AND w.host = $2 AND c.low IS NOT NULL AND EXISTS (
				SELECT 1 FROM fact_validity_overrides o WHERE o.fact_id = c.low AND o.reason = 'decay_sweep')`, id, p.host.name)
	}
}

// same holds the job to a sweep that nothing happened to: the rows, the counts, and the counts to the rows.
func (s *scene) same(t *testing.T, dsn, id string) {
	t.Helper()
	p := s.server.decayctl(t, slices.Concat([]string{"sweep", "--store", s.at(s.whole, s.server, s.cluster.Port), "--pace", "1"}, rules)...)
	if exit, r := p.ends(t, patience); exit != 0 || r.Status != "done" {
		t.Fatalf("the undisturbed sweep: exit code %d: %s", exit, &p.stderr)
	}
	s.compare(t, dsn, s.whole.Socket, id)
}

// compare holds one store to another one, which nothing happened to.
func (s *scene) compare(t *testing.T, dsn, undisturbed, id string) {
	t.Helper()
	whole := storetest.Database{SQL: storetest.OpenPostgres(t, undisturbed, "public")}
	d := storetest.Database{SQL: storetest.OpenPostgres(t, dsn, "public")}
	if diff := cmp.Diff(whole.Touched(t), d.Touched(t)); diff != "" {
		t.Errorf("the rows (-undisturbed +disturbed):\n%.4000s", diff)
	}
	if diff := cmp.Diff(counts(t, whole), counts(t, d)); diff != "" {
		t.Errorf("the counts (-undisturbed +disturbed):\n%s", diff)
	}
	if state := d.Rows(t, "SELECT state FROM decayctl_jobs WHERE job_id = $1", id); state[0] != string(job.Done) {
		t.Errorf("the job is %s", state)
	}
	written := d.Rows(t, `SELECT count(*) FROM fact_validity_overrides o JOIN decayctl_jobs j ON o.updated_at = j.stamp
		WHERE j.job_id = $1 AND o.reason = 'decay_sweep'`, id)[0]
	if n := strconv.FormatInt(counts(t, d).Decayed, 10); n != written {
		t.Errorf("the job counts %s facts expired, and the store has %s", n, written)
	}
	if twice := d.Rows(t, "SELECT fact_id FROM fact_retractions WHERE right(id, 12) = right($1, 12) GROUP BY fact_id HAVING count(*) > 1", id); len(twice) > 0 {
		t.Errorf("retracted twice: %v", twice)
	}
}

// counts reads what the newest job counted, but for what depends on how it went.
func counts(t *testing.T, d storetest.Database) job.Counts {
	t.Helper()
	c, err := job.ParseCounts(d.Rows(t, "SELECT counts FROM decayctl_jobs ORDER BY stamp DESC LIMIT 1")[0])
	if err != nil {
		t.Fatal(err)
	}
	c.Batches, c.LongestLock, c.Retries = 0, 0, 0
	return c
}

// sessions is the sessions of a host that are in a transaction.
func (s *scene) sessions(t *testing.T, h *host) []string {
	t.Helper()
	return s.sql(t, `SELECT concat_ws(' ', state, wait_event, round(extract(epoch FROM clock_timestamp() - state_change)::numeric, 1), left(query, 60))
		FROM pg_stat_activity WHERE client_addr = $1::inet AND xact_start IS NOT NULL`, h.address)
}
