package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/store"
	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/postgres"
	"decayctl/internal/store/storetest"
)

// claimed starts a job over one overridden fact and makes the batch that expires it.
func claimed(t *testing.T, d storetest.Database, dsn string) (store.Store, store.Batch) {
	t.Helper()
	ctx := context.Background()
	c := storetest.Fact("a", storetest.Overridden(fact.Override{UpdatedAt: "x"}))
	d.Insert(t, c)
	s, err := open(t, dsn, "public", false)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Prepare(ctx); err != nil {
		t.Fatal(err)
	}
	joined, err := s.Start(ctx, store.StartParams{ID: uuid.NewString(), Rules: weak, AsOf: asOf, Worker: storetest.Worker("mars", 1)})
	if err != nil {
		t.Fatal(err)
	}
	claim, err := s.Claim(ctx, joined.Lease, 10)
	if err != nil {
		t.Fatal(err)
	}
	return s, store.Batch{
		Lease: joined.Lease, Claim: claim, UpTo: claim.Last, ClosesClaim: true, AsOf: asOf, Stamp: joined.Job.Stamp,
		Expiries: []store.Expiry{{Decision: storetest.Decision(&c, rule.Verdict{Action: rule.Expire, Rules: []string{rule.NameFloor}})}},
	}
}

// apply writes a batch in the background, and waits until its session does what a query finds.
func apply(t *testing.T, d storetest.Database, s store.Store, b store.Batch, until string) <-chan error {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		_, err := s.Apply(context.Background(), b)
		done <- err
	}()
	storetest.Await(func() bool {
		select {
		case err := <-done:
			t.Fatalf("the batch did not wait: %v", err)
		default:
		}
		return len(d.Rows(t, "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND "+until)) > 0
	})
	return done
}

const (
	locked     = "wait_event_type = 'Lock'"
	committing = "wait_event = 'PgSleep'"
)

// TestConnectionLost: the session of a batch ends before its COMMIT, and during it. The first has certainly written
// nothing. The outcome of the second is uncertain.
func TestConnectionLost(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t)
	for _, test := range []struct {
		name   string
		pooled bool
		until  string
		kind   store.Kind
	}{
		{"before the COMMIT", false, locked, store.Disconnected},
		{"in the COMMIT", false, committing, store.Uncertain},
		{"before the COMMIT, behind PgBouncer", true, locked, store.Disconnected},
		{"in the COMMIT, behind PgBouncer", true, committing, store.Uncertain},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			db := cluster.NewDatabase(t, pgtest.DatabaseOptions{})
			d, dsn := database(t, db, db.URL), db.URL
			if test.pooled {
				dsn = pgtest.Bouncer(t, cluster).URL(db)
			}
			s, b := claimed(t, d, dsn)
			if test.until == locked {
				defer d.Lock(t, "a")()
			} else {
				d.Exec(t, "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(600); RETURN new; END $$")
				d.Exec(t, "CREATE CONSTRAINT TRIGGER dawdle AFTER UPDATE ON fact_validity_overrides DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION dawdle()")
			}
			done := apply(t, d, s, b, test.until)
			d.Exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND "+test.until)
			err := <-done
			refused(t, err, test.kind, "connection")
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than a line: %q", err)
			}
			// The next transaction gets a connection of its own.
			if claim, found, err := s.LookupClaim(context.Background(), b.Lease, b.Claim.Number); err != nil || !found || claim.Facts != 1 {
				t.Errorf("claimed %+v, %v, %v", claim, found, err)
			}
		})
	}
}

// endSessions ends all other sessions of the database.
func endSessions(t *testing.T, d storetest.Database) {
	t.Helper()
	d.Exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
}

// TestServerGone: work that fails because the server is gone may be tried again.
func TestServerGone(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t)
	db := cluster.NewDatabase(t, pgtest.DatabaseOptions{})
	d := database(t, db, db.URL)
	s, b := claimed(t, d, db.URL)
	d.Exec(t, "UPDATE pg_database SET datallowconn = false WHERE datname = current_database()")
	endSessions(t, d)
	var err error
	for range 4 { // first the connections that the pool still has
		if err = s.Renew(context.Background(), b.Lease); !store.Is(err, store.Disconnected) {
			t.Errorf("got %v", err)
		}
	}
	_, err = open(t, db.URL, "public", false)
	refused(t, err, store.Unusable, "not currently accepting connections")
}

// TestTurnedAway: if the server is up and does not let the role in any more, work is not tried again for minutes. If another
// server of the address is away, it may come back.
func TestTurnedAway(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t)
	for name, change := range map[string]string{
		"another password":    "ALTER ROLE %[2]s PASSWORD 'another'",
		"a locked role":       "ALTER ROLE %[2]s NOLOGIN",
		"a revoked privilege": "REVOKE CONNECT ON DATABASE %[1]s FROM PUBLIC",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := cluster.NewDatabase(t, pgtest.DatabaseOptions{})
			role := db.NewRole(t, "ALL ON ALL TABLES IN SCHEMA public", "USAGE, CREATE ON SCHEMA public")
			d, at := database(t, db, db.URL), server(t, db.URL)
			alone, _ := claimed(t, d, role.URL)
			nowhere, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			_ = nowhere.Close()
			oneOfTwo, err := open(t, strings.Replace(role.URL, at, nowhere.Addr().String()+","+at, 1), "public", false)
			if err != nil {
				t.Fatal(err)
			}
			admin := storetest.Database{SQL: storetest.OpenPostgres(t, cluster.URL("postgres"), "public")}
			admin.Exec(t, fmt.Sprintf(change, db.Name, role.Name))
			admin.Exec(t, fmt.Sprintf("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '%s'", role.Name))
			for s, want := range map[store.Store]store.Kind{alone: store.Unusable, oneOfTwo: store.Disconnected} {
				var err error
				for range 4 { // first the connections that the pool still has
					_, err = s.Estimate(t.Context())
				}
				refused(t, err, want)
			}
		})
	}
}

// TestHostCutOffAfterBegin: the server ends a transaction of which it got nothing but the begin.
func TestHostCutOffAfterBegin(t *testing.T) {
	t.Parallel()
	db := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{})
	d := database(t, db, db.URL)
	through, cutAfter := cuttable(t, db.URL)
	s, err := postgres.Open(t.Context(), through, "public", store.OpenParams{LockTimeout: time.Second, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	const open = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'decayctl' AND state = 'idle in transaction'"
	begun := cutAfter("begin")
	ctx, give := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = s.Start(ctx, store.StartParams{ID: uuid.NewString(), Rules: weak, Worker: storetest.Worker("mars", 1)})
		_ = s.Close()
	}()
	<-begun
	storetest.Await(func() bool { return len(d.Rows(t, open)) == 0 })
	give()
	<-done
	if jobs := d.Rows(t, "SELECT job_id FROM decayctl_jobs"); len(jobs) > 0 {
		t.Errorf("it has started %v", jobs)
	}
}

// cuttable is the address of a server, through a proxy. cutAfter has the proxy pass on nothing more after a message with a word,
// and tell neither side. done is closed when the server has answered the message.
func cuttable(t *testing.T, address string) (through string, cutAfter func(word string) (done <-chan struct{})) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	target := server(t, address)
	var word atomic.Pointer[string]
	var isCut atomic.Bool
	answered := make(chan struct{})
	answer := sync.OnceFunc(func() { close(answered) })
	pass := func(to, from net.Conn, received func(message string)) {
		defer func() { _ = to.Close() }()
		for message := make([]byte, 1<<16); ; {
			n, err := from.Read(message)
			if err != nil {
				return
			}
			if !isCut.Load() {
				_, _ = to.Write(message[:n])
			}
			received(strings.ToLower(string(message[:n])))
		}
	}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			if isCut.Load() { // a request to cancel would wait for its answer
				_ = client.Close()
				continue
			}
			upstream, err := net.Dial("tcp", target)
			if err != nil {
				_ = client.Close()
				continue
			}
			go pass(upstream, client, func(message string) {
				if last := word.Load(); last != nil && strings.Contains(message, *last) {
					isCut.Store(true)
				}
			})
			go pass(client, upstream, func(string) {
				if isCut.Load() {
					answer()
				}
			})
		}
	}()
	return strings.Replace(address, target, listener.Addr().String(), 1), func(last string) <-chan struct{} {
		word.Store(&last)
		return answered
	}
}

// TestServerTurnsReadOnly: a process whose next connection leads to a server that may not be written is told how to find another one.
func TestServerTurnsReadOnly(t *testing.T) {
	t.Parallel()
	db := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{})
	d := database(t, db, db.URL)
	s, b := claimed(t, d, db.URL)
	d.Exec(t, "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$")
	endSessions(t, d)
	var err error
	for range 4 { // first the connections that the pool still has
		if err = s.Renew(context.Background(), b.Lease); !store.Is(err, store.Disconnected) {
			break
		}
	}
	refused(t, err, store.NotPermitted, "read-only", "target_session_attrs=read-write")
}

// TestCancelDoesNotWaitForABatch: cancelling a job does not wait for a batch in flight, nor does an undo. The batch
// then writes nothing.
func TestCancelDoesNotWaitForABatch(t *testing.T) {
	t.Parallel()
	db := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{})
	d := database(t, db, db.URL)
	s, b := claimed(t, d, db.URL)
	unlock := d.Lock(t, "a")
	done := apply(t, d, s, b, locked)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if j, err := s.Move(ctx, b.Lease.JobID, job.Cancelled, "enough"); err != nil || j.State != job.Cancelled {
		t.Errorf("%+v, %v", j, err)
	}
	undo, err := s.Join(ctx, store.JoinParams{ID: b.Lease.JobID, Undo: true, Worker: storetest.Worker("venus", 2)})
	if err != nil {
		t.Error(err)
	}
	unlock()
	var lost *job.Lost
	if err := <-done; !errors.As(err, &lost) || lost.State != job.Undoing && lost.State != job.Cancelled { // if it saw the job before the undo
		t.Errorf("the batch: %v", err)
	}
	if rows := d.Rows(t, "SELECT valid_until, updated_at FROM fact_validity_overrides"); rows[0] != "- | x" {
		t.Errorf("written: %v", rows)
	}
	if _, done, err := s.Finish(ctx, undo.Lease, store.Cursor{}); err != nil || !done {
		t.Errorf("finished: %v, %v", done, err)
	}
	if rows := d.Rows(t, "SELECT claim FROM decayctl_claims UNION ALL SELECT worker FROM decayctl_workers"); len(rows) != 0 {
		t.Errorf("left: %v", rows)
	}
}
