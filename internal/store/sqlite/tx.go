package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"os"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"decayctl/internal/store"
)

// querier is what statements run on: the connection of writes, or a transaction that reads.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// within runs work in one write transaction. The transaction begins with the write lock, so what its statements read stays
// true until COMMIT.
//
// It uses the driver's transaction, not that of database/sql: when a context ends, database/sql rolls back in another
// goroutine. The next transaction on this connection, such as that of Leave, could find the old one still open.
func (s *Store) within(ctx context.Context, work func(tx querier) error) (err error) {
	if s.conn == nil {
		return store.ErrReadOnly
	}
	if err := s.lockWrites(ctx); err != nil {
		return err
	}
	defer s.unlockWrites()
	defer func() {
		if err != nil && ctx.Err() != nil && !ours(err) { // the driver has several errors for an interrupt
			err = ctx.Err()
		}
	}()
	var tx driver.Tx
	err = s.conn.Raw(func(conn any) (err error) {
		tx, err = conn.(driver.ConnBeginTx).BeginTx(ctx, driver.TxOptions{})
		return err
	})
	if err != nil {
		return err
	}
	end := tx.Rollback
	s.afterCommit = func() {}
	defer func() {
		if failed := s.conn.Raw(func(any) error { return end() }); err == nil {
			err = failed
		}
		if err == nil {
			s.afterCommit()
		}
	}()
	if err := s.checkSameFile(); err != nil {
		return err
	}
	if err := s.noteOtherWriters(ctx); err != nil {
		return err
	}
	if err := work(s.wrapped(s.conn)); err != nil {
		return err
	}
	end = tx.Commit // rolls back if it fails
	return nil
}

// checkSameFile fails if the file is not the one that was opened. A file that was removed or replaced can be written while
// it is open, and then is gone with all that was written.
func (s *Store) checkSameFile() error {
	info, err := os.Stat(s.path)
	if err == nil && os.SameFile(info, s.identity) {
		return nil
	}
	return &store.Error{Kind: store.Unusable, Text: fmt.Sprintf("%q was removed or replaced while it was being written; nothing more was written, look for what took its place", s.path), Err: err}
}

// lockWrites waits until no other goroutine uses the connection of writes.
func (s *Store) lockWrites(ctx context.Context) error {
	select {
	case s.writeSlot <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Store) unlockWrites() { <-s.writeSlot }

// noteOtherWriters notes when another process last wrote, as seen at the begin of this transaction. data_version changes
// with every commit of another connection, and not with those of this one.
func (s *Store) noteOtherWriters(ctx context.Context) error {
	var version int64
	if err := s.conn.QueryRowContext(ctx, "PRAGMA data_version").Scan(&version); err != nil {
		return err
	}
	if version != s.dataVersion {
		s.dataVersion, s.otherWroteAt = version, s.params.Now()
	}
	return nil
}

// timing is the timing of a transaction that got the write lock at locked, found otherWroteAt, and has just ended.
func (s *Store) timing(locked, otherWroteAt time.Time) store.Timing {
	now := s.params.Now()
	return store.Timing{Locked: now.Sub(locked), SoleWriterFor: now.Sub(otherWroteAt)}
}

// reading runs work in a transaction that reads: all its statements see the same state of the store.
func (s *Store) reading(ctx context.Context, work func(tx querier) error) error {
	s.readLock.RLock()
	defer s.readLock.RUnlock()
	conn, err := s.read.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	return s.readingOn(ctx, conn, work)
}

func (s *Store) readingOn(ctx context.Context, conn *sql.Conn, work func(tx querier) error) error {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	return work(s.wrapped(tx))
}

// maxValue is how many bytes a value may have if many facts are read at once. readTexts reads a column of all facts as one
// value.
const maxValue = 2 << 20

// errTooLong is the error if fewer facts have to be read at once.
var errTooLong = &store.Error{Kind: store.TooLong, Text: "cannot read the facts at once: their text is too long"}

// readingShort is reading that fails with errTooLong at a value longer than maxValue. SQLite refuses to make such a value,
// so it needs no memory.
func (s *Store) readingShort(ctx context.Context, work func(tx querier) error) error {
	s.readLock.RLock()
	defer s.readLock.RUnlock()
	conn, err := s.read.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	usual, err := sqlite.Limit(conn, sqlite3.SQLITE_LIMIT_LENGTH, maxValue)
	if err != nil {
		return err
	}
	defer func() { _, _ = sqlite.Limit(conn, sqlite3.SQLITE_LIMIT_LENGTH, usual) }()
	if err = s.readingOn(ctx, conn, work); tooLong(err) {
		err = errTooLong
	}
	return err
}

func (s *Store) wrapped(tx querier) querier {
	if s.wrap == nil {
		return tx
	}
	return s.wrap(tx)
}

// onRows runs statements that return rows.
func onRows(ctx context.Context, tx querier) store.Query {
	return func(query string, args, to []any, each func() error) error {
		rows, err := tx.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			if err := rows.Scan(to...); err != nil {
				return err
			}
			if err := each(); err != nil {
				return err
			}
		}
		return rows.Err()
	}
}
