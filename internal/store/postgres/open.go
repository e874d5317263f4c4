// Package postgres is the fact store in a PostgreSQL schema. It works through poolers in transaction mode: it keeps no state
// in a session, prepares no statement by name, and qualifies every table with its schema.
package postgres

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"decayctl/internal/store"
	"decayctl/internal/store/jobtable"
)

// Store is a fact store in one schema of a PostgreSQL database.
type Store struct {
	*jobtable.Table

	pool      *pgxpool.Pool
	params    store.OpenParams
	schema    string // as the node names it
	quoted    string // as SQL names it
	settings  []setting
	given     []string                 // names of the settings that the operator gave
	locks     []string                 // stateTables, as SQL names them, if the role may lock them; see checkLocks
	notUTF8   bool                     // the database has another encoding than UTF-8, and cannot store all characters
	vec       bool                     // vec_facts exists and can be written
	backfill  bool                     // fact_embedding_status exists and can be written
	common    atomic.Pointer[[]string] // see commonExpiries; nil until they were read
	deadlock  time.Duration            // the server's deadlock_timeout, at most 1 s
	onLinux   bool                     // the server; false until it is read
	connected bool                     // the store was opened; a lost connection may come back
	notes     []string
	triggers  store.Triggers
	layout    layout
	cluster   *store.Cluster // nil on one server
	skipKeys  atomic.Bool    // batches do not check foreign keys
}

var _ store.Store = (*Store)(nil)

const defaultConnections = 4 // what one worker uses at once

// Open connects to a fact store and checks it. It changes nothing. dsn is a URL or a connection string of libpq; parameters
// that it leaves out come from the PG* variables, as in psql. Errors: Unusable, NotPermitted, Busy.
func Open(ctx context.Context, dsn, schema string, p store.OpenParams) (*Store, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, unreadable(err)
	}
	if err := refuseUnknown(config.ConnConfig.RuntimeParams); err != nil {
		return nil, err
	}
	alive, err := takeKeepalive(config.ConnConfig.RuntimeParams)
	if err != nil {
		return nil, err
	}
	config.ConnConfig.DialFunc = alive.dial
	s := &Store{params: p, schema: schema, quoted: pgx.Identifier{schema}.Sanitize(), layout: oneServer{}, deadlock: time.Second} // until they are read
	s.Table = jobtable.New(dialect{s}, p, "")
	s.settings = s.transactionSettings(config.ConnConfig)
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	if config.ConnConfig.ConnectTimeout == 0 { // neither the string nor the environment has one
		config.ConnConfig.ConnectTimeout = 10 * time.Second
	}
	config.MinConns = 0
	if config.MaxConns = defaultConnections; p.Connections > 0 {
		config.MaxConns = int32(p.Connections) //nolint:gosec // a few hundred at most
	}
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, s.translate(err, "connect to the store")
	}
	if err := s.check(ctx); err != nil {
		s.pool.Close()
		return nil, err
	}
	s.connected = true
	return s, nil
}

// The access modes of transactions. READ ONLY makes the server refuse a write, and is what a hot standby needs. A transaction
// that writes has no mode: an administrator may have made the server or the role read-only, and that must count.
const (
	reading = pgx.ReadOnly
	writing = pgx.TxAccessMode("")
)

// connLost is the error if a connection is lost in a transaction. committing is true if COMMIT was sent.
type connLost struct {
	error
	committing bool
}

func (e *connLost) Unwrap() error { return e.error }

// transaction is how a transaction begins.
type transaction struct {
	level  pgx.TxIsoLevel
	access pgx.TxAccessMode
	locks  []string // tables to lock before the first snapshot
	batch  bool     // writes what a batch writes, without foreign keys if skipKeys is set
}

// within runs work in one READ COMMITTED transaction that begins with the settings. If another session holds a lock, work
// runs again in a new transaction.
func (s *Store) within(ctx context.Context, access pgx.TxAccessMode, work func(pgx.Tx) error) error {
	return s.run(ctx, transaction{level: pgx.ReadCommitted, access: access}, work)
}

// withinBatch runs work in the transaction of a batch. Only what work writes has been checked by SkipForeignKeys.
func (s *Store) withinBatch(ctx context.Context, work func(pgx.Tx) error) error {
	return s.run(ctx, transaction{level: pgx.ReadCommitted, access: writing, batch: true}, work)
}

// onOneState runs work in one transaction that reads stateTables in one snapshot. If the role may not lock these tables, each
// statement has its own snapshot: a batch reads the protections again before it writes.
func (s *Store) onOneState(ctx context.Context, work func(pgx.Tx) error) error {
	if len(s.locks) == 0 {
		return s.within(ctx, reading, work)
	}
	return s.run(ctx, transaction{level: pgx.RepeatableRead, access: reading, locks: s.locks}, work)
}

func (s *Store) run(ctx context.Context, t transaction, work func(pgx.Tx) error) error {
	if t.access == writing && s.params.ReadOnly {
		return store.ErrReadOnly
	}
	return s.retryLocked(ctx, func() error { return s.once(ctx, t, work) })
}

func (s *Store) once(ctx context.Context, t transaction, work func(pgx.Tx) error) error {
	tx, err := s.pool.BeginTx(ctx, pgx.TxOptions{BeginQuery: s.begin(t)})
	if err != nil {
		return &connLost{err, false}
	}
	defer func() {
		// An interrupted sweep must not leave the transaction open, with its locks.
		ctx, done := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer done()
		_ = tx.Rollback(ctx)
	}()
	if _, err = tx.Exec(ctx, s.preamble(t, s.lockWait())); err == nil && s.cluster != nil {
		err = s.beginOnNodes(ctx, tx, t)
	}
	if err == nil {
		err = work(tx)
	}
	switch {
	case err != nil && tx.Conn().IsClosed():
		return &connLost{err, false}
	case err != nil:
		return err
	}
	// Must not be interrupted: a COMMIT that was sent may succeed.
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer done()
	err = tx.Commit(ctx)
	if err == nil || errors.Is(err, pgx.ErrTxCommitRollback) || refusal(err) {
		return err
	}
	return &connLost{err, t.access == writing}
}

// table is a table's name for SQL, quoted and with its schema.
func (s *Store) table(name string) string { return s.quoted + "." + pgx.Identifier{name}.Sanitize() }

// Tuning allows larger batches than on SQLite: a batch locks rows, and delays only writers of the same facts.
func (s *Store) Tuning() store.Tuning {
	return store.Tuning{RangeSize: 10_000, LargestRange: 25_000, BatchSize: 2_000, Target: 100 * time.Millisecond, RowLocks: true, ReadersDontBlockWriters: true}
}

// Notes implements store.Facts.
func (s *Store) Notes() []string { return s.notes }

// note adds a sentence for the operator.
func (s *Store) note(text string) { s.notes = append(s.notes, text) }

// Close ends all connections.
func (s *Store) Close() error {
	s.pool.Close()
	return nil
}
