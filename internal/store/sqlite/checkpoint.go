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
	logPagesRead    = 1000 // from here on reading waits, see checkpoint
)

// checkpoint moves the log into the database, once it is worth it, without the write lock: other writers
// go on. The batch is committed by now, so nothing here is a failure of it; what a checkpoint leaves, the
// next one takes.
//
// While something is read the last pages stay in the log, which is then not begun anew; it would get longer and
// longer, and every look-up of a page goes through all of it. So sometimes it waits until what is being read
// has been, and what is to be read next waits for it. A heartbeat does not: the turn is taken afterwards.
func (s *Store) checkpoint(ctx context.Context) {
	if !s.wal {
		return
	}
	least := logPages
	if s.params.Pace >= 1 {
		least = logPagesFlatOut
	}
	due, wait := s.due(ctx, least)
	if !due {
		return
	}
	alone := true
	if wait {
		s.reads.Lock()
	} else {
		alone = s.reads.TryLock()
	}
	if alone {
		defer s.reads.Unlock()
	}
	if s.take(ctx) != nil {
		return
	}
	defer s.release()
	s.moveLog(ctx)
	if alone {
		s.begun = s.moved
	}
}

// due tells whether the log is to be moved, and whether that must wait for what is being read.
func (s *Store) due(ctx context.Context, least int) (due, wait bool) {
	if s.take(ctx) != nil {
		return false, false
	}
	defer s.release()
	written := s.written()
	return written-s.moved >= least, written-s.begun >= logPagesRead
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
		if s.written() > s.moved {
			s.moveLog(context.Background())
		}
	default:
	}
}

// written is how many pages the connection of writes has written so far. Where it cannot tell, none since the
// log was last moved.
func (s *Store) written() (pages int) {
	err := s.conn.Raw(func(conn any) (err error) {
		pages, _, err = conn.(sqlite.DBStatus).Status(sqlite.DBStatusCacheWrite, false)
		return err
	})
	if err != nil {
		return s.moved
	}
	return pages
}

func (s *Store) moveLog(ctx context.Context) {
	s.moved = s.written()
	_, _ = s.conn.ExecContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)")
}
