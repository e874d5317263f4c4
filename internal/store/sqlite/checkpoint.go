package sqlite

import (
	"context"
	"time"

	"modernc.org/sqlite"

	"decayctl/internal/job"
	"decayctl/internal/store"
)

// How many pages decayctl writes before it checkpoints. A node checkpoints in the commit after which the WAL has 1000
// pages: with decayctl's pages among them, that commit of the node would take long.
const (
	pagesWithOtherWriters = 250
	pagesAsSoleWriter     = 1000
)

// checkpoint checkpoints the WAL if enough pages were written, and returns how long that took. It takes no write lock, so
// other writers go on. An error is ignored: the batch is committed.
//
// A passive checkpoint cannot reset the WAL while a reader is active, and the longer the WAL, the slower each read. So
// decayctl's own readers wait. A heartbeat does not wait for them: the connection of writes is locked last.
func (s *Store) checkpoint(ctx context.Context) (took time.Duration) {
	if !s.wal || !s.checkpointDue(ctx) {
		return 0
	}
	began := s.params.Now()
	s.readLock.Lock()
	defer s.readLock.Unlock()
	if s.lockWrites(ctx) != nil {
		return 0
	}
	defer s.unlockWrites()
	s.checkpointNow(ctx)
	return s.params.Now().Sub(began)
}

func (s *Store) checkpointDue(ctx context.Context) bool {
	if s.lockWrites(ctx) != nil {
		return false
	}
	defer s.unlockWrites()
	limit := pagesWithOtherWriters
	if s.params.Now().Sub(s.otherWroteAt) >= store.SoleWriterAfter {
		limit = pagesAsSoleWriter
	}
	return s.pagesWritten()-s.pagesCheckpointed >= limit
}

// checkpointOnClose checkpoints the rest of the WAL, which would else delay a commit of the node. If the process is being
// ended while it writes, it leaves the WAL to the node.
func (s *Store) checkpointOnClose() {
	select {
	case s.writeSlot <- struct{}{}:
		defer s.unlockWrites()
		if s.wal && s.pagesWritten() > s.pagesCheckpointed {
			s.checkpointNow(context.Background())
		}
	default:
	}
}

// pagesWritten is how many pages the connection of writes has written so far. If the driver cannot tell, it is the number
// at the last checkpoint.
func (s *Store) pagesWritten() (pages int) {
	err := s.conn.Raw(func(conn any) (err error) {
		pages, _, err = conn.(sqlite.DBStatus).Status(sqlite.DBStatusCacheWrite, false)
		return err
	})
	if err != nil {
		return s.pagesCheckpointed
	}
	return pages
}

// Finish waits until its commit, and all commits before it, are on the disk: a job reported as done must stay done.
func (s *Store) Finish(ctx context.Context, l store.Lease, undone store.Cursor) (job.Job, bool, error) {
	if err := s.waitForDisk(ctx); err != nil {
		return job.Job{}, false, err
	}
	return s.Table.Finish(ctx, l, undone)
}

// Leave waits for the disk, as Finish.
func (s *Store) Leave(ctx context.Context, l store.Lease, to job.State, reason string) (job.Job, error) {
	if err := s.waitForDisk(ctx); err != nil {
		return job.Job{}, err
	}
	return s.Table.Leave(ctx, l, to, reason)
}

// waitForDisk makes all later commits wait for the disk.
func (s *Store) waitForDisk(ctx context.Context) error {
	if s.conn == nil {
		return store.ErrReadOnly
	}
	if err := s.lockWrites(ctx); err != nil {
		return err
	}
	defer s.unlockWrites()
	_, err := s.conn.ExecContext(ctx, "PRAGMA synchronous=FULL")
	return s.translate(err, "wait for the disk")
}

func (s *Store) checkpointNow(ctx context.Context) {
	s.pagesCheckpointed = s.pagesWritten()
	_, _ = s.conn.ExecContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)")
}
