-- The set-based script of a careful operator, for psql. First, which facts are stale. Written so that
-- the planner reads each table once, in parallel: ILIKE and a look-up for each quarantined fact take
-- five times as long.
SELECT f.id AS id, f.entity AS entity, f.tenant_id AS tenant_id, f.scope AS scope,
       coalesce(o.confidence, f.confidence) > 0 AND coalesce(o.confidence, f.confidence) < $floor::real AS weak
FROM facts f
LEFT JOIN fact_validity_overrides o ON o.fact_id = f.id
LEFT JOIN fact_quarantine_status q ON q.fact_id = f.id
WHERE (f.timestamp <= $cutoff AND coalesce(o.valid_until, f.valid_until) IS NULL
    OR coalesce(o.confidence, f.confidence) > 0 AND coalesce(o.confidence, f.confidence) < $floor::real
       AND (coalesce(o.valid_until, f.valid_until) IS NULL OR coalesce(o.valid_until, f.valid_until) > $as_of))
  AND NOT (lower(left(f.entity, 8)) = 'stigmem:' AND left(f.entity, 10) NOT LIKE '%//')
  AND NOT (lower(left(f.relation, 8)) = 'stigmem:' AND left(f.relation, 10) NOT LIKE '%//')
  AND f.relation NOT LIKE 'rel:%'
  AND NOT EXISTS (
        SELECT 1 FROM tombstones t
        WHERE t.entity_uri = f.entity AND t.tenant_id = f.tenant_id AND t.legal_hold <> 0
          AND (t.scope = f.scope OR t.scope NOT IN ('local', 'team', 'company', 'public'))
          AND NOT EXISTS (SELECT 1 FROM tombstone_revocations r WHERE r.tombstone_id = t.id AND r.signed_by = t.signed_by))
  AND coalesce(q.quarantine_status, f.quarantine_status) IS DISTINCT FROM 'pending'
;
BEGIN;
SELECT extract(epoch FROM clock_timestamp());
CREATE TEMP TABLE stale ON COMMIT DROP AS $stale;
ANALYZE stale;
SELECT count(*) FROM stale;

INSERT INTO fact_validity_overrides (fact_id, valid_until, confidence, reason, updated_at, updated_by)
SELECT id, $as_of, NULL, $reason, $stamp, $actor FROM stale
ON CONFLICT (fact_id) DO UPDATE SET valid_until = excluded.valid_until, reason = excluded.reason,
    updated_at = excluded.updated_at, updated_by = excluded.updated_by;

INSERT INTO fact_retractions (id, fact_id, retracted_at, retracted_by)
SELECT 'retract_' || gen_random_uuid(), id, $as_of, $actor FROM stale WHERE weak;

UPDATE entity_edges e SET valid_until = $as_of, decay_epoch = $as_of_ms FROM stale s WHERE e.id = s.id;

UPDATE memory_cards c SET is_stale = 1
WHERE c.is_stale = 0 AND EXISTS (
    SELECT 1 FROM stale s WHERE (s.entity, s.tenant_id, s.scope) = (c.entity_uri, c.tenant_id, c.scope));

COMMIT;
SELECT extract(epoch FROM clock_timestamp());
