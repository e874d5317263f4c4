package sqlite

import (
	"context"
	"database/sql"
	"time"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// SetUptime gives the store another monotonic clock.
func (s *Store) SetUptime(uptime func() time.Duration) { s.uptime = uptime }

// Watch hands every statement that the store is about to run to see, with the connection that it runs on.
func (s *Store) Watch(see func(tx Querier, query string)) {
	s.wrap = func(tx querier) querier { return watched{tx, see} }
}

// Synchronous tells how commits wait for the disk: 2 is FULL, 1 is NORMAL.
func (s *Store) Synchronous(ctx context.Context) (mode int, err error) {
	err = s.conn.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&mode)
	return mode, err
}

// LimitLength makes values longer than some bytes too long for those who read.
func (s *Store) LimitLength(ctx context.Context, bytes int) error {
	for range readers { // all at once, so that each is another
		conn, err := s.read.Conn(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		if _, err := driver.Limit(conn, sqlite3.SQLITE_LIMIT_LENGTH, bytes); err != nil {
			return err
		}
	}
	return nil
}

// Hold takes the connection of writes, as whoever writes does, until it is released.
func (s *Store) Hold(ctx context.Context) (release func(), err error) {
	return s.unlockWrites, s.lockWrites(ctx)
}

// Querier is what statements run on.
type Querier = querier

type watched struct {
	querier
	see func(tx Querier, query string)
}

func (w watched) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	w.see(w.querier, query)
	return w.querier.ExecContext(ctx, query, args...)
}

func (w watched) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	w.see(w.querier, query)
	return w.querier.PrepareContext(ctx, query)
}

func (w watched) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	w.see(w.querier, query)
	return w.querier.QueryContext(ctx, query, args...)
}

func (w watched) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	w.see(w.querier, query)
	return w.querier.QueryRowContext(ctx, query, args...)
}
