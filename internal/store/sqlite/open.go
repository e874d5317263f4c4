// Package sqlite is the fact store in a SQLite file, as a Stigmem node keeps it by default. The
// driver is pure Go, so that one static binary serves every platform.
package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
	_ "modernc.org/sqlite/vec" // the vec0 module, without which vec_facts cannot be written

	"decayctl/internal/store"
	"decayctl/internal/store/jobtable"
	"decayctl/internal/store/sqlite/dbfile"
)

// Store is a fact store in one SQLite file.
type Store struct {
	*jobtable.Table

	path              string // of the file
	file              *dbfile.File
	params            store.OpenParams
	read              *sql.DB
	writes            *sql.DB                  // nil where the store is opened read-only
	conn              *sql.Conn                // the one connection of writes: data_version means nothing on another
	writeSlot         chan struct{}            // holds what is using the connection of writes
	readLock          sync.RWMutex             // held while something is read, and against it during a checkpoint
	identity          os.FileInfo              // of the file that was opened to be written
	otherNames        bool                     // the file has several names, and no process uses it by this one
	lockFree          *dbfile.State            // set while the file is read without locks: what it looked like at the start
	lockFreeChanges   int                      // how often it did not look so in the end
	wal               bool                     // the file is in WAL mode
	pagesCheckpointed int                      // pages written when the log was last moved into the database; guarded by writeSlot
	common            atomic.Pointer[[]string] // see commonExpiries; nil until they are looked for
	cardsByState      bool                     // memory_cards has an index on is_stale
	vec               bool                     // vec_facts exists and can be written
	backfill          bool                     // and so can fact_embedding_status, where an undo says that a vector is missing
	notes             []string

	dataVersion  int64     // when a transaction that writes last began; guarded by writeSlot
	otherWroteAt time.Time // when that was found to have changed; guarded by writeSlot

	opened      time.Time
	leases      map[leaseKey]reading // of this process, see followClock; guarded by writeSlot
	afterCommit func()               // what follows from the transaction at work, once it has committed; guarded by writeSlot
	uptime      func() time.Duration // the monotonic clock, in tests; else nil
	triggers    store.Triggers

	wrap func(querier) querier // what the statements of transactions pass through, in tests; else nil
}

var _ store.Store = (*Store)(nil)

// Open opens an existing fact store. It creates nothing, migrates nothing and leaves the journal
// mode alone.
func Open(ctx context.Context, path string, p store.OpenParams) (*Store, error) {
	file, err := dbfile.Inspect(path)
	if err != nil {
		return nil, err
	}
	s := &Store{path: file.Path, file: file, params: p, writeSlot: make(chan struct{}, 1), opened: p.Now(), leases: map[leaseKey]reading{}}
	s.Table = jobtable.New(dialect{s}, p, singleWorkerReason)
	if err = s.checkName(ctx); err != nil {
		return nil, err
	}
	if p.ReadOnly {
		err = s.openReadOnly()
	} else {
		err = s.openWritable(ctx)
	}
	if err == nil {
		err = s.check(ctx)
	}
	if err != nil {
		_ = s.Close() //nolint:contextcheck // takes none, as every Close
		return nil, err
	}
	return s, nil
}

// checkName looks for other names of the file, see dbfile.
func (s *Store) checkName(ctx context.Context) (err error) {
	s.otherNames, err = s.file.CheckName(ctx, !s.params.ReadOnly)
	return s.translate(err, "see which processes use the store")
}

// openWritable opens one writer and a few readers, which see committed batches only.
func (s *Store) openWritable(ctx context.Context) (err error) {
	if s.identity, err = os.Stat(s.path); err != nil {
		return &store.Error{Kind: store.Unusable, Text: "cannot open the store: " + dbfile.Cause(err).Error(), Err: err}
	}
	header, err := dbfile.ReadHeader(s.path)
	if err != nil {
		return s.translate(err, "open the store")
	}
	wal := dbfile.InWALMode(header)
	if err := s.file.CheckLength(wal); err != nil {
		return err
	}
	if err := s.file.CheckOwner(wal); err != nil {
		return err
	}
	if err := s.file.CheckMode(); err != nil {
		return err
	}
	if s.read, err = s.connect(url.Values{"mode": {"rw"}}, readers); err != nil {
		return err
	}
	synchronous := "synchronous=FULL"
	if wal {
		// A batch need not reach the disk, and other writers do not wait for that: a power failure takes the last batches, with
		// all that tells of them, and the job goes on before them. Checkpoints and the end of a job wait for the disk.
		synchronous = "synchronous=NORMAL"
	}
	// Immediate: a transaction that reads first and writes later fails at once, without waiting,
	// when the node has written in between. No automatic checkpoint: it would run inside COMMIT and
	// be most of the time the node waits for the lock; see Checkpoint.
	s.writes, err = s.connect(url.Values{
		"mode": {"rw"}, "_txlock": {"immediate"},
		// Foreign keys are not checked: a batch writes nothing but rows of facts that it has just read,
		// or looks up itself, and one more look-up in a random page for every row is a third of its time.
		"_pragma": {"wal_autocheckpoint=0", "foreign_keys=0", "cache_size=-8192", synchronous},
	}, 1)
	if err != nil {
		return err
	}
	// As SQLite is built everywhere else on Linux: the file's times need not reach the disk with a commit.
	_, _ = sqlite.Fdatasync(true) // where there is no such call, it stays as it was
	s.conn, err = s.writes.Conn(ctx)
	return s.translate(err, "open the store")
}

// connect puts every pragma into the DSN: a PRAGMA statement would reach one pooled connection.
func (s *Store) connect(options url.Values, connections int) (*sql.DB, error) {
	options.Add("_pragma", fmt.Sprintf("busy_timeout=%d", s.params.LockTimeout.Milliseconds()))
	options.Add("_pragma", "temp_store=2")
	if !options.Has("_txlock") {
		options.Add("_pragma", "query_only=1")
		// The driver sorts pragmas, and this one reads the file: without locks locking_mode must come before.
		if !options.Has("vfs") {
			options.Add("_pragma", "cache_size=-1024")
		}
	}
	slashed := filepath.ToSlash(s.path)
	if !strings.HasPrefix(slashed, "/") {
		slashed = "/" + slashed // a Windows drive
	}
	dsn := url.URL{Scheme: "file", Path: slashed, RawQuery: options.Encode()}
	connector, err := sqlite.NewConnector(dsn.String())
	if err != nil {
		return nil, s.translate(err, "open the store")
	}
	if options.Has("vfs") {
		connector = keepsLog{connector}
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(connections)
	return db, nil
}

// readers is how many connections read: a sweep reads two ranges at once.
const readers = 2

const singleWorkerReason = "SQLite has one writer at a time, so one process at a time works on a job"

// Tuning: a batch blocks every other writer of the file, and a node's writers give up after 5 s.
func (s *Store) Tuning() store.Tuning {
	return store.Tuning{
		RangeSize: 10_000, LargestRange: 30_000, BatchSize: 1_000, Target: 25 * time.Millisecond, ReadersDontBlockWriters: s.wal,
		SingleWorkerReason: singleWorkerReason,
	}
}

// Notes are what the operator should know about this store.
func (s *Store) Notes() []string { return s.notes }

// note adds a sentence for the operator.
func (s *Store) note(text string) { s.notes = append(s.notes, text) }

// Close ends all connections.
func (s *Store) Close() error {
	var failed error
	if s.conn != nil {
		s.checkpointOnClose()
		failed = s.translate(s.conn.Close(), "close the store")
	}
	for _, db := range []*sql.DB{s.writes, s.read} {
		if db == nil {
			continue
		}
		if err := db.Close(); err != nil {
			failed = s.translate(err, "close the store")
		}
	}
	return failed
}

// Version is that of the SQLite library in the driver.
const Version = sqlite3.SQLITE_VERSION
