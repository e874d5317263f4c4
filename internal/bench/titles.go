package main

var storeTitles = map[string]string{sqliteStore: "SQLite", postgresStore: "PostgreSQL"}

var caseTitles = map[string]string{
	dryRunCase: "dry run", firstCase: "first sweep", nothingCase: "nothing to do", nightlyCase: "nightly", undoCase: "undo",
}

// contestantTitles are the names of contestants on the page.
var contestantTitles = map[string]string{
	decayctl: "decayctl", before: "decayctl before", decayctlTwo: "decayctl, two workers", decayctlNoFK: "decayctl, two workers, --no-fk-checks",
	nodeMethod: "row by row",
	script:     "script", ownSweep: "the node's own sweep", noSweep: "no sweep",
}

// intro takes the name of the file with the results.
const intro = `# Benchmarks

For operators who want to know what a sweep costs their node, and for developers. Every figure is the median of
its repetitions; [the raw results](%s) have each case and size, the machine, and the commands.

- **script**: one set-based SQL script, written by hand and run by the database's own shell (sqlite3, psql), which
  does the whole sweep in one transaction.
- **row by row**: the method of the node, restated in Go. The ids of each rule are read into memory. One
  transaction then writes fact by fact and table by table, one statement each.
`

const liveIntro = `
A first sweep at decayctl's default pace, and what other users of the store notice of it.
`

const nodeNote = `
A node sweeps one tenant: the second table is of the tenant ` + "`default`" + `, the first of all. The node's own sweep also
expires what decayctl protects.
`

const method = `
## How it is measured

` + "`make bench`" + ` measures everything and writes this page and the two files next to it. It installs a Stigmem node for
that; without one it leaves the case out and says so. ` + "`go run ./internal/bench -help`" + ` lists what can be chosen:
sizes, stores, cases, repetitions (` + "`-times 7`" + `), and ` + "`-against PROGRAM`" + `, an older decayctl that is measured in turns.

The stores are made of one seed: a year of facts, 20 % of them references with an edge in the graph, 10 % with an expiry of
their own, 5 % system facts, 2 % with an override of earlier, and a few cards, legal holds and quarantined facts. Under
` + "`--ttl 90d --min-confidence 0.4`" + ` about 70 % are stale. The nightly sweep judges 44 hours after the first, when
0.3 % more are.

Every contestant gets a fresh copy, vacuumed and analysed before it was copied, written down to the disk and in
memory. It goes through its cases on that copy: dry run, first sweep, nothing to do, nightly, undo of the first sweep.
PostgreSQL has its own defaults, but for autovacuum, which is off so that it does not come in the middle of one and not
of the next; there is a checkpoint before each.

A run fails if the contestants do not do the same work. decayctl and the script leave the same rows. The row-by-row method
and the node expire the same facts, and those that a protection of decayctl's keeps (legal holds, quarantine, ` + "`rel:`" + `).

- *the sweep took*: from the start of the program to its end, or from the request to the answer of the node.
- *longest write transaction*: as decayctl reports it; the whole transaction of the script.
- *peak memory*: resident, of the client alone, the highest of all cases. The row-by-row method and the shells are
  processes of their own, as decayctl is.
- *the process that inserts*: each fact in a transaction of its own, with the node's settings (on SQLite: WAL, synchronous
  FULL, foreign keys, 5 s of patience). A fact that comes while the one before it is still waiting waits too, and its
  wait counts.
- *the node*: stigmem-node 0.9.0a12 with its defaults, but without quotas and keys, on a store that its own migrations
  made. One client process sends a new fact and a query for one fact by its id every 50 ms, whether the requests before
  have been answered or not. Failed is every answer but 201 and 200. Lost is every fact that was answered with 201
  and is not in the store at the end. (For the facts of an entity the node reads most of the store: 0.4 s at a million. It
  could not answer 20 of those queries a second.)
- *the node's own sweep*: ` + "`POST /v1/decay/sweep`" + ` with the same rules on an equal store. It sweeps the tenant
  ` + "`default`" + `, so decayctl sweeps that tenant alone next to a node: some 85 % of the facts.
  The node answers when it is done (its threshold for jobs is set above the size of the store).
`
