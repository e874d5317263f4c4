// Package storetest is the contract that every store passes. It also has helpers for tests that fill a fact store and check
// it afterwards. It uses the same SQL for both databases.
package storetest

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"testing"
	"time"

	"decayctl/internal/store"
)

// Database is a new fact store without facts.
type Database struct {
	SQL  *sql.DB                                       // with placeholders such as $1; it finds the tables without a schema
	Open func(p store.OpenParams) (store.Store, error) // the store under test, on the same tables
	Lock func(t testing.TB, factID string) func()      // keeps the fact's override row (or the whole store) locked until called

	// Distribute moves a new table to where the store needs it, if its tables are distributed by a column; else nil.
	Distribute func(t testing.TB, table, column string)

	Sessions string // PostgreSQL's view of all sessions; "" is pg_stat_activity
}

func (d Database) sessions() string {
	if d.Sessions == "" {
		return "pg_stat_activity"
	}
	return d.Sessions
}

// Exercise runs the contract on one kind of store, or the promises whose name has one of the words of only. fresh makes a new
// database for each test.
func Exercise(t *testing.T, fresh func(t *testing.T) Database, only ...string) {
	t.Helper()
	wanted := func(name string) bool {
		return len(only) == 0 || slices.ContainsFunc(only, func(word string) bool { return strings.Contains(name, word) })
	}
	for _, test := range []struct {
		name string
		run  func(*testing.T, Database)
	}{
		{"ranges cover every fact once, in order of ids", testRanges},
		{"an id may be any text", testStrangeIDs},
		{"long texts are read in parts", testLongTexts},
		{"candidates are read with their context", testContext},
		{"scope and tenant limit what is read", testScopeAndTenant},
		{"facts of other tenants are counted", testOtherTenants},
		{"the prefilter loses no fact", testPrefilter},
		{"the prefilter of policies loses no fact", testPolicyPrefilter},
		{"the specification's five cases hold", testSpecification},
		{"an undo restores every confidence that a policy reduced", testConfidence},
		{"an undo leaves a confidence alone that another process changed", testConfidenceChanged},
		{"keep_last keeps the newest facts of a group", testNewest},
		{"every protection holds in every mode", testProtections},
		{"tables of the first version are upgraded with the jobs in them", testUpgraded},
		{"a fact without an override gets one", testFreshOverride},
		{"an override's confidence is kept", testKeptConfidence},
		{"a floor logs a retraction, once for each expiry", testRetractions},
		{"an expired fact's edge ends, and its card becomes stale", testEdgesAndCards},
		{"an undo restores an edge as the batch found it", testEdgesAsTheyAre},
		{"only an edge that differs from its fact has a before-image", testEdgesUnlikeFacts},
		{"edges of all kinds end and are restored", testEdgesOfAllKinds},
		{"a deleted quarantine status uncovers that of the fact's row", testStatusGoes},
		{"a sweep never writes the table of facts", testFactsUntouched},
		{"a fact that changed since it was read is left alone", testChangedMeanwhile},
		{"a fact that changed since it was read is left alone, among many tombstones", testChangedAmongMany},
		{"a resumed job leaves alone what the node expired meanwhile", testResumedAfterNode},
		{"a fact that has expired since as-of is left alone", testExpiredSince},
		{"a fact that expires between the read and the write is left alone", testExpiresMeanwhile},
		{"a legal hold that comes between a read and its batch protects", testHeldMeanwhile},
		{"a protection that comes at any point after the claim protects", testProtectedAtEveryPoint},
		{"a batch is written whole or not at all", testAllOrNothing},
		{"batches that share memory cards do not deadlock", testSharedCards},
		{"a lock is waited for until the timeout, then reported", testLocked},
		{"an interrupted batch writes nothing", testInterrupted},
		{"a store opened read-only writes nothing", testReadOnly},
		{"decayctl's own tables are created once", testPrepare},
		{"four processes at once create decayctl's own tables once", testPrepareAtOnce},
		{"an administrator can create decayctl's own tables", testDDL},
		{"without decayctl's own tables the node's jobs are listed", testUnprepared},
		{"tables of a newer decayctl are read and not written", testOwnNewer},
		{"a lost index of decayctl's own tables is created again", testIndexLost},
		{"a store opened read-only cannot change a job", testJobsReadOnly},
		{"every transition of the table is possible, and no other", testTransitions},
		{"the node's row shows the job as it is", testNodeRow},
		{"the node's row has the job's tenant", testNodeTenant},
		{"a started job is stored with all its properties", testStart},
		{"of eight processes that start a sweep at once, one succeeds", testStartRace},
		{"sweeps that could touch the same fact exclude each other", testOverlap},
		{"a live job blocks every overlapping sweep and undo", testBusy},
		{"a job whose workers are dead does not block a new sweep", testDead},
		{"a resume continues in the middle of a dead worker's claim", testTakeover},
		{"of eight processes that undo a job at once, one succeeds", testUndoRace},
		{"a superseded job cannot be resumed, but undone", testSuperseded},
		{"a job of the node cannot be changed", testForeign},
		{"each batch moves its claim and adds its counts", testClaims},
		{"the facts that a scan found are claimed, and none between", testEnqueued},
		{"a scan that finds nothing completes the sweep", testNothingEnqueued},
		{"a plan is checked once, and decides from then on", testPlans},
		{"the node's id is read", testNodeID},
		{"a job is done when every fact is claimed and no claim is open", testFinish},
		{"a worker that leaves a job gives its claims back", testLeave},
		{"the counts of several workers add up", testTwoCounts},
		{"several workers share a job without overlap", testShared},
		{"one store serves several goroutines", testPipeline},
		{"a batch writes nothing if its job is taken away meanwhile", testTakenMeanwhile},
		{"a wait for the store ends with the caller's context", testWaitEnds},
		{"another worker takes over the claims of a silent one", testSilent},
		{"a worker that lost its lease writes nothing", testLost},
		{"a sweep's lease writes nothing in an undo, nor the reverse", testWrongState},
		{"a renewal and a batch extend the lease", testRenewal},
		{"a batch that fails changes nothing of its job", testFailingBatch},
		{"an error right after a resume keeps the job's progress", testErrorAfterResume},
		{"a job without a worker is paused and cancelled at once", testIdleJob},
		{"a claim that the server lost writes nothing", testLostClaim},
		{"a claim whose end the server lost is given back", testReleasedClaims},
		{"an undo whose batch the server lost does not go on", testLostUndo},
		{"an undo restores every row", testUndo},
		{"an interrupted undo can be resumed", testUndoStopped},
		{"an undo restores the override of an earlier sweep", testUndoMerged},
		{"an undo restores only the facts of its own job", testUndoOneOfTwo},
		{"an undo leaves changes of other processes alone", testUndoOthers},
		{"an undo leaves edges alone that another process changed", testUndoEdges},
		{"a job that stopped half-way can be undone", testUndoPart},
		{"an undo asks the node for the removed vectors", testUndoVectors},
		{"only a written fact has a before-image", testImagesOfWritten},
		{"an undo restores the first before-image of a fact", testFirstImage},
		{"a job is found by the beginning of its id", testFind},
		{"jobs are listed newest first", testList},
		{"only jobs that ended before the limit are pruned", testPrune},
		{"a job that supersedes an unfinished one is not pruned", testPruneSuperseding},
		{"many jobs are pruned in several transactions", testPruneMany},
		{"a list of many jobs keeps few in memory and locks nothing", testListMany},
		{"one superseding job is found among many", testSupersededByMany},
		{"earlier jobs are those of the same rules, scope and tenant", testPast},
		{"a job that cannot be pruned does not block the others", testPruneStuck},
		{"a count of facts stops at the limit", testCountUpTo},
		{"a missing index is named with its statement", testIndexes},
		{"a fact that the database refuses does not block the others", testRejected},
		{"a second sweep changes nothing, and a dry run counts what a sweep writes", testTwiceIsOnce},
	} {
		if !wanted(test.name) {
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, fresh(t))
		})
	}
	for _, v := range Vectors(t) {
		if !wanted("the reference sweep " + v.Name) {
			continue
		}
		t.Run("the reference sweep "+v.Name, func(t *testing.T) {
			t.Parallel()
			v.test(t, fresh(t))
		})
	}
}

// AsOf is the as-of of the tests' sweeps. stamp is when the sweeps run.
var (
	AsOf  = time.Date(2026, 11, 23, 12, 0, 0, 123_456_000, time.UTC)
	stamp = time.Date(2026, 11, 23, 12, 0, 7, 0, time.UTC)
)

const asOfText, stampText = "2026-11-23T12:00:00.123456+00:00", "2026-11-23T12:00:07+00:00"

// open opens the store under test and closes it with the test.
func (d Database) open(t testing.TB, readOnly bool) store.Store {
	t.Helper()
	return d.openAt(t, readOnly, time.Now)
}

// openAt opens the store with a clock, and creates decayctl's own tables unless it is read-only.
func (d Database) openAt(t testing.TB, readOnly bool, now func() time.Time) store.Store {
	t.Helper()
	s, err := d.Open(store.OpenParams{ReadOnly: readOnly, LockTimeout: time.Minute, Now: now})
	if err == nil && !readOnly {
		err = s.Prepare(context.Background())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
