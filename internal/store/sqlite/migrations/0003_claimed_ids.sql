-- A claim may be of some facts of its range only.
ALTER TABLE decayctl_claims ADD COLUMN ids TEXT; -- a JSON array in id order; NULL is all of them
