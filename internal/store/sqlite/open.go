// Package sqlite is the fact store in a SQLite file, which is the default of a Stigmem node. The driver is pure Go, so that
// decayctl is one static binary on every platform.
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

	path              string
	file              *dbfile.File
	params            store.OpenParams
	read              *sql.DB
	writes            *sql.DB                  // nil if the store is read-only
	conn              *sql.Conn                // the only connection of writes: data_version of another has no meaning for it
	writeSlot         chan struct{}            // full while a goroutine uses the connection of writes
	readLock          sync.RWMutex             // read-locked by readers, locked by a checkpoint
	identity          os.FileInfo              // of the file that was opened to be written
	otherNames        bool                     // the file has several names, and no other process uses it by this one
	lockFree          *dbfile.State            // state of the file when it was opened to be read without locks; else nil
	lockFreeChanges   int                      // how often the file changed while it was read without locks
	wal               bool                     // the file is in WAL mode
	pagesCheckpointed int                      // pagesWritten at the last checkpoint; guarded by writeSlot
	common            atomic.Pointer[[]string] // see commonExpiries; nil until they were read
	cardsByState      bool                     // memory_cards has an index on is_stale
	vec               bool                     // vec_facts exists and can be written
	backfill          bool                     // fact_embedding_status can be written, by which an undo asks for vectors
	notes             []string

	dataVersion  int64     // at the begin of the last transaction that writes; guarded by writeSlot
	otherWroteAt time.Time // when dataVersion last changed; guarded by writeSlot

	opened      time.Time
	leases      map[leaseKey]reading // of this process, see followClock; guarded by writeSlot
	afterCommit func()               // called if the open transaction commits; guarded by writeSlot
	uptime      func() time.Duration // the monotonic clock, in tests; else nil
	triggers    store.Triggers

	wrap func(querier) querier // sees the statements of transactions, in tests; else nil
}

var _ store.Store = (*Store)(nil)

// Open opens an existing fact store and checks it. It creates no file, migrates nothing and leaves the journal mode alone.
// Errors: Unusable, NotPermitted, Busy.
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
		_ = s.Close() //nolint:contextcheck // Close takes no context
		return nil, err
	}
	return s, nil
}

// checkName looks for other names of the file, see dbfile.
func (s *Store) checkName(ctx context.Context) (err error) {
	s.otherNames, err = s.file.CheckName(ctx, !s.params.ReadOnly)
	return s.translate(err, "see which processes use the store")
}

// openWritable opens one connection for writes and a few for reads.
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
		// A commit does not wait for the disk, so other writers wait less. A power failure may undo the last batches together
		// with their claims and counts, and a resume sweeps them again. Checkpoints and the end of a job wait for the disk.
		synchronous = "synchronous=NORMAL"
	}
	// Immediate: a transaction that reads first and writes later fails without waiting if the node writes in between. No
	// automatic checkpoint: it would run within COMMIT, under the write lock; see checkpoint.
	s.writes, err = s.connect(url.Values{
		"mode": {"rw"}, "_txlock": {"immediate"},
		// Foreign keys are not checked: a batch writes only rows of facts that it has read, and a look-up for each row would
		// cost much time.
		"_pragma": {"wal_autocheckpoint=0", "foreign_keys=0", "cache_size=-8192", synchronous},
	}, 1)
	if err != nil {
		return err
	}
	// As other builds of SQLite on Linux: a commit need not write the file's times to the disk.
	_, _ = sqlite.Fdatasync(true) // no effect on a system without fdatasync
	s.conn, err = s.writes.Conn(ctx)
	return s.translate(err, "open the store")
}

// connect puts every pragma into the DSN: a PRAGMA statement would reach only one connection of the pool.
func (s *Store) connect(options url.Values, connections int) (*sql.DB, error) {
	options.Add("_pragma", fmt.Sprintf("busy_timeout=%d", s.params.LockTimeout.Milliseconds()))
	options.Add("_pragma", "temp_store=2")
	if !options.Has("_txlock") {
		options.Add("_pragma", "query_only=1")
		// The driver sorts pragmas, and this one reads the file. Without locks, locking_mode must come first.
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

// readers is the number of connections for reads: a sweep reads two ranges at once.
const readers = 2

const singleWorkerReason = "SQLite has one writer at a time, so one process at a time works on a job"

// Tuning keeps batches short: a batch blocks every other writer of the file, and a node's writers give up after 5 s.
func (s *Store) Tuning() store.Tuning {
	return store.Tuning{
		RangeSize: 10_000, LargestRange: 30_000, BatchSize: 1_000, Target: 25 * time.Millisecond, ReadersDontBlockWriters: s.wal,
		SingleWorkerReason: singleWorkerReason,
	}
}

// Notes implements store.Facts.
func (s *Store) Notes() []string { return s.notes }

// note adds a sentence for the operator.
func (s *Store) note(text string) { s.notes = append(s.notes, text) }

// Close checkpoints the WAL and ends all connections.
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

// Version is the version of the SQLite library in the driver.
const Version = sqlite3.SQLITE_VERSION
