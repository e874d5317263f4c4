// Package samplepg puts the rows of a sample into PostgreSQL.
package samplepg

import (
	"context"
	"fmt"

	"decayctl/internal/store/sample"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Conn is what Fill needs of a connection, a transaction or a pool. Tables are found by its
// search_path.
type Conn interface {
	Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error)
	CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (int64, error)
}

// Fill puts the rows of a sample into a store without facts that has the sample's schema.
func Fill(ctx context.Context, conn Conn, o sample.Options) error {
	if o.VectorDimension > 0 {
		// The node uses pgvector's type. A sweep only deletes rows, so an array does as well here
		// and needs no extension.
		if _, err := conn.Exec(ctx, "CREATE TABLE vec_facts (fact_id text PRIMARY KEY, embedding real[])"); err != nil {
			return err
		}
	}
	for rows := range sample.Generate(o) {
		_, err := conn.CopyFrom(ctx, pgx.Identifier{rows.Table}, rows.Columns, pgx.CopyFromRows(rows.Values))
		if err != nil {
			return fmt.Errorf("fill %s: %w", rows.Table, err)
		}
	}
	return nil
}
