package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"os"

	"decayctl/internal/store"
)

// Diagnose looks the file over.
func (s *Store) Diagnose(ctx context.Context) (store.Diagnosis, error) {
	d := store.Diagnosis{Server: "SQLite " + Version}
	err := s.reading(ctx, func(tx querier) error {
		if err := tx.QueryRowContext(ctx, "SELECT max(version) FROM schema_migrations").Scan(&d.Migration); err != nil {
			return err
		}
		if err := s.diagnoseOwn(ctx, tx, &d); err != nil {
			return err
		}
		return s.diagnoseStamps(ctx, tx, &d)
	})
	if err != nil {
		return d, s.translate(err, "look the store over")
	}
	if d.Facts, err = s.Estimate(ctx); err != nil {
		return d, err
	}
	// SQLite knows no roles: whoever may write the file may do everything.
	for _, privilege := range []string{"read the file", "write the file"} {
		if privilege == "write the file" && !s.mayWrite() {
			d.Missing = append(d.Missing, privilege)
			continue
		}
		d.Held = append(d.Held, privilege)
	}
	return d, nil
}

// mayWrite goes by the file's mode. Opening the file to see would, when it is closed again, take the
// locks away that this process has on it.
func (s *Store) mayWrite() bool {
	info, err := os.Stat(s.path)
	return err == nil && info.Mode().Perm()&0o222 != 0
}

func (s *Store) diagnoseOwn(ctx context.Context, tx querier, d *store.Diagnosis) error {
	there, err := s.exists(ctx, tx, ownVersions)
	if err != nil || !there {
		return err
	}
	if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(version_id), 0) FROM "+ownVersions).Scan(&d.Own); err != nil || d.Own == 0 {
		return err
	}
	var bytes sql.NullInt64
	err = tx.QueryRowContext(ctx, `
		SELECT count(*), sum(length(job_id) + length(fact_id) + coalesce(length(valid_until), 0) + coalesce(length(reason), 0)
		       + coalesce(length(updated_at), 0) + coalesce(length(updated_by), 0) + coalesce(length(edge_valid_until), 0) + 20)
		FROM decayctl_before`).Scan(&d.Images, &bytes)
	d.ImageMB = float64(bytes.Int64) / (1 << 20)
	return err
}

func (s *Store) diagnoseStamps(ctx context.Context, tx querier, d *store.Diagnosis) error {
	rows, err := tx.QueryContext(ctx, fmt.Sprintf(`
		SELECT f.timestamp, %[1]s
		FROM facts f LEFT JOIN fact_validity_overrides o ON o.fact_id = f.id
		WHERE NOT %[2]s OR %[1]s IS NOT NULL AND NOT %[3]s`, untilSQL, canonicalSQL("f.timestamp"), canonicalSQL(untilSQL)))
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var timestamp string
		var until *string
		if err := rows.Scan(&timestamp, &until); err != nil {
			return err
		}
		d.Stamps.Count(timestamp, until)
	}
	return rows.Err()
}
