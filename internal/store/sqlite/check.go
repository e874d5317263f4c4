package sqlite

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"decayctl/internal/store"
	"decayctl/internal/store/sqlite/dbfile"
)

// check checks that this is a fact store that decayctl can work with and, for a sweep, write. It changes nothing.
func (s *Store) check(ctx context.Context) error {
	var mode string
	if err := s.read.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return s.translate(err, "open the store")
	}
	s.wal = strings.EqualFold(mode, "wal")

	var encoding string
	if err := s.read.QueryRowContext(ctx, "PRAGMA encoding").Scan(&encoding); err != nil {
		return s.translate(err, "open the store")
	}
	if encoding != "UTF-8" { // ids are passed as UTF-8
		return &store.Error{Kind: store.Unusable, Text: "the database is encoded in " + encoding + "; a node's is in UTF-8, and decayctl reads nothing else"}
	}

	forms, err := s.forms(ctx)
	if err != nil {
		return s.translate(err, "read the schema")
	}
	var migrations []string
	if len(forms["schema_migrations"].Columns) > 0 {
		if migrations, err = s.strings(ctx, s.read, "SELECT version FROM schema_migrations"); err != nil {
			return s.translate(err, "read the schema")
		}
	}
	if s.notes, err = store.CheckSchema(migrations, forms); err != nil {
		return err
	}
	s.cardsByState = store.Lookup{Columns: []string{"is_stale"}}.Served(forms["memory_cards"].Indexes)
	if err := s.findTriggers(ctx); err != nil {
		return s.translate(err, "read the schema")
	}
	if s.otherNames {
		s.notes = append(s.notes, dbfile.OtherNamesNote)
	}
	if s.params.ReadOnly {
		note, err := s.Check(ctx)
		if note != "" {
			s.notes = append(s.notes, note)
		}
		return err
	}
	return s.checkWritable(ctx)
}

func (s *Store) strings(ctx context.Context, tx querier, query string, args ...any) ([]string, error) {
	var values []string
	err := collect(ctx, tx, func(value string) { values = append(values, value) }, query, args...)
	return values, err
}

// checkWritable writes and rolls back. So a missing permission, a read-only file system, or a lock of another process shows
// before the first batch.
func (s *Store) checkWritable(ctx context.Context) error {
	err := s.within(ctx, func(tx querier) error {
		var version int
		if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
			return err
		}
		// To set the same value is a write too: it opens the journal. A PRAGMA takes no parameters.
		if _, err := tx.ExecContext(ctx, "PRAGMA user_version = "+strconv.Itoa(version)); err != nil {
			return err
		}
		if err := s.file.AdoptSideFiles(); err != nil { // they exist since the write, and are still empty
			return err
		}
		if err := s.checkVectors(ctx, tx); err != nil {
			return err
		}
		return errChecked
	})
	if errors.Is(err, errChecked) {
		return nil
	}
	return s.translate(err, "write to the store")
}

// errChecked rolls back a transaction that wrote only to see whether it could.
var errChecked = errors.New("checked")

// checkVectors checks whether decayctl can delete vectors, and ask the node to make them again.
func (s *Store) checkVectors(ctx context.Context, tx querier) error {
	var vectors int
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE lower(name) = 'vec_facts'").Scan(&vectors); err != nil || vectors == 0 {
		return err
	}
	_, failed := tx.ExecContext(ctx, "DELETE FROM vec_facts WHERE fact_id = ''")
	if s.vec = failed == nil; !s.vec {
		s.note(store.VectorTables[0].DoneWithout("vec_facts cannot be written (" + failed.Error() + ")"))
		return nil
	}
	_, failed = tx.ExecContext(ctx, missingVectorsSQL(packIDs(nil)), "[]", "", "")
	if s.backfill = failed == nil; !s.backfill {
		s.note(store.VectorTables[1].DoneWithout("fact_embedding_status cannot be written (" + failed.Error() + ")"))
	}
	return nil
}
