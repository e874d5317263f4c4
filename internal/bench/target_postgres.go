package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/sample"
	"decayctl/internal/store/sample/samplepg"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// postgresSettings keep PostgreSQL's own defaults for durability. Autovacuum is off, so that it cannot slow one contestant
// and not the next.
const postgresSettings = `
autovacuum = off
`

// postgresDatabase keeps stores as databases of a private cluster.
type postgresDatabase struct {
	cluster  *pgtest.Cluster
	template string
	copies   int
}

func newPostgres(settings string) (*postgresDatabase, error) {
	cluster, err := pgtest.Launch(postgresSettings + settings + "\n")
	return &postgresDatabase{cluster: cluster}, err
}

// admin runs statements in a database as superuser, each in its own transaction.
func (d *postgresDatabase) admin(ctx context.Context, database string, statements ...string) error {
	conn, err := pgx.Connect(ctx, d.cluster.URL(database))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement, pgx.QueryExecModeSimpleProtocol); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

func (d *postgresDatabase) fill(ctx context.Context, facts int) error {
	d.template = fmt.Sprintf("facts_%d", facts)
	if err := d.admin(ctx, "postgres", "CREATE DATABASE "+d.template); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, d.cluster.URL(d.template))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, sample.PostgresDDL()); err != nil {
		return err
	}
	if err := samplepg.Fill(ctx, conn, sampleOf(facts)); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "VACUUM ANALYZE")
	return err
}

func (d *postgresDatabase) copied(ctx context.Context) (target, error) {
	d.copies++
	name := fmt.Sprintf("copy_%d", d.copies)
	err := d.admin(ctx, "postgres", "CREATE DATABASE "+name+" TEMPLATE "+d.template)
	if err != nil {
		return nil, err
	}
	t := &postgresTarget{database: d, name: name}
	// Reading the large tables makes sure that the copy is in memory.
	return t, d.admin(ctx, name,
		"SELECT count(f) FROM facts f", "SELECT count(o) FROM fact_validity_overrides o",
		"SELECT count(e) FROM entity_edges e", "SELECT count(c) FROM memory_cards c")
}

func (d *postgresDatabase) versions(ctx context.Context) (string, error) {
	conn, err := pgx.Connect(ctx, d.cluster.URL("postgres"))
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var version, settings string
	err = conn.QueryRow(ctx, `
		SELECT current_setting('server_version'), string_agg(name || ' ' || current_setting(name), ', ' ORDER BY name)
		FROM pg_settings WHERE name IN ('shared_buffers', 'fsync', 'synchronous_commit', 'full_page_writes', 'max_wal_size', 'autovacuum')`).
		Scan(&version, &settings)
	version, _, _ = strings.Cut(version, " ")
	return "PostgreSQL " + version + ", " + settings + "; over TCP on this machine.", err
}

func (d *postgresDatabase) close() error { return d.cluster.End() }

type postgresTarget struct {
	database *postgresDatabase
	name     string
	from     string // position in the write-ahead log at begin
}

func (t *postgresTarget) url() string   { return t.database.cluster.URL(t.name) }
func (t *postgresTarget) store() string { return t.url() }

func (t *postgresTarget) shell(ctx context.Context, script string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", t.url())
	cmd.Stdin = strings.NewReader(script)
	return cmd
}

func (t *postgresTarget) open() (*sql.DB, error) { return openPostgres(t.url()) }

// openPostgres connects as the node's driver does: a statement is one message with its values in the text, and takes one
// round trip.
func openPostgres(url string) (*sql.DB, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	return stdlib.OpenDB(*config), nil
}

// begin makes a checkpoint first, so that all contestants write as many full pages into the log.
func (t *postgresTarget) begin(ctx context.Context) error {
	if err := t.database.admin(ctx, t.name, "CHECKPOINT"); err != nil {
		return err
	}
	return t.log(ctx, "SELECT pg_current_wal_insert_lsn()::text, 0", &t.from, new(int64))
}

func (t *postgresTarget) watch() {}

func (t *postgresTarget) end(ctx context.Context) (grown int64, err error) {
	err = t.log(ctx, "SELECT '', (pg_current_wal_insert_lsn() - '"+t.from+"'::pg_lsn)::bigint", new(string), &grown)
	return grown, err
}

func (t *postgresTarget) log(ctx context.Context, query string, into ...any) error {
	db, err := t.open()
	if err != nil {
		return err
	}
	return errors.Join(db.QueryRowContext(ctx, query).Scan(into...), db.Close())
}

func (t *postgresTarget) remove() error {
	return t.database.admin(context.Background(), "postgres", "DROP DATABASE "+t.name+" WITH (FORCE)")
}
