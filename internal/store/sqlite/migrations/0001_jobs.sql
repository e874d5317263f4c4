-- What decayctl remembers of its sweeps, beside the node's own jobs table.

-- One row, whatever the number of jobs. Sweeps start under its lock.
CREATE TABLE decayctl_store (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    last_stamp    TEXT, -- updated_at of the newest job's overrides; no two jobs share one
    pruned_before TEXT  -- finished jobs that ended before this are gone
);
INSERT INTO decayctl_store (id) VALUES (1);

CREATE TABLE decayctl_jobs (
    job_id       TEXT NOT NULL PRIMARY KEY, -- that of the row in jobs
    state        TEXT NOT NULL CHECK (state IN ('pending', 'running', 'paused', 'done', 'failed', 'cancelled', 'undoing', 'undone')),
    rules        TEXT NOT NULL,
    fingerprint  TEXT NOT NULL,
    as_of        TEXT NOT NULL,
    stamp        TEXT NOT NULL UNIQUE,
    scope        TEXT,
    tenant       TEXT,
    max_expire   TEXT,                       -- still to be checked
    total        INTEGER NOT NULL,           -- facts in the store at the start, an estimate
    frontier     TEXT,                       -- the last fact id that was claimed; NULL before the first
    end_reached  INTEGER NOT NULL DEFAULT 0, -- no fact is left to claim
    undone_up_to TEXT,                       -- the last fact id that an undo has passed
    next_worker  INTEGER NOT NULL DEFAULT 1,
    next_claim   INTEGER NOT NULL DEFAULT 1,
    counts       TEXT NOT NULL DEFAULT '{}',
    created_at   TEXT NOT NULL,
    started_at   TEXT,
    completed_at TEXT,
    changed_at   TEXT NOT NULL,
    stop_reason  TEXT
);

-- The processes at work. A worker's claims lapse with its lease.
CREATE TABLE decayctl_workers (
    job_id        TEXT NOT NULL,
    worker        INTEGER NOT NULL,
    host          TEXT NOT NULL,
    space         TEXT NOT NULL,
    pid           INTEGER NOT NULL,
    process_start TEXT NOT NULL,
    joined_at     TEXT NOT NULL,
    lease_until   INTEGER NOT NULL, -- milliseconds since 1970
    PRIMARY KEY (job_id, worker)
) WITHOUT ROWID;

-- Key ranges being swept: low < id <= high.
CREATE TABLE decayctl_claims (
    job_id    TEXT NOT NULL,
    claim     INTEGER NOT NULL,
    worker    INTEGER NOT NULL,
    low       TEXT,             -- the last fact id that is done; NULL before the first
    high      TEXT NOT NULL,
    remaining INTEGER NOT NULL, -- facts of the range that no batch has counted
    PRIMARY KEY (job_id, claim)
) WITHOUT ROWID;

-- What an undo cannot tell from the fact itself: overrides that were there before, and edges that
-- differed from their fact.
CREATE TABLE decayctl_before (
    job_id           TEXT NOT NULL,
    fact_id          TEXT NOT NULL,
    had_override     INTEGER NOT NULL,
    valid_until      TEXT,
    confidence       REAL,
    reason           TEXT,
    updated_at       TEXT,
    updated_by       TEXT,
    had_edge         INTEGER NOT NULL,
    edge_valid_until TEXT,
    edge_decay_epoch INTEGER,
    PRIMARY KEY (job_id, fact_id)
) WITHOUT ROWID;
