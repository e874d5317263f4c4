-- A claim may be of some facts of its range only.
ALTER TABLE {schema}.decayctl_claims ADD COLUMN ids text; -- a JSON array in id order; NULL is all of them
