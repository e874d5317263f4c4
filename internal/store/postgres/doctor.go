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
			s.diagnoseServer, s.diagnoseOwn, s.diagnosePrivileges, s.diagnoseStamps,
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
	w := undoPrivileges()
	for _, t := range store.Tables {
		w.add(t.Name, "SELECT", t.Read...)
		w.add(t.Name, "INSERT", t.Insert...)
		w.add(t.Name, "UPDATE", t.Update...)
	}
	w.addAll(prunePrivileges())
	w.addAll(ownPrivileges())
	var err error
	if d.Held, d.Missing, err = s.privileges(ctx, tx, w); err != nil || d.Own != 0 {
		return err
	}
	// Without its tables, decayctl makes them.
	var allowed bool
	if err := tx.QueryRow(ctx, "SELECT pg_catalog.has_schema_privilege($1, 'CREATE')", s.schema).Scan(&allowed); err != nil {
		return err
	}
	if create := "CREATE on schema " + s.schema; allowed {
		d.Held = append(d.Held, create)
	} else {
		d.Missing = append(d.Missing, create)
	}
	return nil
}

func (s *Store) diagnoseOwn(ctx context.Context, tx pgx.Tx, d *store.Diagnosis) error {
	var there, readable bool
	err := tx.QueryRow(ctx, `
		SELECT pg_catalog.to_regclass($1) IS NOT NULL,
		       coalesce(pg_catalog.has_table_privilege(pg_catalog.to_regclass($1), 'SELECT')
		            AND pg_catalog.has_table_privilege(pg_catalog.to_regclass($2), 'SELECT'), false)`,
		s.table(versions), s.table("decayctl_before")).Scan(&there, &readable)
	if err != nil || !readable {
		if there {
			d.Own = -1
		}
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
