package sqlite

import (
	"context"

	"modernc.org/sqlite"
)

// The pages that are written before the log is moved into the database. The node's own commits do that
// beyond 1000 pages, its own among them, and would have to do ours too; where it is told not to mind, more of
// them save writing the same page again and again.
const (
	logPages        = 250
	logPagesFlatOut = 8192
)

// checkpoint moves the log into the database, once it is worth it, without the write lock: other writers
// go on. The batch is committed by now, so nothing here is a failure of it; what a checkpoint leaves, the
// next one takes.
func (s *Store) checkpoint(ctx context.Context) {
	if !s.wal || s.take(ctx) != nil {
		return
	}
	defer s.release()
	least := logPages
	if s.params.Pace >= 1 {
		least = logPagesFlatOut
	}
	s.moveLog(ctx, least)
}

// moveRest moves what is left of the log: a node that has the file open would find all of it to do. A
// process that is being ended closes its stores while it is still writing, and then leaves it to the node.
func (s *Store) moveRest() {
	if !s.wal {
		return
	}
	select {
	case s.turn <- struct{}{}:
		defer s.release()
		s.moveLog(context.Background(), 1)
	default:
	}
}

// moveLog moves the log if at least some pages were written since the last time.
func (s *Store) moveLog(ctx context.Context, least int) {
	written := 0
	err := s.conn.Raw(func(conn any) (err error) {
		written, _, err = conn.(sqlite.DBStatus).Status(sqlite.DBStatusCacheWrite, false)
		return err
	})
	if err != nil || written-s.moved < least {
		return
	}
	s.moved = written
	_, _ = s.conn.ExecContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)")
}
