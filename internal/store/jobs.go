package store

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"decayctl/internal/job"
	"decayctl/internal/rule"
)

// Jobs is what a store remembers of sweeps. The node's jobs table has what the node shows of a job; decayctl's own
// tables have the rest. Errors are *Error, or those of package job.
//
// Each method that writes is one transaction. It writes the row in the node's table too, so that the node shows the
// committed state of a job.
type Jobs interface {
	// Prepare creates decayctl's own tables, or upgrades them to this version. A command that may write calls it before
	// any other method. Errors: NotPermitted if the role may not create tables, with the statements for an
	// administrator as its Detail; Unusable if the tables are damaged or of a newer decayctl.
	Prepare(ctx context.Context) error

	// CheckOwn fails as Prepare would if the role may not use decayctl's own tables, or if they are damaged or of a newer
	// decayctl. It changes nothing. If there are no such tables it does not fail.
	CheckOwn(ctx context.Context) error

	// DDL is the statements that create or upgrade decayctl's own tables, with the grants that the role needs on them.
	DDL(ctx context.Context) (string, error)

	// Start stores a new job and, unless p.Later is set, adds its first worker. It pauses each overlapping job whose
	// workers are all dead. Errors: *job.Busy if an overlapping job has a live worker.
	Start(ctx context.Context, p StartParams) (Joined, error)

	// Join adds a worker to a job, and takes the job to running or undoing. It removes the job's dead workers and pauses
	// overlapping jobs as Start does. Errors: *job.Illegal, *job.Busy, *job.Foreign, *job.Unknown; *job.Superseded, by
	// which the job becomes cancelled if that is a legal transition.
	Join(ctx context.Context, p JoinParams) (Joined, error)

	// Renew extends a lease to its full time from now. Errors: *job.Lost if the lease has ended, the worker was removed,
	// or the job is neither running nor undoing.
	Renew(ctx context.Context, l Lease) error

	// Wait notes why a worker does not go on with a job, and extends its lease. The next batch removes the note.
	// Errors: as Renew.
	Wait(ctx context.Context, l Lease, why string) error

	// ClearMaxExpire notes that the job keeps to its limit, so that a resume does not check the limit again. Errors: as
	// Renew.
	ClearMaxExpire(ctx context.Context, l Lease) error

	// PlanCheck reads StartParams.Check of a job. open is false if the job applies no plan, or after ClearPlanCheck.
	PlanCheck(ctx context.Context, id string) (check string, open bool, err error)

	// AddReviewed stores a part, counted from 0, of what this worker found that the plan lets the job change. Calling it
	// again replaces the part. After ClearPlanCheck it changes nothing. Errors: *job.Lost.
	AddReviewed(ctx context.Context, l Lease, part int, content string) error

	// ClearPlanCheck notes that the job keeps to its plan, so that a resume does not check it again. From then on the
	// parts of this worker are the job's. If another worker was first, that worker's are. Errors: *job.Lost.
	ClearPlanCheck(ctx context.Context, l Lease) error

	// ReadReviewed calls use with each part of the job, in order. There are none once the job cannot be resumed.
	ReadReviewed(ctx context.Context, id string, use func(part string) error) error

	// NodeID is the id of the node, from its table node_meta; "" if there is none, or if the role may not read the
	// table, which also has the node's private key.
	NodeID(ctx context.Context) (string, error)

	// Claim gives a worker facts to sweep: the claim of a dead worker if there is one, else up to size facts from the
	// frontier on. If Claim.End is true, no facts are left to claim; other workers may still have open claims. Errors:
	// *job.Lost; Uncertain, together with the claim that may have been made, to be checked by LookupClaim.
	Claim(ctx context.Context, l Lease, size int) (Claim, error)

	// EnqueueClaims makes claims without a worker of the facts that ScanAll found, adds the counts of all other facts
	// to the job, and moves the frontier behind all facts that the scan saw. If facts of the job were claimed before, it
	// changes nothing. It returns the job's counts. Errors: as Renew.
	EnqueueClaims(ctx context.Context, l Lease, f ScanResult) (job.Counts, error)

	// LookupClaim reads a claim again, after a COMMIT whose outcome is not known. found is false if the claim is
	// finished, or belongs to another worker.
	LookupClaim(ctx context.Context, l Lease, number int64) (c Claim, found bool, err error)

	// ReleaseClaims gives back the claims that the store has of a worker, which works on none. There are some only if the
	// server has lost commits, as an asynchronous standby that became the primary: the worker had finished these claims.
	ReleaseClaims(ctx context.Context, l Lease) error

	// Finish completes a job. A sweep is complete if all facts are claimed and no claim is open. The job becomes done,
	// or failed if facts could not be written; an undo becomes undone. If there are open claims, done is false
	// and nothing changes. undone is how far this worker has undone the job; a sweep ignores it. Errors: as Renew;
	// *job.Lost if the store has the undo at another place.
	Finish(ctx context.Context, l Lease, undone Cursor) (j job.Job, done bool, err error)

	// Leave removes a worker and keeps its claims for other workers. If no live worker is left and the job is running,
	// the job goes to the state to, for a reason. An undo stays undoing, and gets the reason too.
	Leave(ctx context.Context, l Lease, to job.State, reason string) (job.Job, error)

	// Move takes a job to paused or cancelled because the operator asked for it, and removes its workers. A worker finds
	// out at its next batch. Errors: *job.Illegal, *job.Foreign, *job.Unknown.
	Move(ctx context.Context, id string, to job.State, reason string) (job.Job, error)

	// Find reads the one job whose id begins with a prefix, with its workers, claims and before-images. Errors:
	// *job.Unknown, *job.Ambiguous.
	Find(ctx context.Context, prefix string) (job.Job, error)

	// List hands over jobs of decayctl and of the node, the newest first. Only a few are in memory at once. No
	// transaction is open while use runs. An error of use ends the list.
	List(ctx context.Context, p ListParams, use func(job.Job) error) error

	// CountJobs counts decayctl's own jobs by state. A state without jobs is left out.
	CountJobs(ctx context.Context) (map[job.State]int64, error)

	// Past reads the newest jobs of some rules, scope and tenant that looked at every fact, without their workers, the
	// newest first. It leaves out undone jobs, and jobs older than the newest 10,000 that ended. It is empty if decayctl's
	// own tables are missing or damaged, or if the role may not read them.
	Past(ctx context.Context, p PastParams) ([]job.Job, error)

	// Prunable hands over the ids of finished jobs of decayctl that ended before an instant, the oldest first, in parts.
	// It leaves out a job that supersedes an unfinished one. No transaction is open while use runs, so that use may call
	// Prune. An error of use ends the reading.
	Prunable(ctx context.Context, before time.Time, use func(ids []string) error) error

	// Prune removes each of some jobs that is finished and ended before an instant. It leaves the before-images to
	// DeleteBeforeImages: without its job no undo can begin, and so none can miss an image.
	Prune(ctx context.Context, ids []string, before time.Time) (Pruned, error)

	// OrphanedJobs are the ids of removed jobs that have before-images left.
	OrphanedJobs(ctx context.Context) ([]string, error)

	// DeleteBeforeImages deletes at most so many before-images of removed jobs.
	DeleteBeforeImages(ctx context.Context, ids []string, most int) (Pruned, error)

	// CountUpTo counts facts of a scope and a tenant, and stops at most. "" is every scope or tenant.
	CountUpTo(ctx context.Context, scope, tenant string, most int64) (int64, error)
}

// StartParams describe a new job.
type StartParams struct {
	ID        string
	Rules     rule.Set
	AsOf      time.Time   // zero is now, read under the lock that keeps other sweeps from starting
	Scope     string      // "" is every scope
	Tenant    string      // "" is every tenant
	MaxExpire *rule.Limit // nil is no limit
	Plan      string      // the digest of the plan that the job applies; "" is none
	Check     string      // what the job compares with before it writes; set with Plan
	Total     int64       // facts to examine, an estimate
	Later     bool        // leave the job pending, without a worker
	Worker    WorkerParams
}

// JoinParams say which process joins which job.
type JoinParams struct {
	ID     string // the whole id
	Undo   bool   // undo the job; else resume it
	Again  bool   // the process was in the job: refuse it with *job.Lost if it is no longer running, or undoing
	Worker WorkerParams
}

// WorkerParams are a process that wants to work on a job.
type WorkerParams struct {
	Owner job.Owner
	Lease time.Duration // how long the lease lasts, and each renewal
	// Gone tells whether a process has surely ended, so that its lease need not be waited for. A transaction is open
	// while Gone runs: it must be quick.
	Gone func(job.Owner) bool
}

// Joined is a job with the lease of the process that joined.
type Joined struct {
	Job            job.Job
	Lease          Lease        // zero if the job is pending
	Paused         []job.Job    // overlapping jobs whose workers were all dead
	RemovedWorkers []job.Worker // dead workers of this job
	Worker         WorkerParams // the process that joined
}

// Lease names a worker of a job. The zero Lease is none.
type Lease struct {
	JobID  string
	Worker int
	Time   time.Duration // how long a renewal lasts
}

// Claim is a range that belongs to one worker. Facts counts the facts of the range that no batch has counted.
type Claim struct {
	Number int64
	Range
	Locked time.Duration // how long the claim kept other writers of facts waiting; 0 on PostgreSQL
}

// ScanResult is what a scan of all facts found.
type ScanResult struct {
	Seen  Range      // all facts of the store
	IDs   []string   // facts to change, in any order
	Count job.Counts // of the other facts that a rule concerns
	Size  int        // facts in a claim, at most
}

// Claims are the claims to make of ids, which are in the order of ids. They have no numbers yet.
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

// Counts are the counts of all facts that the scan saw, without the left ones, which are to be claimed.
func (f ScanResult) Counts(left int) job.Counts {
	c := job.Counts{}
	c.Add(f.Count)
	c.Examined = int64(max(0, f.Seen.Facts-left)) // most facts are known by number only
	return c
}

// IDsText writes the ids of a claim as a JSON array, for a column.
func (r Range) IDsText() (string, error) {
	text, err := json.Marshal(r.IDs)
	return string(text), err
}

// ReadIDs reads what IDsText wrote, without the ids at or before r.After, which are done. nil is a claim of its whole
// range.
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
	Size  int // overrides to read, of this job and of every other writer
}

// Changes are the changes of a job to a range of facts.
type Changes struct {
	List []job.Change
	Last Cursor // the last override that was read; not set if none is left
}

// RestoreParams are one batch of an undo.
type RestoreParams struct {
	Lease   Lease
	Job     job.Job
	After   Cursor // how far the job was undone before
	Changes Changes
	Count   job.Counts // of changes that the caller left out, to add to the job's counts
}

// Restored is the result of one batch of an undo.
type Restored struct {
	Counts job.Counts // of the whole job, with this batch
	Timing
}

// ListParams filter a list of jobs.
type ListParams struct {
	States []job.State // empty is every state
	Limit  int         // jobs, at most; 0 is all
	After  time.Time   // only jobs of decayctl with a later stamp; zero is all jobs
}

// PastParams ask for earlier jobs of the same kind.
type PastParams struct {
	Fingerprint   string    // of the rules
	Scope, Tenant string    // "" is a job of every scope or tenant, and no other
	Before        time.Time // only jobs that ended before
	Limit         int       // jobs, at most
}

// Pruned is what one transaction removed.
type Pruned struct {
	Rows int // removed jobs, or before-images
	Timing
}
