//go:build interop

package interop_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/store"
	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/storetest"
)

// TestSchema: the tables that all other tests of decayctl use are those of the node's migrations, with the same columns,
// constraints, indexes and triggers.
func TestSchema(t *testing.T) {
	onBoth(t, func(t *testing.T, p *place) {
		serve(t, p, noAuth).assert(alice)
		ours := engineSchema(t, p.name)
		ours.Insert(t, storetest.Fact("a"))
		tables := ours.Rows(t, map[string]string{
			"sqlite":   `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' AND name NOT LIKE 'facts\_fts\_%' ESCAPE '\' ORDER BY name`,
			"postgres": `SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY table_name COLLATE "C"`,
		}[p.name])
		for _, table := range append(store.TableNames(), "fact_embedding_status", "gardens") {
			if !slices.Contains(tables, table) {
				t.Errorf("our schema has no table %s", table)
			}
		}
		describe := map[string]func(testing.TB, storetest.Database, string) []string{"sqlite": describeSQLite, "postgres": describePostgres}[p.name]
		for _, table := range tables {
			if diff := cmp.Diff(describe(t, p.Database, table), describe(t, ours, table)); diff != "" {
				t.Errorf("%s (-the node's +ours):\n%s", table, diff)
			}
		}
		applied := p.Rows(t, "SELECT version FROM schema_migrations ORDER BY version")
		if last := applied[len(applied)-1]; last != store.NewestMigration || !slices.Contains(applied, store.RequiredMigration) {
			t.Errorf("the node's newest migration is %s, the newest known is %s", last, store.NewestMigration)
		}
		for _, version := range ours.Rows(t, "SELECT version FROM schema_migrations ORDER BY version") {
			if !slices.Contains(applied, version) {
				t.Errorf("the node has no migration %s", version)
			}
		}
	})
}

// engineSchema is a store with the schema of decayctl's other tests.
func engineSchema(t *testing.T, engine string) storetest.Database {
	if engine == "sqlite" {
		db, _ := storetest.NewSQLite(t, nil)
		return db
	}
	db := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{})
	return storetest.Database{SQL: storetest.OpenPostgres(t, db.URL, db.Schema)}
}

// describeSQLite lists the parts of a table. Checks, defaults and triggers are compared as canonical text.
func describeSQLite(t testing.TB, d storetest.Database, table string) (all []string) {
	t.Helper()
	add := func(kind, query string, args ...any) {
		for _, row := range d.Rows(t, query, args...) {
			all = append(all, kind+" "+canonical(row))
		}
	}
	add("column", "SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo($1) ORDER BY cid", table)
	add("reference", `SELECT "from", "table", "to", on_update, on_delete FROM pragma_foreign_key_list($1) ORDER BY "from"`, table)
	add("index", `SELECT CASE l.origin WHEN 'c' THEN l.name END, l."unique", l.origin, l.partial,
			(SELECT group_concat(coalesce(x.name, 'rowid') || ' ' || x.desc || ' ' || x.coll) FROM pragma_index_xinfo(l.name) x WHERE x.key),
			(SELECT substr(sql, instr(upper(sql), ' WHERE ')) FROM sqlite_schema s WHERE s.name = l.name AND l.partial)
		FROM pragma_index_list($1) l ORDER BY l.origin, l.name`, table)
	// These triggers refuse every update and delete, so only their heads are compared.
	add("trigger", `SELECT CASE WHEN sql LIKE '% AFTER INSERT ON %' THEN sql ELSE substr(sql, 1, instr(sql, 'BEGIN')) END
		FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = $1 ORDER BY name`, table)
	if table == "facts" {
		for _, statement := range []string{"UPDATE facts SET confidence = 0", "DELETE FROM facts"} {
			if _, err := d.SQL.Exec(statement); err == nil || !strings.Contains(err.Error(), "append-only") {
				t.Errorf("%s: %v, want that facts is append-only", statement, err)
			}
		}
	}
	for _, text := range d.Rows(t, "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = $1", table) {
		var found []string
		for _, check := range checks(text) {
			found = append(found, "check "+canonical(check))
		}
		slices.Sort(found)
		all = append(all, found...)
		if strings.Contains(strings.ToUpper(text), "VIRTUAL") {
			all = append(all, "virtual "+canonical(text))
		}
	}
	return all
}

// checks are the expressions of a statement's CHECK constraints.
func checks(text string) (all []string) {
	for _, at := range regexp.MustCompile(`(?i)\bCHECK\s*\(`).FindAllStringIndex(text, -1) {
		depth, end := 1, at[1]
		for ; end < len(text) && depth > 0; end++ {
			switch text[end] {
			case '(':
				depth++
			case ')':
				depth--
			}
		}
		all = append(all, text[at[1]:end-1])
	}
	return all
}

var (
	comment = regexp.MustCompile(`--[^\n]*`)
	blank   = regexp.MustCompile(`\s+`)
	tight   = regexp.MustCompile(` ?([(),;=]) ?`)
)

// canonical is SQL without comments and without unnecessary blanks.
func canonical(text string) string {
	text = blank.ReplaceAllString(comment.ReplaceAllString(text, " "), " ")
	text = strings.NewReplacer(`"`, "", "IF NOT EXISTS ", "", "if not exists ", "").Replace(text)
	return strings.TrimSpace(tight.ReplaceAllString(text, "$1"))
}

// describePostgres lists the parts of a table, as the server writes them.
func describePostgres(t testing.TB, d storetest.Database, table string) (all []string) {
	t.Helper()
	add := func(kind, query string) {
		for _, row := range d.Rows(t, query, table) {
			all = append(all, kind+" "+row)
		}
	}
	add("column", `SELECT attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid), attidentity, attgenerated, attcollation
		FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
		WHERE attrelid = to_regclass($1::text) AND attnum > 0 AND NOT attisdropped ORDER BY attnum`)
	// Names of constraints differ after the node rebuilt a table. Neither the node nor decayctl uses them.
	add("constraint", `SELECT contype, pg_get_constraintdef(oid) FROM pg_constraint
		WHERE conrelid = to_regclass($1::text) ORDER BY contype, pg_get_constraintdef(oid) COLLATE "C"`)
	add("index", `SELECT CASE WHEN indexname LIKE 'idx%' THEN indexname END, regexp_replace(indexdef, ' INDEX \S+ ON ', ' ON ')
		FROM pg_indexes WHERE schemaname = 'public' AND tablename = $1 ORDER BY indexdef COLLATE "C"`)
	add("trigger", "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = to_regclass($1::text) AND NOT tgisinternal ORDER BY tgname")
	add("rule", "SELECT relrowsecurity, relkind, relpersistence FROM pg_class WHERE oid = to_regclass($1::text)")
	return all
}
