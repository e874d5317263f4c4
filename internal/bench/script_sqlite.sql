-- The set-based script of a careful operator, for sqlite3. First, which facts are stale. They are
-- written in the order of their ids: in another, each goes to another page of the index on overrides,
-- which takes twice as long.
SELECT f.id AS id, f.entity AS entity, f.tenant_id AS tenant_id, f.scope AS scope,
       coalesce(o.confidence, f.confidence) > 0 AND coalesce(o.confidence, f.confidence) < $floor AS weak
FROM facts f
LEFT JOIN fact_validity_overrides o ON o.fact_id = f.id
WHERE (f.timestamp <= $cutoff AND coalesce(o.valid_until, f.valid_until) IS NULL
    OR coalesce(o.confidence, f.confidence) > 0 AND coalesce(o.confidence, f.confidence) < $floor
       AND (coalesce(o.valid_until, f.valid_until) IS NULL OR coalesce(o.valid_until, f.valid_until) > $as_of))
  AND NOT (f.entity LIKE 'stigmem:%' AND f.entity NOT LIKE 'stigmem://%')
  AND NOT (f.relation LIKE 'stigmem:%' AND f.relation NOT LIKE 'stigmem://%')
  AND f.relation NOT LIKE 'rel:%'
  AND NOT EXISTS (
        SELECT 1 FROM tombstones t
        WHERE t.entity_uri = f.entity AND t.tenant_id = f.tenant_id AND t.legal_hold <> 0
          AND (t.scope = f.scope OR t.scope NOT IN ('local', 'team', 'company', 'public'))
          AND NOT EXISTS (SELECT 1 FROM tombstone_revocations r WHERE r.tombstone_id = t.id AND r.signed_by = t.signed_by))
  AND coalesce((SELECT q.quarantine_status FROM fact_quarantine_status q WHERE q.fact_id = f.id),
               f.quarantine_status) IS NOT 'pending'
;
.timeout 5000
PRAGMA foreign_keys = ON;
PRAGMA cache_size = -65536; -- as decayctl has it
BEGIN IMMEDIATE;
SELECT printf('%.3f', (julianday('now') - 2440587.5) * 86400);
CREATE TEMP TABLE stale AS $stale ORDER BY 1;
SELECT count(*) FROM stale;

INSERT INTO fact_validity_overrides (fact_id, valid_until, confidence, reason, updated_at, updated_by)
SELECT id, $as_of, NULL, $reason, $stamp, $actor FROM stale WHERE true
ON CONFLICT (fact_id) DO UPDATE SET valid_until = excluded.valid_until, reason = excluded.reason,
    updated_at = excluded.updated_at, updated_by = excluded.updated_by;

INSERT INTO fact_retractions (id, fact_id, retracted_at, retracted_by)
SELECT 'retract_' || lower(hex(randomblob(16))), id, $as_of, $actor FROM stale WHERE weak;

UPDATE entity_edges SET valid_until = $as_of, decay_epoch = $as_of_ms WHERE id IN (SELECT id FROM stale);

UPDATE memory_cards SET is_stale = 1
WHERE is_stale = 0 AND (entity_uri, tenant_id, scope) IN (SELECT entity, tenant_id, scope FROM stale);

COMMIT;
SELECT printf('%.3f', (julianday('now') - 2440587.5) * 86400);
