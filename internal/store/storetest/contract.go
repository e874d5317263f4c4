// Package storetest is the contract that every store passes, and what tests need to set a fact
// store up and to look at it afterwards. It talks to both databases with the same SQL.
package storetest

import (
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
		{"candidates are read with their context", testContext},
		{"scope and tenant", testScopeAndTenant},
		{"narrowing loses nothing", testNarrowing},
		{"a fresh override", testFreshOverride},
		{"an override's confidence is kept", testKeptConfidence},
		{"retractions are for the floor, and once for each expiry", testRetractions},
		{"edges and cards follow", testEdgesAndCards},
		{"facts are never written", testFactsUntouched},
		{"what changed meanwhile is left alone", testChangedMeanwhile},
		{"a batch knows when it was read", testMarked},
		{"a batch is all or nothing", testAllOrNothing},
		{"neighbours with shared cards do not deadlock", testNeighbours},
		{"a lock is waited for, then reported", testLocked},
		{"an interrupted batch leaves nothing", testInterrupted},
		{"a store opened read-only writes nothing", testReadOnly},
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
	s, err := d.Open(store.OpenParams{ReadOnly: readOnly, LockTimeout: time.Minute, Now: time.Now})
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
