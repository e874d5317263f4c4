package sqlite

import (
	"context"
	"time"

	"modernc.org/sqlite"

	"decayctl/internal/job"
	"decayctl/internal/store"
)

// How many pages decayctl writes before it checkpoints. The commits of a node checkpoint once the log has 1000 pages, and
// would have to move decayctl's pages too, also the first commit of a node that comes while decayctl is alone.
const (
	pagesWithOtherWriters = 250
	pagesAsSoleWriter     = 1000
)

// checkpoint moves the log into the database once enough was written, without the write lock: other writers go on. It
// returns how long that took. The batch is committed by now, so nothing here is a failure of it.
//
// A passive checkpoint cannot reset the log while a reader is active, and every look-up of a page goes through all of the
// log. So decayctl's own reads wait. A heartbeat does not: the connection is taken last.
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

// checkpointOnClose moves what is left of the log: a node that has the file open would find all of it to do. A process that is
// being ended closes its stores while it is still writing, and then leaves the log to the node.
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

// pagesWritten is how many pages the connection of writes has written so far; if it cannot tell, none since the last checkpoint.
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

// Finish ends the work on a job. Its commit waits for the disk, and with it all commits before: what is reported as done stays so.
func (s *Store) Finish(ctx context.Context, l store.Lease) (job.Job, bool, error) {
	if err := s.waitForDisk(ctx); err != nil {
		return job.Job{}, false, err
	}
	return s.Table.Finish(ctx, l)
}

// Leave gives the work on a job up. Its commit waits for the disk, as that of Finish.
func (s *Store) Leave(ctx context.Context, l store.Lease, to job.State, reason string) (job.Job, error) {
	if err := s.waitForDisk(ctx); err != nil {
		return job.Job{}, err
	}
	return s.Table.Leave(ctx, l, to, reason)
}

// waitForDisk has all later commits wait for the disk.
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
