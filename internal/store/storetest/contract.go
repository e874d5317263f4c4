// Package storetest is the contract that every store passes, and what tests need to set a fact
// store up and to look at it afterwards. It talks to both databases with the same SQL.
package storetest

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"decayctl/internal/store"
)

// Database is a fresh fact store without facts.
type Database struct {
	SQL  *sql.DB                                       // takes $1 placeholders and finds the tables without a schema
	Open func(p store.OpenParams) (store.Store, error) // the store under test, on the same tables
	Lock func(t testing.TB, factID string) func()      // keeps the fact's override row (or the whole store) locked until called
}

// Exercise holds one kind of store to the contract. fresh makes a new database for every test.
func Exercise(t *testing.T, fresh func(t *testing.T) Database) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(*testing.T, Database)
	}{
		{"ranges cover every fact once, in order", testRanges},
		{"strange ids are ids", testStrangeIDs},
		{"long texts are read in parts", testLongTexts},
		{"candidates are read with their context", testContext},
		{"scope and tenant", testScopeAndTenant},
		{"facts of other tenants", testOtherTenants},
		{"narrowing loses nothing", testNarrowing},
		{"narrowing by policies loses nothing", testPolicyNarrowing},
		{"the specification's five cases", testSpecification},
		{"confidences, and back", testWeighed},
		{"confidences that others changed", testWeighedByOthers},
		{"the newest of a group", testNewest},
		{"every protection in every mode", testProtections},
		{"tables of an older version", testUpgraded},
		{"a fresh override", testFreshOverride},
		{"an override's confidence is kept", testKeptConfidence},
		{"retractions are for the floor, and once for each expiry", testRetractions},
		{"edges and cards follow", testEdgesAndCards},
		{"edges are what they are when they end", testEdgesAsTheyAre},
		{"edges unlike their facts", testEdgesUnlikeFacts},
		{"edges of all kinds", testEdgesOfAllKinds},
		{"a status that goes", testStatusGoes},
		{"facts are never written", testFactsUntouched},
		{"what changed meanwhile is left alone", testChangedMeanwhile},
		{"what changed meanwhile, among many tombstones", testChangedAmongMany},
		{"what the node expires while a job is paused", testResumedAfterNode},
		{"what has expired since as-of is left alone", testExpiredSince},
		{"what expires between the read and the write", testExpiresMeanwhile},
		{"a hold comes between a read and its batch", testHeldMeanwhile},
		{"a protection comes at any place between a claim and its batch", testProtectedAtEveryPlace},
		{"a batch is all or nothing", testAllOrNothing},
		{"neighbours with shared cards do not deadlock", testNeighbours},
		{"a lock is waited for, then reported", testLocked},
		{"an interrupted batch leaves nothing", testInterrupted},
		{"a store opened read-only writes nothing", testReadOnly},
		{"its tables are made once", testPrepare},
		{"its tables are made by four at once", testPrepareAtOnce},
		{"its tables are made by an administrator", testDDL},
		{"a store without its tables", testUnprepared},
		{"its tables are of a newer version", testOwnNewer},
		{"an index of its own is lost", testIndexLost},
		{"jobs of a store opened read-only", testJobsReadOnly},
		{"every transition, and no other", testTransitions},
		{"the node sees a job", testNodeRow},
		{"the node sees the tenant of a job", testNodeTenant},
		{"a job begins", testStart},
		{"eight start, one gets in", testStartRace},
		{"sweeps of the same facts wait for each other", testOverlap},
		{"who is at work is not disturbed", testBusy},
		{"the dead hold nobody up", testDead},
		{"a job is taken over", testTakeover},
		{"eight undo, one gets in", testUndoRace},
		{"a later sweep supersedes", testSuperseded},
		{"the node's jobs are the node's", testForeign},
		{"a claim, batch by batch", testClaims},
		{"what a pass has found", testOffered},
		{"a pass that found nothing", testNothingOffered},
		{"a job ends", testFinish},
		{"a worker leaves", testLeave},
		{"what workers count adds up", testTwoCounts},
		{"workers share a job", testShared},
		{"one store, several goroutines", testPipeline},
		{"a job is taken away during a batch", testTakenMeanwhile},
		{"patience ends", testPatience},
		{"one of two workers falls silent", testSilent},
		{"a lease that was lost", testLost},
		{"a lease for something else", testWrongState},
		{"a lease is renewed", testRenewal},
		{"a batch that fails changes nothing of its job", testFailingBatch},
		{"an error right after a resume", testErrorAfterResume},
		{"a job nobody works on is moved at once", testIdleJob},
		{"undo", testUndo},
		{"undo, stopped and gone on with", testUndoStopped},
		{"undo gives back an earlier sweep's work", testUndoMerged},
		{"undo of one of two", testUndoOneOfTwo},
		{"undo leaves others' work alone", testUndoOthers},
		{"undo and edges", testUndoEdges},
		{"undo of half a sweep", testUndoPart},
		{"undo and embeddings", testUndoVectors},
		{"a batch remembers what it wrote over", testBatchOfOthers},
		{"undo goes back to the first", testFirstImage},
		{"a job is found", testFind},
		{"jobs are listed", testList},
		{"jobs are pruned", testPrune},
		{"a job that supersedes another is kept", testPruneSuperseding},
		{"many jobs are pruned in parts", testPruneMany},
		{"many jobs are listed in parts", testListMany},
		{"superseded by one of many", testSupersededByMany},
		{"a job that cannot be pruned", testPruneStuck},
		{"facts are counted up to a number", testCountUpTo},
		{"a missing index is named", testIndexes},
		{"a refused fact does not hold up the others", testRejected},
		{"twice is once, and the dry run knew", testTwiceIsOnce},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, fresh(t))
		})
	}
	for _, v := range Vectors(t) {
		t.Run("the reference sweep "+v.Name, func(t *testing.T) {
			t.Parallel()
			v.test(t, fresh(t))
		})
	}
}

// AsOf is when the tests' sweeps judge; stamp is when they ran.
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

// openAt opens the store with a clock, and with decayctl's own tables if it may make them.
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
