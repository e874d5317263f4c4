-- Policies lower the confidence of edges too.
ALTER TABLE {schema}.decayctl_before ADD COLUMN edge_confidence real; -- NULL where the job left it alone
