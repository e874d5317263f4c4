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

// A session that has waited for a lock for deadlock_timeout looks for a deadlock, and if there is one it is the session
// that fails. decayctl must not be waiting then while it holds what the other waits for. So it waits briefly, gives all
// its locks back, and tries again later.

const (
	firstPause   = 10 * time.Millisecond // between two tries, with nothing held
	longestPause = time.Second
)

// retryLocked runs a transaction until no other session keeps a lock from it, for as long as the lock timeout.
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

// lockTimedOut tells whether a transaction has given way.
func lockTimedOut(err error) bool {
	var server *pgconn.PgError
	return errors.Is(err, errBlocksOther) || errors.As(err, &server) && server.Code == "55P03" // lock_not_available
}

// mayRunAgain tells whether a transaction that has given way may be run again. Not after rows were handed over, nor after
// the error of another transaction, which is translated already: whoever was handed rows had it.
func mayRunAgain(err error) bool {
	var begun *handedOver
	var other *store.Error
	return lockTimedOut(err) && !errors.As(err, &begun) && !errors.As(err, &other)
}

// handedOver is an error behind rows that were handed over. To run the transaction again would hand them over again.
type handedOver struct{ error }

func (e *handedOver) Unwrap() error { return e.error }

// eachRow hands the rows of a query over, one by one. Even while rows are being read a lock may be waited for, that of
// the table with long values.
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

// lockWait is how long a transaction waits for one lock.
func (s *Store) lockWait() time.Duration {
	return max(time.Millisecond, min(s.params.LockTimeout, s.deadlock/4))
}

// errBlocksOther ends a transaction whose locks another session waits for, and may have waited for long.
var errBlocksOther = errors.New("another session waits for this one")

// runSteps runs the parts of a transaction that locks what the node locks too. Each wait must end before a session that
// waits for this one looks for a deadlock. A transaction that takes long asks whether there is one: if not, whoever comes
// later has all of deadlock_timeout before it.
func (s *Store) runSteps(ctx context.Context, tx pgx.Tx, since time.Time, steps ...func(context.Context) error) error {
	for _, step := range steps {
		if now := s.params.Now(); now.Sub(since) > s.deadlock*3/4-s.lockWait() {
			var blocksOther bool
			if err := tx.QueryRow(ctx, `
				SELECT EXISTS (
					SELECT 1 FROM pg_catalog.pg_locks l
					WHERE NOT l.granted AND pg_catalog.pg_backend_pid() = ANY (pg_catalog.pg_blocking_pids(l.pid)))`).Scan(&blocksOther); err != nil {
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

// waitFor sets how long the rest of a transaction waits for one lock.
func (s *Store) waitFor(ctx context.Context, tx pgx.Tx, wait time.Duration) error {
	_, err := tx.Exec(ctx, "SELECT pg_catalog.set_config('lock_timeout', $1, true)", fmt.Sprint(wait.Milliseconds()))
	return err
}

// readDeadlockTimeout reads how soon sessions look for deadlocks. A role may have a value of its own: where decayctl's is
// longer than the server's default, the node's need not be.
func (s *Store) readDeadlockTimeout(ctx context.Context, tx pgx.Tx) error {
	var ms int64
	err := tx.QueryRow(ctx, "SELECT setting::bigint FROM pg_catalog.pg_settings WHERE name = 'deadlock_timeout'").Scan(&ms)
	s.deadlock = min(time.Second, time.Duration(ms)*time.Millisecond)
	return err
}
