package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"decayctl/internal/store"
)

// translate turns a driver error into one of ours. doing says what could not be done, as the end
// of "cannot …". nil stays nil, and so does an error that is ours already.
func (s *Store) translate(err error, doing string) error {
	var ours *store.Error
	var server *pgconn.PgError
	var connecting *pgconn.ConnectError
	fail := func(kind store.Kind, text string) error {
		return &store.Error{Kind: kind, Text: "cannot " + doing + ": " + oneLine(text), Err: err}
	}
	switch {
	case err == nil:
		return nil
	case errors.As(err, &ours):
		return err
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.As(err, &connecting):
		if errors.As(err, &server) {
			return fail(store.Unusable, server.Message)
		}
		return fail(store.Unusable, connectReason(connecting)+"; check host, port and network")
	case !errors.As(err, &server):
		return fail(0, "the connection to the server failed: "+err.Error())
	}
	switch {
	case server.Code == "40001" || server.Code == "40P01": // serialization_failure, deadlock_detected
		return fail(store.Contention, server.Message)
	case server.Code == "55P03": // lock_not_available
		return fail(store.Busy, fmt.Sprintf("another session has kept rows locked for %s; try again later, or wait longer with --lock-timeout", s.params.LockTimeout))
	case server.Code == "42501": // insufficient_privilege
		return fail(store.NotPermitted, server.Message)
	case server.Code == "25006": // read_only_sql_transaction
		return fail(store.NotPermitted, server.Message+"; the server or the role is read-only")
	case server.Code == "42704" || server.Code == "22023": // undefined_object, invalid_parameter_value
		return fail(store.Unusable, server.Message+"; check the parameters of the connection string")
	case slices.Contains([]string{"09", "22", "23", "27", "44", "P0"}, server.Code[:2]): // data, constraints, triggers
		return fail(store.Rejected, server.Message)
	}
	return fail(0, fmt.Sprintf("%s (SQLSTATE %s)", server.Message, server.Code))
}

// connectReason is what went wrong on the way to the server, without the list of every address.
func connectReason(err *pgconn.ConnectError) string {
	inner := err.Unwrap()
	for {
		joined, ok := inner.(interface{ Unwrap() []error })
		if !ok || len(joined.Unwrap()) == 0 {
			break
		}
		inner = joined.Unwrap()[0]
	}
	if inner == nil {
		return "no connection"
	}
	return inner.Error()
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
