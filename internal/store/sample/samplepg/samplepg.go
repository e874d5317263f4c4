// Package samplepg inserts the rows of a sample into PostgreSQL.
package samplepg

import (
	"context"
	"fmt"

	"decayctl/internal/store/sample"

	"github.com/jackc/pgx/v5"
)

// Conn is the part of a connection, a transaction or a pool that Fill needs. Its search_path has the tables' schema.
type Conn interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}

// Fill inserts the rows of a sample into a store that has the sample's schema and no facts: all of them or none.
func Fill(ctx context.Context, conn Conn, o sample.Options) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		restore, err := dropIndexes(ctx, tx)
		if err != nil {
			return err
		}
		if o.VectorDimension > 0 {
			// The node uses the type of pgvector. A sweep only deletes rows, so an array will do, and needs no extension.
			if _, err := tx.Exec(ctx, "CREATE TABLE vec_facts (fact_id text PRIMARY KEY, embedding real[])"); err != nil {
				return err
			}
		}
		for rows := range sample.Generate(o) {
			_, err := tx.CopyFrom(ctx, pgx.Identifier{rows.Table}, rows.Columns, pgx.CopyFromRows(rows.Values))
			if err != nil {
				return fmt.Errorf("fill %s: %w", rows.Table, err)
			}
		}
		_, err = tx.Exec(ctx, restore)
		return err
	})
}

// dropIndexes drops the indexes that belong to no constraint, and returns the statements that create them again: at the end
// they are built faster than row by row.
func dropIndexes(ctx context.Context, tx pgx.Tx) (restore string, err error) {
	var drop string
	err = tx.QueryRow(ctx, `
		SELECT string_agg(format('DROP INDEX %I.%I', schemaname, indexname), '; '), string_agg(indexdef, '; ')
		FROM pg_indexes WHERE schemaname = current_schema() AND indexname LIKE 'idx\_%'`).Scan(&drop, &restore)
	if err != nil {
		return "", err
	}
	_, err = tx.Exec(ctx, drop)
	return restore, err
}
