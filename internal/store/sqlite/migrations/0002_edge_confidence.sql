-- Policies lower the confidence of edges too.
ALTER TABLE decayctl_before ADD COLUMN edge_confidence REAL; -- NULL where the job left it alone
