package store

import (
	"context"
	"time"
)

// Costly is a store whose server writes much more than the facts that a sweep changes.
type Costly interface {
	// WriteCost estimates what it will cost to write so many facts that have no override yet. nil is not known. Errors of the
	// database.
	WriteCost(ctx context.Context, facts int64) (*WriteCost, error)
}

// CostMatters is from how many facts on operators are told what a sweep will cost.
const CostMatters = 300_000

// CostOf calls Costly.WriteCost if so many facts matter. It is nil for every other store.
func CostOf(ctx context.Context, s Store, facts int64) (*WriteCost, error) {
	if costly, ok := s.(Costly); ok && facts >= CostMatters {
		return costly.WriteCost(ctx, facts)
	}
	return nil, nil
}

// WriteCost is what it will cost to write facts, an estimate. Sizes are in bytes.
type WriteCost struct {
	Facts int64
	Log   int64         // write-ahead log, with the present settings
	Disk  int64         // growth of tables and indexes
	Time  time.Duration // with two workers and without pauses, on a machine like that of docs/benchmarks.md

	// What the log would be otherwise; 0 if that is so already, or gains little.
	LogWithoutKeys int64 // with --no-fk-checks; 0 also if a sweep by this role refuses the option
	LogCompressed  int64 // with wal_compression
	LogLarger      int64 // with max_wal_size = LargerSize
	LargerSize     int64

	// Keeps is what keeps the log on the disk, such as "the archive".
	Keeps []string
}
