package postgres_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"decayctl/internal/fact"
	"decayctl/internal/job"
	"decayctl/internal/rule"
	"decayctl/internal/store"
	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/postgres"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

// decision is what becomes of some settings that a role or a database may carry, and of an odd value of each.
// Of values parted by | the first is tried that the server takes. "" stays as it is.
type decision struct {
	why string
	odd map[string]string
}

var decisions = map[string]decision{
	"pinned": {"every transaction begins with another value", map[string]string{
		"DateStyle": "SQL, DMY", "array_nulls": "off", "client_encoding": "LATIN1", "default_table_access_method": "strange_heap",
		"exit_on_error": "on", "extra_float_digits": "-5", "gin_fuzzy_search_limit": "1", "idle_in_transaction_session_timeout": "5min",
		"jit": "on", "lock_timeout": "30s", "quote_all_identifiers": "on", "row_security": "on", "search_path": "strange, pg_catalog, public", "standard_conforming_strings": "off",
		"statement_timeout": "1min", "synchronous_commit": "off", "tcp_user_timeout": "1000", "transform_null_equals": "on",
	}},
	"refused": {"it changes results, and only a superuser may change it back", map[string]string{
		"default_transaction_read_only": "on", "ignore_checksum_failure": "on", "session_replication_role": "replica", "zero_damaged_pages": "on",
	}},
	"explicit": {"BEGIN says it", map[string]string{
		"default_transaction_deferrable": "on", "default_transaction_isolation": "serializable",
		"transaction_deferrable": "", "transaction_isolation": "", "transaction_read_only": "on",
	}},
	"speed": {"it changes how long a statement takes, or how it is planned, and no result", map[string]string{
		"backend_flush_after": "256", "commit_delay": "10", "commit_siblings": "0", "constraint_exclusion": "on", "cpu_index_tuple_cost": "1",
		"cpu_operator_cost": "1", "cpu_tuple_cost": "1", "cursor_tuple_fraction": "1", "deadlock_timeout": "100ms", "debug_discard_caches": "0",
		"debug_parallel_query": "regress", "default_statistics_target": "1", "effective_cache_size": "8kB", "effective_io_concurrency": "0",
		"enable_async_append": "off", "enable_bitmapscan": "off", "enable_distinct_reordering": "off", "enable_gathermerge": "off",
		"enable_group_by_reordering": "off", "enable_hashagg": "off", "enable_hashjoin": "off", "enable_incremental_sort": "off",
		"enable_indexonlyscan": "off", "enable_indexscan": "off", "enable_material": "off", "enable_memoize": "off", "enable_mergejoin": "off",
		"enable_nestloop": "off", "enable_parallel_append": "off", "enable_parallel_hash": "off", "enable_partition_pruning": "off",
		"enable_partitionwise_aggregate": "on", "enable_partitionwise_join": "on", "enable_presorted_aggregate": "off",
		"enable_self_join_elimination": "off", "enable_seqscan": "off", "enable_sort": "off", "enable_tidscan": "off", "file_copy_method": "clone|copy",
		"force_parallel_mode": "regress", "from_collapse_limit": "1", "geqo": "on", "geqo_effort": "1", "geqo_generations": "1", "geqo_pool_size": "2",
		"geqo_seed": "0.5", "geqo_selection_bias": "1.5", "geqo_threshold": "2", "gin_pending_list_limit": "64kB", "hash_mem_multiplier": "1",
		"io_combine_limit": "1", "jit_above_cost": "0", "jit_expressions": "off", "jit_inline_above_cost": "0", "jit_optimize_above_cost": "0",
		"jit_tuple_deforming": "off", "join_collapse_limit": "1", "logical_decoding_work_mem": "64kB", "maintenance_io_concurrency": "0",
		"maintenance_work_mem": "1MB", "max_parallel_maintenance_workers": "0", "max_parallel_workers": "0", "max_parallel_workers_per_gather": "4",
		"min_parallel_index_scan_size": "0", "min_parallel_table_scan_size": "0", "parallel_leader_participation": "off", "parallel_setup_cost": "0",
		"parallel_tuple_cost": "0", "plan_cache_mode": "force_generic_plan", "random_page_cost": "0.1", "recursive_worktable_factor": "0.001",
		"seq_page_cost": "1000", "stats_fetch_consistency": "none", "synchronize_seqscans": "on", "temp_buffers": "800kB", "wal_compression": "on",
		"wal_init_zero": "off", "wal_recycle": "off", "wal_skip_threshold": "0", "work_mem": "64kB",
		"allow_alter_system": "", "vacuum_buffer_usage_limit": "128kB", "vacuum_cost_delay": "1ms", "vacuum_cost_limit": "1", "vacuum_cost_page_dirty": "0",
		"vacuum_cost_page_hit": "0", "vacuum_cost_page_miss": "0", "vacuum_failsafe_age": "0", "vacuum_freeze_min_age": "0",
		"vacuum_freeze_table_age": "0", "vacuum_max_eager_freeze_failure_rate": "0", "vacuum_multixact_failsafe_age": "0",
		"vacuum_multixact_freeze_min_age": "0", "vacuum_multixact_freeze_table_age": "0", "vacuum_truncate": "off",
	}},
	"log": {"it changes what the server logs or counts", map[string]string{
		"backtrace_functions": "x", "client_min_messages": "error", "compute_query_id": "on", "debug_pretty_print": "off", "debug_print_parse": "on",
		"debug_print_plan": "on", "debug_print_rewritten": "on", "jit_dump_bitcode": "", "lc_messages": "C", "log_duration": "on",
		"log_error_verbosity": "verbose", "log_executor_stats": "on", "log_lock_failures": "on", "log_lock_waits": "on", "log_min_duration_sample": "0",
		"log_min_duration_statement": "0", "log_min_error_statement": "panic", "log_min_messages": "panic", "log_parameter_max_length": "0",
		"log_parameter_max_length_on_error": "0", "log_parser_stats": "", "log_planner_stats": "", "log_replication_commands": "on",
		"log_statement": "all", "log_statement_sample_rate": "0", "log_statement_stats": "", "log_temp_files": "0", "log_transaction_sample_rate": "1",
		"trace_notify": "on", "trace_sort": "on", "track_activities": "off", "track_cost_delay_timing": "on", "track_counts": "off", "track_functions": "all",
		"track_io_timing": "on", "track_wal_io_timing": "on", "update_process_title": "off", "wal_consistency_checking": "",
	}},
	"no use": {"no statement of decayctl has what it is about", map[string]string{
		"IntervalStyle": "sql_standard", "TimeZone": "Pacific/Kiritimati", "allow_in_place_tablespaces": "on", "allow_system_table_mods": "on",
		"application_name": "odd", "backslash_quote": "off", "bytea_output": "escape", "check_function_bodies": "off", "composite_type_mismatch": "warn", "createrole_self_grant": "set",
		"default_text_search_config": "pg_catalog.german|pg_catalog.simple", "default_toast_compression": "lz4|pglz", "debug_logical_replication_streaming": "immediate", "default_tablespace": "pg_default",
		"escape_string_warning": "off", "event_triggers": "off", "extension_control_path": "", "icu_validation_level": "error", "lc_monetary": "C", "lc_numeric": "C",
		"lc_time": "C", "lo_compat_privileges": "on", "md5_password_warnings": "off", "operator_precedence_warning": "on", "output_plugin_libraries": "pgoutput", "password_encryption": "md5",
		"scram_iterations": "1", "temp_tablespaces": "pg_default", "timezone_abbreviations": "Australia",
		"vacuum_cleanup_index_scale_factor": "0", "wal_sender_shutdown_timeout": "", "wal_sender_timeout": "1s", "xmlbinary": "hex", "xmloption": "document",
	}},
	"libraries": {"it loads what an administrator installed", map[string]string{
		"dynamic_library_path": "", "extension_destdir": "", "local_preload_libraries": "", "session_preload_libraries": "",
	}},
	"loud": {"what goes too far ends with an error, or with the connection", map[string]string{
		"client_connection_check_interval": "1s", "idle_session_timeout": "", "max_stack_depth": "100kB", "restrict_nonsystem_relation_kind": "view, foreign-table",
		"tcp_keepalives_count": "1", "tcp_keepalives_idle": "1", "tcp_keepalives_interval": "1", "temp_file_limit": "100MB",
		"transaction_timeout": "",
	}},
}

// carried is a role that carries settings.
type carried struct {
	db   *pgtest.Database
	d    storetest.Database
	role pgtest.Role
}

func newCarried(t *testing.T, db *pgtest.Database) carried {
	t.Helper()
	c := carried{db: db, role: db.NewRole(t, "ALL ON ALL TABLES IN SCHEMA "+db.Schema, "USAGE, CREATE ON SCHEMA "+db.Schema)}
	c.d = database(t, db, c.role.URL)
	// Operators that take all for unlike, and an access method, for roles that put them first.
	for _, statement := range []string{
		"ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO " + c.role.Name,
		"CREATE SCHEMA strange", "GRANT USAGE ON SCHEMA strange TO PUBLIC",
		"CREATE FUNCTION strange.unlike(text, text) RETURNS bool LANGUAGE sql AS 'SELECT false'",
		"CREATE OPERATOR strange.= (LEFTARG = text, RIGHTARG = text, FUNCTION = strange.unlike)",
		"CREATE FUNCTION strange.unlike(integer, integer) RETURNS bool LANGUAGE sql AS 'SELECT false'",
		"CREATE OPERATOR strange.= (LEFTARG = integer, RIGHTARG = integer, FUNCTION = strange.unlike)",
		"CREATE ACCESS METHOD strange_heap TYPE TABLE HANDLER heap_tableam_handler",
	} {
		c.d.Exec(t, statement)
	}
	return c
}

// carry gives the role an odd value of a setting, and tells whether there is one here.
func (c carried) carry(t *testing.T, name, odd string) bool {
	t.Helper()
	if odd == "" || c.d.Rows(t, "SELECT count(*) FROM pg_settings WHERE name = $1", name)[0] == "0" {
		return false
	}
	for value := range strings.SplitSeq(odd, "|") {
		if name != "search_path" {
			value = "'" + value + "'"
		}
		if _, err := c.d.Query("ALTER ROLE " + c.role.Name + " SET " + pgx.Identifier{name}.Sanitize() + " = " + value); err == nil {
			return true
		}
	}
	t.Errorf("the server takes no odd value of %s", name)
	return false
}

// carryAll gives the role an odd value of each setting of some decisions.
func (c carried) carryAll(t *testing.T, whys ...string) {
	t.Helper()
	for _, why := range whys {
		for name, odd := range decisions[why].odd {
			c.carry(t, name, odd)
		}
	}
}

// TestSettingsDecided: there is a decision for every setting that a role may set on this server.
func TestSettingsDecided(t *testing.T) {
	t.Parallel()
	db := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{})
	all := map[string]bool{}
	for _, d := range decisions {
		for name := range d.odd {
			if all[name] {
				t.Errorf("two decisions for %s", name)
			}
			all[name] = true
		}
	}
	for _, name := range database(t, db, db.URL).Rows(t, "SELECT name FROM pg_settings WHERE context IN ('user', 'superuser') AND name NOT LIKE '%.%'") {
		if !all[name] {
			t.Errorf("%s: no decision whether it can change what a statement means; see pinned in settings.go", name)
		}
	}
}

// TestOddSettingChangesNothing: with an odd value of any one setting, a sweep and its undo do the same as without, or
// are refused before they begin. Settings for speed and logs are many, and are tested together.
func TestOddSettingChangesNothing(t *testing.T) {
	t.Parallel()
	c := newCarried(t, pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{}))
	for i := range 12 {
		c.d.Insert(t, storetest.Fact(fmt.Sprintf("%02d", i), func(f *fact.Candidate) {
			f.Entity, f.LegalHold, f.QuarantinePending = fmt.Sprint("e", i), i == 3, i == 5
			if i%2 == 0 {
				f.Override = &fact.Override{UpdatedAt: "x", Confidence: new(float64)}
				*f.Override.Confidence = 0.7
			}
			if i > 8 {
				f.Relation = "status:mode"
			}
		}))
	}
	noteSettings(t, c.d)
	before := c.d.Touched(t)
	var want [][]string
	day := rule.TTL(86400)
	rules := rule.Set{Floor: &floor, Policies: []rule.Policy{{ID: "newest", Relation: "status:*", Mode: rule.ModeExpire, TTL: &day, KeepLast: 1}}}
	core := func(why, name string) {
		s, err := postgres.Open(t.Context(), c.role.URL, "public", store.OpenParams{LockTimeout: time.Minute, Now: time.Now})
		if why == "refused" {
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: %v", name, err)
			}
			return
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		defer func() { _ = s.Close() }()
		j, err := storetest.Sweep(t.Context(), storetest.Engine(s), store.StartParams{Rules: rules, AsOf: asOf}, sweep.Work{})
		swept := c.d.Touched(t)
		if want == nil {
			want = swept
		}
		if diff := cmp.Diff(want, swept); err != nil || j.State != job.Done || diff != "" {
			t.Errorf("%s: %s, %v\n%s", name, j.State, err, diff)
			return
		}
		joined, err := s.Join(t.Context(), store.JoinParams{ID: j.ID, Undo: true, Worker: storetest.Worker("mars", 1)})
		if err == nil {
			j, err = storetest.Engine(s).Undo(t.Context(), joined, sweep.Work{})
		}
		if diff := cmp.Diff(before, c.d.Touched(t)); err != nil || j.State != job.Undone || diff != "" {
			t.Errorf("%s: %s, %v\n%s", name, j.State, err, diff)
		}
	}
	core("as the server has it", "nothing")
	for why, each := range decisions {
		if why == "speed" || why == "log" {
			c.carryAll(t, why)
			core(why, why)
			c.d.Exec(t, "ALTER ROLE "+c.role.Name+" RESET ALL")
			continue
		}
		for name, odd := range each.odd {
			c.d.Exec(t, "TRUNCATE given")
			if c.carry(t, name, odd) {
				core(why, name)
			}
			c.d.Exec(t, "ALTER ROLE "+c.role.Name+" RESET ALL")
			if given := c.d.Rows(t, "SELECT DISTINCT value FROM given WHERE name = $1", name); why == "pinned" && (len(given) == 0 || slices.Contains(given, odd)) {
				t.Errorf("%s: the transactions had %q", name, given)
			}
		}
	}
}

// noteSettings has a trigger note in a table what decayctl's transactions have been given.
func noteSettings(t *testing.T, d storetest.Database) {
	t.Helper()
	d.Exec(t, "CREATE TABLE given (name text, value text)")
	d.Exec(t, `CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
		INSERT INTO public.given SELECT name, setting FROM pg_catalog.pg_settings; RETURN NULL; END $$`)
	d.Exec(t, "CREATE TRIGGER note AFTER INSERT ON fact_validity_overrides FOR EACH STATEMENT EXECUTE FUNCTION note()")
}

// TestSilentWriterIsEndedBeforeOthersGiveUp: the server ends a session that writes and says nothing more within half of the
// time for which other processes wait for its locks. The address may say otherwise.
func TestSilentWriterIsEndedBeforeOthersGiveUp(t *testing.T) {
	t.Parallel()
	db := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{})
	d := database(t, db, db.URL)
	noteSettings(t, d)
	for i, test := range []struct {
		wait time.Duration
		more string
		want string
	}{
		{30 * time.Second, "", "15000"},
		{time.Hour, "", "60000"},
		{time.Second, "", "1000"}, // not less: this process claims the next range while it writes, and may wait for itself
		{time.Second, "&options=-c%20idle_in_transaction_session_timeout%3D777%20-c%20tcp_user_timeout%3D777", "777"},
	} {
		d.Exec(t, "TRUNCATE given")
		d.Insert(t, storetest.Fact(fmt.Sprint("fact ", i)))
		s, err := postgres.Open(t.Context(), db.URL+test.more, "public", store.OpenParams{LockTimeout: test.wait, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := storetest.Sweep(t.Context(), storetest.Engine(s), store.StartParams{Rules: rule.Set{Floor: &floor}}, sweep.Work{}); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"idle_in_transaction_session_timeout", "tcp_user_timeout"} {
			if got := d.Rows(t, "SELECT DISTINCT value FROM given WHERE name = $1", name); !slices.Equal(got, []string{test.want}) {
				t.Errorf("%s is %v with a lock timeout of %s%s; want %s", name, got, test.wait, test.more, test.want)
			}
		}
	}
}
