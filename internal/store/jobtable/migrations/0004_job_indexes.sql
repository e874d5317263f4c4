-- Without these every start, every look of --wait, and each part of a removal of old jobs would read all jobs.
CREATE INDEX decayctl_jobs_state ON {schema}.decayctl_jobs (state);
CREATE INDEX decayctl_jobs_completed ON {schema}.decayctl_jobs (completed_at{bytes}, job_id{bytes});
