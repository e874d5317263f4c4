package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"decayctl/internal/store"
)

// A session that waits for a lock longer than deadlock_timeout looks for a deadlock, and fails if there is one. A session of
// the node must not fail because of decayctl. So decayctl waits for a lock only briefly, rolls its transaction back, and
// runs it again later.

const (
	firstPause   = 10 * time.Millisecond // between two attempts, without locks
	longestPause = time.Second
)

// retryLocked repeats a transaction that could not get a lock, until the lock timeout has passed.
func (s *Store) retryLocked(ctx context.Context, once func() error) error {
	patience := time.NewTimer(s.params.LockTimeout)
	defer patience.Stop()
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := once()
		if !mayRunAgain(err) {
			return err
		}
		again := time.NewTimer(pause)
		select {
		case <-again.C:
		case <-patience.C:
			again.Stop()
			return err
		case <-ctx.Done():
			again.Stop()
			return ctx.Err()
		}
	}
}

// lockTimedOut tells whether a transaction was rolled back because it, or another session, waited for a lock too long.
func lockTimedOut(err error) bool {
	var server *pgconn.PgError
	return errors.Is(err, errBlocksOther) || errors.Is(err, errUnsettled) || errors.As(err, &server) && server.Code == "55P03" // lock_not_available
}

// mayRunAgain tells whether a transaction that could not get a lock may be repeated. It may not after rows were handed over,
// nor after a translated error: that is the error of another transaction, which the receiver of the rows ran.
func mayRunAgain(err error) bool {
	var begun *handedOver
	var other *store.Error
	return lockTimedOut(err) && !errors.As(err, &begun) && !errors.As(err, &other)
}

// handedOver is an error after rows were handed over. A repeated transaction would hand them over twice.
type handedOver struct{ error }

func (e *handedOver) Unwrap() error { return e.error }

// eachRow calls use for each row of a query. Even then the query may have to wait for a lock: that of the TOAST table with
// long values.
func eachRow(rows pgx.Rows, scans []any, use func() error) (pgconn.CommandTag, error) {
	begun := false
	tag, err := pgx.ForEachRow(rows, scans, func() error {
		begun = true
		return use()
	})
	if err != nil && begun {
		err = &handedOver{err}
	}
	return tag, err
}

// lockWait is how long a transaction waits for one lock: a part of deadlock_timeout, and not more than the lock timeout.
func (s *Store) lockWait() time.Duration {
	return max(time.Millisecond, min(s.params.LockTimeout, s.deadlock/4))
}

// errBlocksOther ends a transaction for whose locks another session may have waited too long.
var errBlocksOther = errors.New("another session waits for this one")

// runSteps runs the steps of a transaction that locks rows which the node locks too. Each wait must end before a session that
// waits for this one looks for a deadlock. If the transaction takes long, runSteps checks whether a session waits. If none
// does, a later one waits for deadlock_timeout first. A session of decayctl gives up before: it does not end the work of this one.
func (s *Store) runSteps(ctx context.Context, tx pgx.Tx, since time.Time, steps ...func(context.Context) error) error {
	for _, step := range steps {
		if now := s.params.Now(); now.Sub(since) > s.deadlock*3/4-s.lockWait() {
			var blocksOther bool
			if err := tx.QueryRow(ctx, s.layout.blocksOther(), s.table("decayctl_jobs")).Scan(&blocksOther); err != nil {
				return err
			}
			if blocksOther {
				return errBlocksOther
			}
			since = now
		}
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// beginOnNodes applies settings on all nodes of a cluster. A batch looks rows up by their keys. The keys of one shard are known to
// the planner, and to read the whole shard may look cheaper to it.
func (s *Store) beginOnNodes(ctx context.Context, tx pgx.Tx, t transaction) error {
	settings := []string{lockTimeout(s.lockWait())}
	if t.batch {
		settings = append(settings, "enable_seqscan = off")
	}
	return s.layout.set(ctx, tx, settings...)
}

func lockTimeout(wait time.Duration) string {
	return fmt.Sprintf("lock_timeout = %d", wait.Milliseconds())
}

// waitFor sets how long the rest of a transaction waits for one lock.
func (s *Store) waitFor(ctx context.Context, tx pgx.Tx, wait time.Duration) error {
	return s.layout.set(ctx, tx, lockTimeout(wait))
}

// readServer reads what the server runs on, and deadlock_timeout. A role may have its own value of that. If it is longer than
// the default of 1 s for decayctl's role, it need not be for the node's role.
func (s *Store) readServer(ctx context.Context, tx pgx.Tx) error {
	var ms int64
	err := tx.QueryRow(ctx, `SELECT setting::bigint, pg_catalog.version() LIKE '%linux%'
		FROM pg_catalog.pg_settings WHERE name = 'deadlock_timeout'`).Scan(&ms, &s.onLinux)
	s.deadlock = min(time.Second, time.Duration(ms)*time.Millisecond)
	return err
}
