package store

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"decayctl/internal/job"
	"decayctl/internal/rule"
)

// Jobs is what a store remembers of sweeps: in the node's jobs table what the node can show of them,
// in tables of decayctl's own the rest. Errors beyond *Error are those of package job.
//
// Every method is one transaction, or none where it only reads. Those that write a job end by writing
// its public face too, so that the node never shows anything but what is committed.
type Jobs interface {
	// Prepare makes sure of decayctl's own tables, in this version's form. A command calls it before
	// anything else here if it may write. Without the right to create them, the error has the
	// statements for an administrator as its Detail. So does DDL.
	Prepare(ctx context.Context) error

	// DDL is the statements that make decayctl's own tables, with the grants a role needs on them.
	DDL(ctx context.Context) (string, error)

	// Start writes down a new job, and unless it is to wait, begins it with a first worker.
	// Overlapping jobs that are alive refuse it (*job.Busy); the dead ones are paused first.
	Start(ctx context.Context, p StartParams) (Joined, error)

	// Join adds a worker to a job, which goes to running or to undoing by that. Workers whose lease
	// has ended, or whose process is gone, are put out. Errors: *job.Illegal, *job.Busy,
	// *job.Superseded (the job is cancelled then, where the table of transitions has that), *job.Foreign.
	Join(ctx context.Context, p JoinParams) (Joined, error)

	// Renew makes a lease last again for its full time. It fails with *job.Lost where the worker was
	// put out, or the job is no longer being worked on.
	Renew(ctx context.Context, l Lease) error

	// Wait notes why a worker does not go on with a job, and makes its lease last again. The next batch
	// takes the note away.
	Wait(ctx context.Context, l Lease, why string) error

	// ClearMaxExpire notes that the job's limit was checked and holds: it is not checked again.
	ClearMaxExpire(ctx context.Context, l Lease) error

	// Claim hands a worker facts to sweep: what a worker that is gone left behind, else up to size
	// facts from the frontier on. A claim without a Last says that none are left to hand out; claims
	// of other workers may still be open. Where the outcome of its COMMIT is not known, it returns what it
	// may have claimed beside the error, for LookupClaim.
	Claim(ctx context.Context, l Lease, size int) (Claim, error)

	// EnqueueClaims puts facts up for claiming that a pass over the whole store has found, as claims of nobody, and
	// counts all others, so that the job goes on behind what the pass has seen. Where the job has begun in
	// another way, it does nothing. It gives the job's counts as they are then.
	EnqueueClaims(ctx context.Context, l Lease, f ScanResult) (job.Counts, error)

	// LookupClaim reads a claim again, after a COMMIT whose outcome is not known. found is false where
	// the claim is finished, or not this worker's any more.
	LookupClaim(ctx context.Context, l Lease, number int64) (c Claim, found bool, err error)

	// Finish closes a job that has come to its end: all facts claimed and no claim open, or for an
	// undo the end of the overrides. A sweep with facts that could not be written is failed, any other
	// done. Where others still work on it, done is false and nothing is changed.
	Finish(ctx context.Context, l Lease) (j job.Job, done bool, err error)

	// Leave gives up a worker's share. If it was the last one of a running job, the job goes to
	// paused, failed or cancelled, for a reason; where others go on with it, or it is being undone, it
	// stays (an undo with the reason).
	Leave(ctx context.Context, l Lease, to job.State, reason string) (job.Job, error)

	// Move takes a job to another state by an operator's word, whether a process works on it or not:
	// to paused or to cancelled. Its workers find out at their next batch.
	Move(ctx context.Context, id string, to job.State, reason string) (job.Job, error)

	// Find is the job whose id begins with a prefix, with all there is to know of it. Errors:
	// *job.Unknown, *job.Ambiguous.
	Find(ctx context.Context, prefix string) (job.Job, error)

	// List hands over the newest jobs first, those of the node among them, each as it is when it is its turn.
	// Only a few are in memory at once. Nothing of the store is locked or being read while use runs, and an
	// error of use ends the list.
	List(ctx context.Context, p ListParams, use func(job.Job) error) error

	// Prunable hands over the ids of finished jobs that ended before an instant, the oldest first, in parts.
	// Nothing of the store is locked or being read while use runs, so it may remove them. A job that is why an
	// unfinished one is superseded is left out, and so are jobs of the node.
	Prunable(ctx context.Context, before time.Time, use func(ids []string) error) error

	// Prune removes those of some jobs that still are finished and ended before an instant. Their
	// before-images are left for DeleteBeforeImages: no undo can begin any more that would miss some of them.
	Prune(ctx context.Context, ids []string, before time.Time) (Pruned, error)

	// OrphanedJobs are the ids of jobs that are gone and have left before-images: Prune leaves them, and an
	// interrupted removal.
	OrphanedJobs(ctx context.Context) ([]string, error)

	// DeleteBeforeImages removes before-images of jobs that are gone, at most so many.
	DeleteBeforeImages(ctx context.Context, ids []string, most int) (Pruned, error)

	// CountUpTo counts facts of a scope and tenant ("" is all), and stops at most.
	CountUpTo(ctx context.Context, scope, tenant string, most int64) (int64, error)
}

// StartParams are what a new job is.
type StartParams struct {
	ID        string
	Rules     rule.Set
	AsOf      time.Time // zero reads the clock, under the lock that keeps other sweeps from starting
	Scope     string
	Tenant    string
	MaxExpire *rule.Limit
	Total     int64
	Later     bool // leave it pending, with no worker
	Worker    WorkerParams
}

// JoinParams say who joins which job.
type JoinParams struct {
	ID     string // whole
	Undo   bool   // to take the job back; else to go on with it
	Worker WorkerParams
}

// WorkerParams are a process that wants to work on a job.
type WorkerParams struct {
	Owner job.Owner
	Lease time.Duration
	// Gone tells whether a process is surely gone, so that its lease need not be waited for. It is
	// asked within a transaction, and must be quick.
	Gone func(job.Owner) bool
}

// Joined is a share in a job.
type Joined struct {
	Job            job.Job // as it is now
	Lease          Lease
	Paused         []job.Job    // other jobs that were found dead, and paused
	RemovedWorkers []job.Worker // workers of this job that were found dead, and put out
}

// Lease names a worker of a job. The zero Lease is none.
type Lease struct {
	JobID  string
	Worker int
	Time   time.Duration // for which a renewal lasts
}

// Claim is a key range that belongs to one worker. Its Facts are those that no batch has counted yet.
type Claim struct {
	Number int64
	Range
	Locked time.Duration // for which claiming it kept other writers of facts out; 0 where it kept out nobody
}

// ScanResult is what a pass over the whole store has found.
type ScanResult struct {
	Seen  Range
	IDs   []string   // facts to do something to, in any order
	Count job.Counts // of the others, but for how many they are
	Size  int        // facts in a claim, at most
}

// Claims are the claims to be made of the facts, once these are in id order. They have no numbers yet.
func (f ScanResult) Claims(ids []string) []Range {
	var claims []Range
	after := f.Seen.After
	for part := range slices.Chunk(ids, f.Size) {
		last := After(part[len(part)-1])
		claims = append(claims, Range{After: after, Last: last, Facts: len(part), IDs: part})
		after = last
	}
	return claims
}

// Counts are those of all facts that were seen, but for some that are left to be claimed.
func (f ScanResult) Counts(left int) job.Counts {
	c := job.Counts{Examined: int64(max(0, f.Seen.Facts-left))}
	c.Add(f.Count)
	return c
}

// IDsText writes the ids of a claim that has some as a column holds them: a JSON array.
func (r Range) IDsText() (string, error) {
	text, err := json.Marshal(r.IDs)
	return string(text), err
}

// ReadIDs reads the ids of a claim, of which some may be done by now; nil is a claim of its whole range.
func (r *Range) ReadIDs(text *string) error {
	if text == nil {
		return nil
	}
	if err := json.Unmarshal([]byte(*text), &r.IDs); err != nil {
		return err
	}
	*r = r.Beyond(r.After)
	return nil
}

// ChangesParams ask for the changes of a job among the next overrides.
type ChangesParams struct {
	Job   job.Job
	After Cursor
	Size  int // overrides to look at, whoever wrote them
}

// Changes are what was found, and how far it reaches.
type Changes struct {
	List []job.Change
	Last Cursor // not set where no override is left
}

// RestoreParams are one batch of an undo.
type RestoreParams struct {
	Lease   Lease
	Job     job.Job
	Changes Changes
	Count   job.Counts // to add to the job's: changes that were left out
}

// Restored is what became of it.
type Restored struct {
	Counts job.Counts // of the job, this batch included
	Timing
}

// ListParams filter a list of jobs.
type ListParams struct {
	States []job.State // none is all
	Limit  int         // 0 is all
	After  time.Time   // only decayctl's jobs with a later stamp; zero is all jobs
}

// Pruned is what one transaction has removed.
type Pruned struct {
	Rows int // jobs, or before-images
	Timing
}
