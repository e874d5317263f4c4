package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"decayctl/internal/store"
)

// Diagnose looks the schema over.
func (s *Store) Diagnose(ctx context.Context) (store.Diagnosis, error) {
	var d store.Diagnosis
	err := s.within(ctx, reading, func(tx pgx.Tx) error {
		for _, step := range []func(context.Context, pgx.Tx, *store.Diagnosis) error{
			s.diagnoseServer, s.diagnosePrivileges, s.diagnoseOwn, s.diagnoseStamps,
		} {
			if err := step(ctx, tx, &d); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return d, s.translate(err, "look the store over")
	}
	d.Facts, err = s.Estimate(ctx)
	return d, err
}

func (s *Store) diagnoseServer(ctx context.Context, tx pgx.Tx, d *store.Diagnosis) error {
	var there time.Time
	before := s.params.Now()
	err := tx.QueryRow(ctx, "SELECT 'PostgreSQL ' || current_setting('server_version'), current_user, clock_timestamp()").Scan(&d.Server, &d.Role, &there)
	if err != nil {
		return err
	}
	// The server read its clock somewhere between asking and hearing.
	here := before.Add(s.params.Now().Sub(before) / 2)
	ahead := there.Sub(here)
	d.Clock = &ahead
	return tx.QueryRow(ctx, `SELECT coalesce(max(version COLLATE "C"), '') FROM `+s.table("schema_migrations")).Scan(&d.Migration)
}

// diagnosePrivileges asks for everything that a sweep, an undo and a removal of old jobs need.
func (s *Store) diagnosePrivileges(ctx context.Context, tx pgx.Tx, d *store.Diagnosis) error {
	var tables, columns, privileges []string
	want := func(table, privilege string, names ...string) {
		for _, name := range names {
			tables, columns, privileges = append(tables, table), append(columns, name), append(privileges, privilege)
		}
	}
	for _, t := range store.Tables {
		want(t.Name, "SELECT", t.Read...)
		want(t.Name, "INSERT", t.Insert...)
		want(t.Name, "UPDATE", t.Update...)
	}
	for _, name := range []string{"fact_validity_overrides", "fact_retractions", "jobs"} {
		want(name, "DELETE", "")
	}
	for _, t := range ownTables {
		for _, privilege := range t.privileges {
			want(t.name, privilege, "")
		}
	}
	rows, err := tx.Query(ctx, `
		SELECT w.privilege || ' on ' || $1 || '.' || w.tab,
		       bool_and(CASE WHEN w.col = '' THEN pg_catalog.has_table_privilege(c.oid, w.privilege)
		                     ELSE pg_catalog.has_column_privilege(c.oid, w.col, w.privilege) END)
		FROM unnest($2::text[], $3::text[], $4::text[]) AS w(tab, col, privilege)
		JOIN pg_catalog.pg_class c ON c.relname = w.tab
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = $1
		GROUP BY 1
		UNION ALL SELECT 'CREATE on schema ' || $1, pg_catalog.has_schema_privilege($1, 'CREATE')
		ORDER BY 1`, s.schema, tables, columns, privileges)
	if err != nil {
		return err
	}
	var privilege string
	var held bool
	_, err = pgx.ForEachRow(rows, []any{&privilege, &held}, func() error {
		if held {
			d.Held = append(d.Held, privilege)
		} else {
			d.Missing = append(d.Missing, privilege)
		}
		return nil
	})
	return err
}

func (s *Store) diagnoseOwn(ctx context.Context, tx pgx.Tx, d *store.Diagnosis) error {
	var readable bool
	err := tx.QueryRow(ctx, `
		SELECT coalesce(pg_catalog.has_table_privilege(pg_catalog.to_regclass($1), 'SELECT')
		            AND pg_catalog.has_table_privilege(pg_catalog.to_regclass($2), 'SELECT'), false)`,
		s.table(versions), s.table("decayctl_before")).Scan(&readable)
	if err != nil || !readable {
		return err
	}
	if err := tx.QueryRow(ctx, "SELECT coalesce(max(version_id), 0) FROM "+s.table(versions)).Scan(&d.Own); err != nil {
		return err
	}
	var bytes int64
	err = tx.QueryRow(ctx, `SELECT count(*), pg_catalog.pg_total_relation_size($1::regclass) FROM `+s.table("decayctl_before"), s.table("decayctl_before")).Scan(&d.Images, &bytes)
	d.ImageMB = float64(bytes) / (1 << 20)
	return err
}

func (s *Store) diagnoseStamps(ctx context.Context, tx pgx.Tx, d *store.Diagnosis) error {
	rows, err := tx.Query(ctx, fmt.Sprintf(`
		SELECT f.timestamp, %[1]s
		FROM %[4]s f LEFT JOIN %[5]s o ON o.fact_id = f.id
		WHERE NOT %[2]s OR %[1]s IS NOT NULL AND NOT %[3]s`,
		untilSQL, canonicalSQL("f.timestamp"), canonicalSQL(untilSQL), s.table("facts"), s.table("fact_validity_overrides")))
	if err != nil {
		return err
	}
	var timestamp string
	var until *string
	_, err = pgx.ForEachRow(rows, []any{&timestamp, &until}, func() error {
		d.Stamps.Count(timestamp, until)
		return nil
	})
	return err
}
