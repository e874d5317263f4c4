-- What decayctl remembers of its sweeps, beside the node's own jobs table.

-- One row, whatever the number of jobs. Sweeps start under its lock.
CREATE TABLE {schema}.decayctl_store (
    id            integer PRIMARY KEY CHECK (id = 1),
    last_stamp    text, -- updated_at of the newest job's overrides; no two jobs share one
    pruned_before text  -- finished jobs that ended before this are gone
);
INSERT INTO {schema}.decayctl_store (id) VALUES (1);

CREATE TABLE {schema}.decayctl_jobs (
    job_id       text NOT NULL PRIMARY KEY, -- that of the row in jobs
    state        text NOT NULL CHECK (state IN ('pending', 'running', 'paused', 'done', 'failed', 'cancelled', 'undoing', 'undone')),
    rules        text NOT NULL,
    fingerprint  text NOT NULL,
    as_of        text NOT NULL,
    stamp        text NOT NULL UNIQUE,
    scope        text,
    tenant       text,
    max_expire   text,                       -- still to be checked
    total        bigint NOT NULL,            -- facts in the store at the start, an estimate
    frontier     text,                       -- the last fact id that was claimed; NULL before the first
    end_reached  integer NOT NULL DEFAULT 0, -- no fact is left to claim
    undone_up_to text,                       -- the last fact id that an undo has passed
    next_worker  integer NOT NULL DEFAULT 1,
    next_claim   bigint NOT NULL DEFAULT 1,
    counts       text NOT NULL DEFAULT '{}',
    created_at   text NOT NULL,
    started_at   text,
    completed_at text,
    changed_at   text NOT NULL,
    stop_reason  text
);

-- The processes at work. A worker's claims lapse with its lease.
CREATE TABLE {schema}.decayctl_workers (
    job_id        text NOT NULL,
    worker        integer NOT NULL,
    host          text NOT NULL,
    space         text NOT NULL,
    pid           bigint NOT NULL,
    process_start text NOT NULL,
    joined_at     text NOT NULL,
    lease_until   bigint NOT NULL, -- milliseconds since 1970
    PRIMARY KEY (job_id, worker)
){clustered};

-- Key ranges being swept: low < id <= high.
CREATE TABLE {schema}.decayctl_claims (
    job_id    text NOT NULL,
    claim     bigint NOT NULL,
    worker    integer NOT NULL,
    low       text,             -- the last fact id that is done; NULL before the first
    high      text NOT NULL,
    remaining bigint NOT NULL, -- facts of the range that no batch has counted
    PRIMARY KEY (job_id, claim)
){clustered};

-- What an undo cannot tell from the fact itself: overrides that were there before, and edges that
-- differed from their fact.
CREATE TABLE {schema}.decayctl_before (
    job_id           text NOT NULL,
    fact_id          text NOT NULL,
    had_override     integer NOT NULL,
    valid_until      text,
    confidence       real,
    reason           text,
    updated_at       text,
    updated_by       text,
    had_edge         integer NOT NULL,
    edge_valid_until text,
    edge_decay_epoch bigint,
    PRIMARY KEY (job_id, fact_id)
){clustered};
