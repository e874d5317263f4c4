package sqlite

import (
	"context"

	"modernc.org/sqlite"
)

// logLimits are numbers of pages that are written: before the log is moved into the database, and before reading
// waits for that, see checkpoint.
type logLimits struct{ move, wait int }

// limitsOf: the node's own commits move the log beyond 1000 pages, its own among them, and would have to move ours
// too. Where decayctl is told not to mind, more of them save writing the same page again and again.
func limitsOf(pace float64) logLimits {
	if pace >= 1 {
		return logLimits{4096, 16384}
	}
	return logLimits{250, 1000}
}

// checkpoint moves the log into the database, once it is worth it, without the write lock: other writers
// go on. The batch is committed by now, so nothing here is a failure of it; what a checkpoint leaves, the
// next one takes. Flat out, the next batch is written meanwhile.
//
// While something is read or written the last pages stay in the log, which is then not begun anew; it would get
// longer and longer, and every look-up of a page goes through all of it. So sometimes it waits until what is being
// read has been, and what is to be read next waits for it. A heartbeat does not: the turn is taken afterwards.
func (s *Store) checkpoint(ctx context.Context) {
	if !s.wal {
		return
	}
	due, wait := s.due(ctx)
	if !due {
		return
	}
	if s.params.Pace >= 1 && !wait {
		s.moveBeside(ctx)
		return
	}
	s.moving.Lock()
	defer s.moving.Unlock()
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
func (s *Store) due(ctx context.Context) (due, wait bool) {
	if s.take(ctx) != nil {
		return false, false
	}
	defer s.release()
	written := s.written()
	return written-s.moved >= s.limits.move, written-s.begun >= s.limits.wait
}

// moveBeside moves the log on a connection that reads, and does not wait for it.
func (s *Store) moveBeside(ctx context.Context) {
	if s.take(ctx) != nil {
		return
	}
	defer s.release()
	if !s.moving.TryLock() {
		return
	}
	s.moved = s.written()
	go func() {
		defer s.moving.Unlock()
		_, _ = s.read.ExecContext(context.WithoutCancel(ctx), moveSQL) // a sweep may end meanwhile
	}()
}

// moveRest moves what is left of the log: a node that has the file open would find all of it to do. A
// process that is being ended closes its stores while it is still writing, and then leaves it to the node.
func (s *Store) moveRest() {
	if !s.wal {
		return
	}
	s.moving.Lock()
	defer s.moving.Unlock()
	select {
	case s.turn <- struct{}{}:
		defer s.release()
		if s.written() > s.begun {
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
	_, _ = s.conn.ExecContext(ctx, moveSQL)
}

const moveSQL = "PRAGMA wal_checkpoint(PASSIVE)"
