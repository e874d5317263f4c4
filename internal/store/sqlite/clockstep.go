package sqlite

import (
	"context"
	"time"

	"decayctl/internal/store"
	"decayctl/internal/store/jobtable"
)

// A lease ends at a time of the host's clock, since every process can read that clock. If the clock is stepped, a lease
// would end too early or too late. So a process compares the host's clock with the monotonic clock, and moves the end of its
// own lease by the step.

// reading is both clocks at one moment.
type reading struct {
	wallMS int64         // of the host, in milliseconds since 1970
	up     time.Duration // since the store was opened, by the monotonic clock
}

const leastStep = time.Second // a clock that is slewed and not stepped moves by less between two batches

func (s *Store) readClocks() reading {
	now := s.params.Now()
	if s.uptime != nil {
		return reading{now.UnixMilli(), s.uptime()}
	}
	return reading{now.UnixMilli(), now.Sub(s.opened)} // Sub uses the monotonic clock if Now reads it
}

// step is how far the host's clock was stepped between two readings.
func (r reading) step(later reading) time.Duration {
	return time.Duration(later.wallMS-r.wallMS)*time.Millisecond - (later.up - r.up)
}

// followClock moves the end of a lease by the step of the clock since that end was written. If another process has removed
// the worker, there is no row, and the lease stays lost.
func (s *Store) followClock(ctx context.Context, tx jobtable.Tx, l store.Lease) error {
	written, own := s.leases[leaseKey{l.JobID, l.Worker}]
	now := s.readClocks()
	step := written.step(now)
	if !own || step.Abs() < leastStep {
		return nil
	}
	s.noteLease(l, now)
	_, err := tx.Exec(ctx, "UPDATE decayctl_workers SET lease_until = lease_until + $3 WHERE job_id = $1 AND worker = $2",
		l.JobID, l.Worker, step.Milliseconds())
	return err
}

// leaseKey names a worker.
type leaseKey struct {
	jobID  string
	number int
}

// noteLease keeps the reading by which the end of a lease was written, if the open transaction commits.
func (s *Store) noteLease(l store.Lease, at reading) {
	s.afterCommit = func() { s.leases[leaseKey{l.JobID, l.Worker}] = at }
}
