package cli_test

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"decayctl/internal/cli"
	"decayctl/internal/fact"
	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/storetest"
)

// now is when the tests run their commands.
var now = time.Date(2026, 11, 23, 12, 0, 7, 654_321_987, time.UTC)

// backend is a database to run the command line on.
type backend struct {
	name string
	// fresh makes an empty fact store, and gives what --store takes and what a node's environment
	// says of it.
	fresh func(t testing.TB) (db storetest.Database, target string, environ []string)
}

var backends = []backend{
	{"sqlite", func(t testing.TB) (storetest.Database, string, []string) {
		t.Helper()
		db, path := storetest.NewSQLite(t, nil)
		return db, path, []string{"STIGMEM_DB_PATH=" + path}
	}},
	{"postgres", func(t testing.TB) (storetest.Database, string, []string) {
		t.Helper()
		db := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{})
		return storetest.Database{SQL: storetest.OpenPostgres(t, db.URL, db.Schema)}, db.URL, []string{"STIGMEM_STORAGE_BACKEND=postgres", "DATABASE_URL=" + db.URL}
	}},
}

// reuse is fresh for many tests. On PostgreSQL, where it takes longer to create a database than most tests take, they share few.
func (b backend) reuse(t *testing.T) (fresh func(t *testing.T) (db storetest.Database, environ []string)) {
	t.Helper()
	if b.name != "postgres" {
		return func(t *testing.T) (storetest.Database, []string) {
			t.Helper()
			db, _, environ := b.fresh(t)
			return db, environ
		}
	}
	var environs sync.Map // by connection
	next := storetest.Reuse(func() storetest.Database {
		db, _, environ := b.fresh(t)
		environs.Store(db.SQL, environ)
		return db
	})
	return func(t *testing.T) (storetest.Database, []string) {
		t.Helper()
		db := next(t)
		environ, _ := environs.Load(db.SQL)
		return db, environ.([]string)
	}
}

// answer is what one command said.
type answer struct {
	exit           int
	stdout, stderr string
}

// decayctl runs one command in this process, without a terminal.
func decayctl(t testing.TB, environ []string, args ...string) answer {
	t.Helper()
	var stdout, stderr bytes.Buffer
	exit := cli.Main(cli.Process{
		Args: args, Environ: environ, Dir: t.TempDir(), Stdin: &bytes.Buffer{}, Stdout: &stdout, Stderr: &stderr,
		Now: func() time.Time { return now },
	})
	return answer{exit, stdout.String(), stderr.String()}
}

func ptr[T any](value T) *T { return &value }

// standard has a fact for everything a report counts. As of 2026-06-15T12:00:00Z, ttl 90d selects
// both, old, old-team, rejected and hostile, and floor 0.4 selects both and weak.
func standard() []fact.Candidate {
	with := func(id string, change func(*fact.Candidate)) fact.Candidate {
		return storetest.Fact(id, func(c *fact.Candidate) { c.Confidence = 0.9; change(c) })
	}
	return []fact.Candidate{
		with("both", func(c *fact.Candidate) { c.Confidence = 0.3 }),
		with("old", func(*fact.Candidate) {}),
		with("old-team", func(c *fact.Candidate) { c.Scope = "team" }),
		with("weak", func(c *fact.Candidate) { c.Timestamp, c.Confidence = "2026-06-14T00:00:00.000000+00:00", 0.2 }),
		with("young", func(c *fact.Candidate) { c.Timestamp = "2026-06-14T00:00:00.000000+00:00" }),
		with("system", func(c *fact.Candidate) { c.Entity = "stigmem:node:1" }),
		with("rel", func(c *fact.Candidate) { c.Relation = "rel:knows" }),
		with("hold", func(c *fact.Candidate) { c.Entity, c.LegalHold = "held", true }),
		with("pending", func(c *fact.Candidate) { c.QuarantinePending = true }),
		with("baddate", func(c *fact.Candidate) { c.Timestamp = "not a date" }),
		with("badexpiry", func(c *fact.Candidate) { c.ValidUntil = ptr("tomorrow") }),
		with("expired", func(c *fact.Candidate) { c.ValidUntil = ptr("2026-01-05T00:00:00Z") }),
		with("rejected", storetest.Overridden(fact.Override{Confidence: ptr(0.0), Reason: ptr("quarantine_rejected")})),
		with("hostile", func(c *fact.Candidate) { c.Entity, c.Relation = "a\nb\x1b]0;title\x07", "evil\x1b[2J\u202e\u009b31m" }),
	}
}
