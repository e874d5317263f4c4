package sqlite

import (
	"context"
	"time"

	"decayctl/internal/store"
	"decayctl/internal/store/jobtable"
)

// The end of a lease is an instant of the host's clock, which every process can compare. When that clock is
// stepped, the lease of a process at work would end, or last for too long. The process knows by the monotonic
// clock how long it was since it last looked, and moves the end of its own lease along with the step.

// reading is both clocks at one moment.
type reading struct {
	wallMS int64         // of the host, in milliseconds since 1970
	up     time.Duration // since the store was opened, by the monotonic clock
}

const leastStep = time.Second // clocks are slewed by less between two batches

func (s *Store) readClocks() reading {
	now := s.params.Now()
	if s.uptime != nil {
		return reading{now.UnixMilli(), s.uptime()}
	}
	return reading{now.UnixMilli(), now.Sub(s.opened)} // by the monotonic clock, if Now has read it
}

// step is how far the host's clock was stepped between two readings.
func (r reading) step(later reading) time.Duration {
	return time.Duration(later.wallMS-r.wallMS)*time.Millisecond - (later.up - r.up)
}

// followClock moves the end of a lease along with a step of the clock since that end was written.
// A lease that another process has put out has no row, and stays lost.
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

// leaseKey is whose a lease is.
type leaseKey struct {
	jobID  string
	number int
}

// noteLease keeps the clocks by which the end of a lease was written, once its transaction has committed.
func (s *Store) noteLease(l store.Lease, at reading) {
	s.afterCommit = func() { s.leases[leaseKey{l.JobID, l.Worker}] = at }
}
