package job

import (
	"fmt"
	"strings"
	"time"
)

// Illegal is the error of a transition that the table of states does not have.
type Illegal struct {
	ID       string
	From, To State
}

func (e *Illegal) Error() string {
	verbs := map[State]string{
		Running: "resumed", Paused: "paused", Cancelled: "cancelled", Undoing: "undone", Undone: "marked undone", Done: "marked done", Failed: "marked failed",
	}
	text := fmt.Sprintf("job %s is %s and cannot be %s", e.ID, e.From, verbs[e.To])
	switch {
	case e.From == Running && e.To == Undoing:
		text += "; pause it first"
	case e.From == Undoing && e.To == Running:
		text += fmt.Sprintf("; go on with 'decayctl jobs undo %s'", e.ID)
	case e.From == Undoing, e.From == Undone, e.From == Cancelled && e.To == Running:
		text += "; a new sweep starts over"
	}
	return text
}

// Busy is the error of a job that another job keeps from beginning.
type Busy struct {
	Job Job       // the other job
	Now time.Time // by the clock that Job.Started was read from
	Why string    // this kind of store's reason; "" if the jobs overlap
}

func (e *Busy) Error() string {
	var who []string
	for _, w := range e.Job.Workers {
		if w.Live {
			who = append(who, fmt.Sprintf("process %d on %s", w.PID, w.Host))
		}
	}
	what := "sweeping"
	if e.Job.State == Undoing {
		what = "undoing"
	}
	text := fmt.Sprintf("job %s is %s this store and scope since %s (%s, by %s)", e.Job.ID, what,
		e.Job.Started.UTC().Format("2006-01-02 15:04:05 UTC"), e.Now.Sub(e.Job.Started).Round(time.Second), strings.Join(who, ", "))
	switch {
	case e.Why != "":
		return text + "; " + e.Why
	case e.Job.State == Undoing:
		return text + fmt.Sprintf("; wait for it with --wait 5m, or stop that process: 'decayctl jobs undo %s' goes on with it", e.Job.ID)
	}
	return text + fmt.Sprintf("; wait for it with --wait 5m, or stop it with 'decayctl jobs pause %s'", e.Job.ID)
}

// Superseded is the error of a job whose facts a later sweep has judged by a later as-of.
type Superseded struct {
	Job Job // with its state as it is now
	By  Job // the later sweep
}

func (e *Superseded) Error() string {
	return fmt.Sprintf("job %s is superseded: job %s has since swept facts of the same scope with a later as-of, %s, and an older clock must not judge them again; run a new sweep for what is left",
		e.Job.ID, e.By.ID, e.By.AsOf.UTC().Format("2006-01-02 15:04:05 UTC"))
}

// Lost is the error of a worker that may not go on with a job: its lease has ended, an operator has paused or cancelled the
// job, or the server has lost commits of the worker, as in a failover. Nothing of the current batch was written.
type Lost struct {
	ID    string
	State State // as it is now; Running if other workers go on with it
}

func (e *Lost) Error() string {
	switch e.State {
	case Paused:
		return "paused by an operator"
	case Cancelled:
		return "cancelled by an operator"
	case Running, Undoing:
		return "the lease was lost: this process was silent for too long, or the server has lost its last commits in a failover"
	}
	return "the job is " + string(e.State) + " by now"
}

// Unknown is the error of a job that does not exist.
type Unknown struct {
	Prefix       string
	PrunedBefore time.Time // finished jobs older than this were removed; zero if none were
}

func (e *Unknown) Error() string {
	text := fmt.Sprintf("no job %q; 'decayctl jobs list' shows those there are", Clip(e.Prefix))
	if !e.PrunedBefore.IsZero() {
		text += fmt.Sprintf(" (jobs finished before %s were pruned with what an undo needs)", e.PrunedBefore.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	return text
}

// Ambiguous is the error of a prefix that several jobs share.
type Ambiguous struct {
	Prefix string
	IDs    []string // of some of those jobs
}

func (e *Ambiguous) Error() string {
	return fmt.Sprintf("%q could be job %s; write more of the id", Clip(e.Prefix), strings.Join(e.IDs, " or "))
}

// Foreign is the error of an operation on a job that the node made.
type Foreign struct{ ID string }

func (e *Foreign) Error() string {
	return fmt.Sprintf("job %s was made by the node itself, which stores neither its rules nor what it changed; it can be listed, not resumed, paused, cancelled or undone", e.ID)
}
