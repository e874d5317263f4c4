-- What makes a database on one server look like the coordinator of a Citus cluster to decayctl, which then runs the
-- statements that it runs there. {schema} is that of the fact store. The server checks that they are right, and not that
-- Citus accepts them.
SET allow_system_table_mods = on;
CREATE TABLE pg_catalog.pg_dist_local_group AS SELECT 0 AS groupid;
CREATE TABLE pg_catalog.pg_dist_schema (schemaid oid, colocationid integer);
CREATE TABLE pg_catalog.pg_dist_node AS SELECT true AS isactive, true AS shouldhaveshards;
CREATE FUNCTION pg_catalog.column_to_column_name(regclass, text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $2';
-- A test moves a table by changing its row.
CREATE TABLE pg_catalog.placed AS SELECT * FROM (VALUES
	('facts', 'h', 's', 'id', 1), ('fact_validity_overrides', 'h', 's', 'fact_id', 1), ('fact_retractions', 'h', 's', 'fact_id', 1),
	('fact_quarantine_status', 'h', 's', 'fact_id', 1), ('fact_embedding_status', 'h', 's', 'fact_id', 1), ('vec_facts', 'h', 's', 'fact_id', 1),
	('entity_edges', 'h', 's', 'id', 1), ('memory_cards', 'h', 's', 'entity_uri', 2),
	('tombstones', 'n', 't', NULL, 3), ('tombstone_revocations', 'n', 't', NULL, 3)) AS t(name, method, model, partkey, colocationid);
CREATE VIEW pg_catalog.pg_dist_partition AS
	SELECT c.oid AS logicalrelid, t.method::"char" AS partmethod, t.partkey, t.colocationid, t.model::"char" AS repmodel
	FROM pg_catalog.placed t
	JOIN pg_catalog.pg_class c ON c.relname = t.name AND c.relkind = 'r' AND c.relnamespace = '{schema}'::regnamespace;
CREATE FUNCTION pg_catalog.get_shard_id_for_distribution_column(regclass, text) RETURNS bigint LANGUAGE sql IMMUTABLE AS
	'SELECT 102008 + abs(pg_catalog.hashtext($2)::bigint) % 4';
CREATE FUNCTION pg_catalog.citus_backend_gpid() RETURNS bigint LANGUAGE sql AS 'SELECT pg_catalog.pg_backend_pid()';
CREATE FUNCTION pg_catalog.citus_nodeid_for_gpid(bigint) RETURNS integer LANGUAGE sql AS 'SELECT 0';
CREATE FUNCTION pg_catalog.citus_calculate_gpid(integer, integer) RETURNS bigint LANGUAGE sql AS 'SELECT $2::bigint';
CREATE VIEW pg_catalog.citus_lock_waits AS
	SELECT l.pid::bigint AS waiting_gpid, b::bigint AS blocking_gpid FROM pg_catalog.pg_locks l CROSS JOIN LATERAL unnest(pg_catalog.pg_blocking_pids(l.pid)) b WHERE NOT l.granted;
CREATE TABLE pg_catalog.in_doubt (gid text); -- a test prepares a transaction by adding a row
CREATE FUNCTION pg_catalog.run_command_on_all_nodes(text) RETURNS TABLE (success boolean, result text) LANGUAGE sql AS
	$$ SELECT true, CASE WHEN $1 LIKE '%prepared%' THEN (SELECT coalesce(string_agg(gid, ' '), '') FROM pg_catalog.in_doubt)
		ELSE (SELECT coalesce(sum(greatest(reltuples, pg_relation_size(oid) / 400)), 0)::text
			FROM pg_catalog.pg_class JOIN pg_catalog.pg_dist_partition ON logicalrelid = oid WHERE oid = '{schema}.facts'::regclass) END $$;
GRANT SELECT ON pg_catalog.pg_dist_partition, pg_catalog.pg_dist_schema, pg_catalog.in_doubt, pg_catalog.pg_dist_local_group, pg_catalog.pg_dist_node, pg_catalog.citus_lock_waits TO PUBLIC;
RESET allow_system_table_mods;
