package sample

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strings"
)

// maxRowsPerInsert is the number of rows in one INSERT, at most. It is a power of two.
const maxRowsPerInsert = 256

// FillSQLite inserts the rows of a sample into a store without facts: all of them or none. No other process may have the store
// open.
func FillSQLite(ctx context.Context, path string, o Options) (err error) {
	db, err := OpenSQLite(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	// One connection, so that the pragmas count for the transaction. The cache holds the index on random fact ids: else each
	// row would read a page. With a WAL everything would be written twice. The generator makes valid foreign keys.
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(ctx, `PRAGMA cache_size = -262144; PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = OFF;
		PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY`)
	if err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err = fill(ctx, tx, o); err == nil {
		err = tx.Commit()
	} else {
		_ = tx.Rollback() // may fail: a failed insert has rolled back
	}
	_, modeErr := db.ExecContext(context.WithoutCancel(ctx), "PRAGMA journal_mode = WAL")
	return errors.Join(err, modeErr)
}

func fill(ctx context.Context, tx *sql.Tx, o Options) error {
	if o.VectorDimension > 0 {
		ddl := fmt.Sprintf("CREATE VIRTUAL TABLE vec_facts USING vec0(fact_id TEXT PRIMARY KEY, embedding FLOAT[%d])", o.VectorDimension)
		if _, err := tx.ExecContext(ctx, ddl); err != nil {
			return err
		}
	}
	restore, err := dropDerived(ctx, tx)
	if err != nil {
		return err
	}
	inserts := inserts{tx: tx, statements: map[string]*sql.Stmt{}}
	for rows := range Generate(o) {
		for values := rows.Values; len(values) > 0; {
			// Powers of two, so that there are few different statements.
			n := 1 << (bits.Len(uint(min(len(values), maxRowsPerInsert))) - 1)
			if err := inserts.exec(ctx, rows, values[:n]); err != nil {
				return fmt.Errorf("fill %s: %w", rows.Table, err)
			}
			values = values[n:]
		}
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO facts_fts (fact_id, entity, relation, value_v)
		SELECT id, entity, relation, value_v FROM facts ORDER BY rowid; `+restore)
	return err
}

// dropDerived drops the indexes and the trigger of the full-text index, and returns the statements that create them again: at
// the end they are built faster than row by row.
func dropDerived(ctx context.Context, tx *sql.Tx) (restore string, err error) {
	var drop string
	err = tx.QueryRowContext(ctx, `
		SELECT group_concat('DROP ' || type || ' ' || name, '; '), group_concat(sql, '; ')
		FROM (
			SELECT type, name, sql FROM sqlite_schema
			WHERE type = 'index' AND sql IS NOT NULL OR name = 'facts_fts_ai'
			ORDER BY rowid
		)`).Scan(&drop, &restore)
	if err != nil {
		return "", err
	}
	_, err = tx.ExecContext(ctx, drop)
	return restore, err
}

// inserts caches the prepared statements of one transaction by their text.
type inserts struct {
	tx         *sql.Tx
	statements map[string]*sql.Stmt
	args       []any
}

func (s *inserts) exec(ctx context.Context, rows Rows, values [][]any) error {
	row := "(?" + strings.Repeat(", ?", len(rows.Columns)-1) + ")"
	// With OR ROLLBACK, SQLite keeps no pages to undo a single statement.
	text := fmt.Sprintf("INSERT OR ROLLBACK INTO %s (%s) VALUES %s%s", rows.Table, strings.Join(rows.Columns, ", "),
		row, strings.Repeat(", "+row, len(values)-1))
	statement := s.statements[text]
	if statement == nil {
		var err error
		if statement, err = s.tx.PrepareContext(ctx, text); err != nil {
			return err
		}
		s.statements[text] = statement
	}
	s.args = s.args[:0]
	for _, value := range values {
		for _, v := range value {
			if vector, ok := v.([]float32); ok {
				v = littleEndian(vector)
			}
			s.args = append(s.args, v)
		}
	}
	_, err := statement.ExecContext(ctx, s.args...)
	return err
}

// littleEndian is a vector as vec0 stores it.
func littleEndian(vector []float32) []byte {
	blob := make([]byte, 0, 4*len(vector))
	for _, x := range vector {
		blob = binary.LittleEndian.AppendUint32(blob, math.Float32bits(x))
	}
	return blob
}
