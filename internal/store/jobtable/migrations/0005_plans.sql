-- A sweep may apply a plan that was saved and reviewed.
ALTER TABLE {schema}.decayctl_jobs ADD COLUMN plan text; -- its digest; NULL where there is none

-- What such a job needs of its plan, in parts. Those of worker 0 are the plan itself, until a pass has checked it; those
-- of the worker that did are the facts that were reviewed, and that alone may be changed.
CREATE TABLE {schema}.decayctl_plans (
    job_id  text NOT NULL,
    worker  integer NOT NULL,
    part    integer NOT NULL,
    content text NOT NULL,
    PRIMARY KEY (job_id, worker, part)
); -- not clustered: a part may have 350 kB
