package main

var storeTitles = map[string]string{sqliteStore: "SQLite", postgresStore: "PostgreSQL"}

var caseTitles = map[string]string{
	dryRunCase: "dry run", firstCase: "first sweep", nothingCase: "nothing to do", nightlyCase: "nightly", undoCase: "undo",
}

// contestantTitle names who made a result.
func contestantTitle(r result) string {
	switch {
	case r.Contestant == decayctlTwo:
		return "decayctl, two workers"
	case r.Contestant == nodeMethod:
		return "row by row"
	case r.Contestant == script && r.Case == dryRunCase:
		return "SELECT count(*)"
	default:
		return r.Contestant
	}
}

const intro = `# Benchmarks

decayctl beside two others, in one run on equal copies of one store:

- **row by row**: the method of the node. The ids of each rule are read into memory; then one transaction
  writes fact by fact and table by table, one statement each.
- **script**: one set-based SQL script, written by hand and run by the database's own shell (sqlite3, psql), which does the
  whole job in one transaction: the same facts, overrides that keep a confidence, retractions, edges and cards.

A run fails where they do not do the same work: decayctl and the script leave the same rows; the
row-by-row method expires the same facts and those that a protection of decayctl's keeps. (Its method is restated in Go, with
the driver that decayctl has on SQLite: it spends less time in its own code than the node does in Python.)
`

const reading = `
First sweeps on PostgreSQL are with two workers. Speed is measured with ` + "`--pace 1`" + `, the writer with decayctl's default
pace. Peak memory is the highest of all cases.
`

const method = `
## How it is measured

The stores are made of one seed: a year of facts, 20 % of them references with an edge in the graph, 10 % with an expiry of
their own, 5 % system facts, 2 % with an override of earlier, and a few cards, legal holds and quarantined facts. Under
` + "`--ttl 90d --min-confidence 0.4`" + ` about 70 % are stale. The nightly sweep judges 44 hours after the first, when
0.3 % more are.

Every contestant gets a fresh copy, vacuumed and analysed before it was copied, written down to the disk and in
memory. It goes through its cases on that copy: dry run, first sweep, nothing to do, nightly, undo of the first sweep.
PostgreSQL has its own defaults, but for autovacuum, which is off so that it does not come in the middle of one and not
of the next; there is a checkpoint before each.

- *time*: from the start of the program to its end.
- *longest write transaction*: as decayctl reports it; the whole transaction of the script; from the first write to the end of
  COMMIT of the row-by-row method.
- *peak memory*: resident, of the client alone: the row-by-row method and the shells are processes of their own, as decayctl is.
- *log*: the largest size of the -wal file, looked at every 2 ms; on PostgreSQL what was written into the log.
- *writer*: another process inserts a fact every 10 ms, each in a transaction of its own, with the node's settings
  (on SQLite: WAL, synchronous FULL, foreign keys, 5 s of patience). A fact that comes while the one before it is still waiting
  waits too, and its wait counts.

Where a measurement was repeated, each figure is the median.
`
