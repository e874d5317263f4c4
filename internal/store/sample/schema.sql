-- The part of a Stigmem node's fact store that a sweep reads or writes, with the tables around it, as the node's
-- migrations up to 038 (0.9.0a2 to 0.9.0a10) leave it. newest.sql has what later migrations add. {serial} and {bigint}
-- are types that differ between databases. sqlite.sql has what only SQLite has. Names have no schema: on PostgreSQL
-- search_path decides.

CREATE TABLE schema_migrations (
    id         {serial},
    version    TEXT NOT NULL UNIQUE,
    applied_at TEXT NOT NULL
);

INSERT INTO schema_migrations (version, applied_at) VALUES
    ('019_recall_audit', '2026-05-26T09:00:00+00:00'),
    ('024_fact_retractions', '2026-05-26T09:00:00+00:00'),
    ('025_peers_created_at', '2026-05-26T09:00:00+00:00'),
    ('025_rtbf_tombstones_retractions', '2026-05-26T09:00:00+00:00'),
    ('027_revocation_key_id', '2026-05-26T09:00:00+00:00'),
    ('033_immutability_l1_projections', '2026-05-26T09:00:00+00:00'),
    ('038_peer_approval_flow', '2026-05-26T09:00:00+00:00');

CREATE TABLE node_meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE gardens (
    id          TEXT PRIMARY KEY,
    slug        TEXT NOT NULL,
    name        TEXT NOT NULL,
    scope       TEXT NOT NULL CHECK (scope IN ('local', 'team', 'company', 'public')),
    description TEXT,
    created_by  TEXT NOT NULL,
    created_at  TEXT NOT NULL,
    tenant_id   TEXT NOT NULL DEFAULT 'default',
    quarantine  INTEGER NOT NULL DEFAULT 0,
    UNIQUE (slug, tenant_id)
);
CREATE INDEX idx_gardens_slug ON gardens (slug);
CREATE INDEX idx_gardens_tenant ON gardens (tenant_id);

CREATE TABLE facts (
    id                        TEXT PRIMARY KEY,
    entity                    TEXT NOT NULL,
    relation                  TEXT NOT NULL,
    value_type                TEXT NOT NULL
        CHECK (value_type IN ('string', 'text', 'number', 'boolean', 'datetime', 'ref', 'null')),
    value_v                   TEXT NOT NULL,
    source                    TEXT NOT NULL,
    timestamp                 TEXT NOT NULL,
    valid_until               TEXT,
    confidence                REAL NOT NULL CHECK (confidence >= 0.0 AND confidence <= 1.0),
    scope                     TEXT NOT NULL CHECK (scope IN ('local', 'team', 'company', 'public')),
    hlc                       TEXT,
    received_from             TEXT,
    attested_key_id           TEXT,
    origin_node_id            TEXT,
    origin_allowed_scopes     TEXT,
    re_federation_blocked     INTEGER NOT NULL DEFAULT 0,
    garden_id                 TEXT,
    attested                  INTEGER,
    tenant_id                 TEXT NOT NULL DEFAULT 'default',
    quarantine_status         TEXT,
    quarantine_garden_id      TEXT REFERENCES gardens (id),
    quarantine_acted_by       TEXT,
    quarantine_acted_at       TEXT,
    quarantine_reason         TEXT,
    derived_from              TEXT,
    attestation_chain         TEXT,
    attestation_chain_issuers TEXT,
    source_trust              REAL,
    embedding_missing         INTEGER,
    cid                       TEXT,
    interpret_as              TEXT NOT NULL DEFAULT 'content'
        CHECK (interpret_as IN ('content', 'instruction'))
);
CREATE INDEX idx_entity_relation ON facts (entity, relation);
CREATE INDEX idx_entity_relation_scope ON facts (entity, relation, scope);
CREATE INDEX idx_facts_cid ON facts (cid) WHERE cid IS NOT NULL;
CREATE INDEX idx_facts_embedding_missing ON facts (embedding_missing) WHERE embedding_missing = 1;
CREATE INDEX idx_facts_garden ON facts (garden_id) WHERE garden_id IS NOT NULL;
CREATE INDEX idx_facts_interpret_as ON facts (interpret_as);
CREATE INDEX idx_facts_quarantine_garden ON facts (quarantine_garden_id) WHERE quarantine_garden_id IS NOT NULL;
CREATE INDEX idx_facts_quarantine_status ON facts (quarantine_status) WHERE quarantine_status IS NOT NULL;
CREATE INDEX idx_facts_re_federation ON facts (re_federation_blocked, scope);
CREATE INDEX idx_facts_source_trust ON facts (source_trust) WHERE source_trust IS NOT NULL;
CREATE INDEX idx_facts_tenant ON facts (tenant_id);
CREATE INDEX idx_hlc ON facts (hlc) WHERE hlc IS NOT NULL;
CREATE INDEX idx_received_from ON facts (received_from) WHERE received_from IS NOT NULL;
CREATE INDEX idx_scope ON facts (scope);
CREATE INDEX idx_timestamp ON facts (timestamp);
CREATE INDEX idx_valid_until ON facts (valid_until) WHERE valid_until IS NOT NULL;

CREATE TABLE fact_validity_overrides (
    fact_id     TEXT PRIMARY KEY REFERENCES facts (id) ON DELETE CASCADE,
    valid_until TEXT,
    confidence  REAL CHECK (confidence IS NULL OR (confidence >= 0.0 AND confidence <= 1.0)),
    reason      TEXT,
    updated_at  TEXT NOT NULL,
    updated_by  TEXT
);

CREATE TABLE fact_retractions (
    id           TEXT PRIMARY KEY,
    fact_id      TEXT NOT NULL REFERENCES facts (id),
    retracted_at TEXT NOT NULL,
    retracted_by TEXT NOT NULL
);
CREATE INDEX idx_fact_retractions_fact_id ON fact_retractions (fact_id);
CREATE INDEX idx_fact_retractions_fact_ts ON fact_retractions (fact_id, retracted_at);
CREATE INDEX idx_fact_retractions_retracted_at ON fact_retractions (retracted_at);

CREATE TABLE entity_edges (
    id            TEXT PRIMARY KEY,
    subject       TEXT NOT NULL,
    relation      TEXT NOT NULL,
    object        TEXT NOT NULL,
    scope         TEXT NOT NULL,
    garden_id     TEXT REFERENCES gardens (id),
    tenant_id     TEXT NOT NULL DEFAULT 'default',
    received_from TEXT,
    valid_until   TEXT,
    confidence    REAL NOT NULL,
    source_trust  REAL,
    decay_epoch   {bigint},
    created_at    {bigint} NOT NULL
);
CREATE INDEX idx_edges_object ON entity_edges (object, scope, confidence);
CREATE INDEX idx_edges_subject ON entity_edges (subject, scope, confidence);
CREATE INDEX idx_edges_subject_rel ON entity_edges (subject, relation, scope);
CREATE INDEX idx_edges_tenant ON entity_edges (tenant_id, scope);

CREATE TABLE jobs (
    id           TEXT PRIMARY KEY,
    job_type     TEXT NOT NULL CHECK (job_type IN ('lint', 'decay')),
    status       TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'running', 'done', 'failed')),
    scope        TEXT,
    estimated_s  INTEGER NOT NULL DEFAULT 0,
    created_at   TEXT NOT NULL,
    started_at   TEXT,
    completed_at TEXT,
    result_json  TEXT,
    error        TEXT
);
CREATE INDEX idx_jobs_type_status ON jobs (job_type, status);

CREATE TABLE fact_journal (
    id         TEXT PRIMARY KEY,
    fact_id    TEXT NOT NULL REFERENCES facts (id) ON DELETE CASCADE,
    event_type TEXT NOT NULL,
    event_ts   TEXT NOT NULL,
    tenant_id  TEXT NOT NULL DEFAULT 'default',
    actor_uri  TEXT,
    source     TEXT,
    scope      TEXT,
    cid        TEXT,
    body_json  TEXT NOT NULL
);
CREATE INDEX idx_fact_journal_fact_id ON fact_journal (fact_id);
CREATE INDEX idx_fact_journal_tenant_ts ON fact_journal (tenant_id, event_ts);

CREATE TABLE fact_quarantine_status (
    fact_id              TEXT PRIMARY KEY REFERENCES facts (id) ON DELETE CASCADE,
    quarantine_garden_id TEXT,
    quarantine_status    TEXT,
    quarantine_reason    TEXT,
    quarantine_acted_by  TEXT,
    quarantine_acted_at  TEXT,
    updated_at           TEXT NOT NULL
);
CREATE INDEX idx_fact_quarantine_status_state ON fact_quarantine_status (quarantine_status);

CREATE TABLE fact_garden_membership (
    fact_id    TEXT PRIMARY KEY REFERENCES facts (id) ON DELETE CASCADE,
    garden_id  TEXT,
    updated_at TEXT NOT NULL,
    updated_by TEXT
);
CREATE INDEX idx_fact_garden_membership_garden ON fact_garden_membership (garden_id) WHERE garden_id IS NOT NULL;

CREATE TABLE fact_recall_signals (
    fact_id          TEXT PRIMARY KEY REFERENCES facts (id) ON DELETE CASCADE,
    last_recalled_at TEXT,
    recall_count     INTEGER NOT NULL DEFAULT 0 CHECK (recall_count >= 0),
    salience         REAL,
    updated_at       TEXT NOT NULL
);

CREATE TABLE fact_embedding_status (
    fact_id           TEXT PRIMARY KEY REFERENCES facts (id) ON DELETE CASCADE,
    embedding_missing INTEGER NOT NULL CHECK (embedding_missing IN (0, 1)),
    updated_at        TEXT NOT NULL,
    last_error        TEXT,
    updated_by        TEXT
);
CREATE INDEX idx_fact_embedding_status_missing ON fact_embedding_status (embedding_missing) WHERE embedding_missing = 1;

CREATE TABLE conflicts (
    id                 TEXT PRIMARY KEY,
    fact_a_id          TEXT NOT NULL REFERENCES facts (id),
    fact_b_id          TEXT NOT NULL REFERENCES facts (id),
    status             TEXT NOT NULL DEFAULT 'unresolved' CHECK (status IN ('unresolved', 'resolved')),
    resolution_fact_id TEXT,
    detected_at        TEXT NOT NULL
);
CREATE INDEX idx_conflicts_status ON conflicts (status);

CREATE TABLE tombstones (
    id         TEXT PRIMARY KEY,
    entity_uri TEXT NOT NULL,
    scope      TEXT NOT NULL,
    reason     TEXT,
    signed_by  TEXT NOT NULL,
    signature  TEXT NOT NULL,
    created_at TEXT NOT NULL,
    legal_hold INTEGER NOT NULL DEFAULT 0,
    tenant_id  TEXT NOT NULL DEFAULT 'default',
    key_id     TEXT
);
CREATE INDEX idx_tombstones_entity_uri ON tombstones (entity_uri);
CREATE INDEX idx_tombstones_tenant ON tombstones (tenant_id);

CREATE TABLE tombstone_revocations (
    id           TEXT PRIMARY KEY,
    tombstone_id TEXT NOT NULL REFERENCES tombstones (id),
    reason       TEXT NOT NULL,
    signed_by    TEXT NOT NULL,
    signature    TEXT NOT NULL,
    created_at   TEXT NOT NULL,
    key_id       TEXT
);
CREATE INDEX idx_tombrevoke_tombstone_id ON tombstone_revocations (tombstone_id);

CREATE TABLE memory_cards (
    entity_uri         TEXT NOT NULL,
    tenant_id          TEXT NOT NULL DEFAULT 'default',
    scope              TEXT NOT NULL DEFAULT 'local',
    summary            TEXT NOT NULL DEFAULT '',
    fact_hashes        TEXT NOT NULL DEFAULT '[]',
    avg_confidence     REAL NOT NULL DEFAULT 0.0,
    refreshed_at       TEXT,
    is_stale           INTEGER NOT NULL DEFAULT 1,
    has_contradictions INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (entity_uri, tenant_id, scope)
);
CREATE INDEX idx_memory_cards_entity ON memory_cards (entity_uri, tenant_id);
CREATE INDEX idx_memory_cards_stale ON memory_cards (is_stale, tenant_id, scope);
