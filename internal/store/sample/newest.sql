-- What the node's migrations 039 to 058 (0.9.0a12) add to those tables, on SQLite and on PostgreSQL.
-- Column by column, as the node does it, so that the columns lie in the node's order.

ALTER TABLE gardens ADD COLUMN federatable INTEGER NOT NULL DEFAULT 0;

ALTER TABLE facts ADD COLUMN origin_tenant TEXT;
ALTER TABLE facts ADD COLUMN origin_allowed_tenants TEXT;
ALTER TABLE facts ADD COLUMN origin_sig TEXT;
ALTER TABLE facts ADD COLUMN origin_entity_uri TEXT;

ALTER TABLE tombstones ADD COLUMN received_from TEXT;
ALTER TABLE tombstones ADD COLUMN origin_node_id TEXT;
ALTER TABLE tombstones ADD COLUMN origin_tenant TEXT;
ALTER TABLE tombstones ADD COLUMN origin_entity_uri TEXT;
ALTER TABLE tombstones ADD COLUMN origin_allowed_scopes TEXT;
ALTER TABLE tombstones ADD COLUMN origin_allowed_tenants TEXT;
ALTER TABLE tombstones ADD COLUMN origin_sig TEXT;

ALTER TABLE tombstone_revocations ADD COLUMN received_from TEXT;
ALTER TABLE tombstone_revocations ADD COLUMN origin_node_id TEXT;
ALTER TABLE tombstone_revocations ADD COLUMN origin_tenant TEXT;
ALTER TABLE tombstone_revocations ADD COLUMN origin_entity_uri TEXT;
ALTER TABLE tombstone_revocations ADD COLUMN origin_allowed_scopes TEXT;
ALTER TABLE tombstone_revocations ADD COLUMN origin_allowed_tenants TEXT;
ALTER TABLE tombstone_revocations ADD COLUMN origin_sig TEXT;

ALTER TABLE jobs ADD COLUMN tenant_id TEXT NOT NULL DEFAULT 'default';
CREATE INDEX idx_jobs_tenant_id ON jobs (tenant_id);

INSERT INTO schema_migrations (version, applied_at) VALUES
    ('051_jobs_tenant_id', '2026-11-02T09:00:00+00:00'),
    ('058_federation_audit_first_trust_confirm_rejected', '2026-11-02T09:00:00+00:00');
