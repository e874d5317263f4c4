package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"decayctl/internal/job"
	"decayctl/internal/store"
)

// translate makes a *store.Error of a driver's error. doing is what failed, such as "read the facts". nil, a *store.Error and
// an error of package job stay as they are.
func (s *Store) translate(err error, doing string) error {
	var ours *store.Error
	var server *pgconn.PgError
	var connecting *pgconn.ConnectError
	var lostConn *connLost
	fail := func(kind store.Kind, text string) error {
		return &store.Error{Kind: kind, Text: "cannot " + doing + ": " + oneLine(text), Err: err}
	}
	lost := store.Disconnected
	if !s.connected {
		lost = store.Unusable
	}
	switch {
	case err == nil:
		return nil
	case errors.As(err, &ours) || ofJob(err):
		return err
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case store.OutOfFiles(err) && s.connected:
		return fail(lost, store.TooManyFiles)
	case store.OutOfFiles(err):
		return fail(0, store.TooManyFiles)
	case errors.As(err, &connecting):
		if turnedAway(connecting) {
			lost = store.Unusable
		}
		if errors.As(err, &server) {
			return fail(lost, server.Message)
		}
		if text := unfitSetting(connecting); text != "" {
			return fail(lost, text)
		}
		return fail(lost, connectReason(connecting)+"; check host, port and network")
	case errors.As(err, &lostConn) && lostConn.committing:
		return fail(store.Uncertain, "the connection to the server was lost in the COMMIT, which may or may not have happened: "+lostConn.Error())
	case errors.As(err, &lostConn) && !refusal(err):
		return fail(lost, "the connection to the server was lost: "+lostConn.Error())
	case errors.Is(err, errUnsettled):
		return fail(store.Busy, errUnsettled.Error()+", and what it wrote could be missed; Citus finishes it within citus.recover_2pc_interval (a minute) after the node is back; try again then")
	case lockTimedOut(err):
		return fail(store.Busy, fmt.Sprintf("another session has kept rows locked for %s; try again later, or wait longer with --lock-timeout", s.params.LockTimeout))
	case !errors.As(err, &server):
		return fail(0, err.Error())
	}
	switch {
	case server.Code == "40001" || server.Code == "40P01": // serialization_failure, deadlock_detected
		return fail(store.Contention, server.Message)
	case server.Code == "57014": // query_canceled: statement_timeout, or an administrator
		return fail(store.Busy, server.Message)
	case server.Code == "42501": // insufficient_privilege
		return fail(store.NotPermitted, server.Message)
	case server.Code == "25006": // read_only_sql_transaction
		return fail(store.NotPermitted, server.Message+"; the server or the role is read-only"+severalServers)
	case slices.Contains(refusalClasses, server.Code[:2]) && s.misplacedError(err) != nil:
		return s.misplacedError(err)
	case slices.Contains(parameterCodes, server.Code):
		text := server.Message + "; check the parameters of the connection string"
		if len(s.given) > 0 {
			text += " (or PGOPTIONS): " + strings.Join(s.given, ", ")
		}
		return fail(store.Unusable, text)
	case slices.Contains(formCodes, server.Code):
		return fail(store.Unusable, store.UnfitText("the server's error "+server.Code))
	case server.Code == "22P05": // untranslatable_character
		return fail(store.Unusable, server.Message+", the database's encoding; leave out what has that character: it can match nothing there")
	case slices.Contains([]string{"09", "22", "23", "27", "44", "P0"}, server.Code[:2]): // data, constraints, triggers
		return fail(store.Rejected, server.Message)
	}
	return fail(0, fmt.Sprintf("%s (SQLSTATE %s)", server.Message, server.Code))
}

// formCodes are the errors of the server for a statement that does not fit a table or a column.
var formCodes = []string{
	"0A000", // feature_not_supported: also a statement that was prepared before
	"21000", // cardinality_violation: a key that is none
	"42703", // undefined_column
	"42804", // datatype_mismatch
	"42809", // wrong_object_type
	"42883", // undefined_function: also an operator
	"428C9", // generated_always
	"42P01", // undefined_table
	"42P10", // invalid_column_reference: ON CONFLICT without a key
}

// refusalClasses are the classes of the errors of Citus for a statement that needs the tables elsewhere.
var refusalClasses = []string{"0A", "42", "XX"}

// parameterCodes are the errors of the server for a setting with which a transaction begins. Not every message names the
// setting.
var parameterCodes = []string{
	"22023", // invalid_parameter_value
	"25001", // active_sql_transaction: transaction_isolation
	"42602", // invalid_name
	"42704", // undefined_object
	"55P02", // cant_change_runtime_param
}

// refusal tells whether the server has answered with an error and the connection still works. The server also reports a
// shutdown, a lost connection behind a pooler and a terminated session as errors.
func refusal(err error) bool {
	var server *pgconn.PgError
	if !errors.As(err, &server) {
		return false
	}
	return !strings.HasPrefix(server.Code, "08") && !strings.HasPrefix(server.Code, "57P0") && server.Code != "25P03"
}

// duplicate tells whether the server has refused a row because its key exists.
func duplicate(err error) bool {
	var server *pgconn.PgError
	return errors.As(err, &server) && server.Code == "23505" // unique_violation
}

// unstorable tells whether the server has refused a text that no row can have: with invalid UTF-8, or a zero byte.
func unstorable(err error) bool {
	var server *pgconn.PgError
	return errors.As(err, &server) && server.Code == "22021" // character_not_in_repertoire
}

// ofJob tells whether an error is of package job, and needs no translation.
func ofJob(err error) bool {
	for _, kind := range []any{
		new(*job.Illegal), new(*job.Busy), new(*job.Superseded), new(*job.Lost), new(*job.Unknown), new(*job.Ambiguous), new(*job.Foreign),
	} {
		if errors.As(err, kind) {
			return true
		}
	}
	return false
}

// attempts are the errors of the single attempts to connect: each address may be tried with TLS and without.
func attempts(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, each := range joined.Unwrap() {
		all = append(all, attempts(each)...)
	}
	return all
}

// connectReason is why the connection failed, for the first address only.
func connectReason(err *pgconn.ConnectError) string {
	if all := attempts(err.Unwrap()); len(all) > 0 && all[0] != nil {
		return all[0].Error()
	}
	return "no connection"
}

// noEntryCodes are the errors of a server that is up, and does not let the role in. Waiting does not help.
var noEntryCodes = []string{
	"28000", // invalid_authorization_specification: no such role, NOLOGIN, pg_hba.conf
	"28P01", // invalid_password
	"3D000", // invalid_catalog_name: no such database
	"42501", // insufficient_privilege: CONNECT
}

// turnedAway tells whether no server of the address lets the role in. If another one could not be reached, it may come back.
func turnedAway(err *pgconn.ConnectError) bool {
	away := false
	for _, each := range attempts(err.Unwrap()) {
		var server *pgconn.PgError
		var network net.Error
		if errors.As(each, &server) {
			if !slices.Contains(noEntryCodes, server.Code) {
				return false
			}
			away = true
		} else if errors.As(each, &network) {
			return false
		}
	}
	return away
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
