package job

import "slices"

// State is the state of a job.
type State string

// The states. docs/jobs.md draws the arrows between them.
const (
	Pending   State = "pending"   // stored for later; no worker has begun
	Running   State = "running"   // being swept, or its process died
	Paused    State = "paused"    // stopped before the end; resume continues it
	Done      State = "done"      // swept to the end
	Failed    State = "failed"    // stopped by an error, or ended with facts that could not be written
	Cancelled State = "cancelled" // given up by an operator; what is written stays
	Undoing   State = "undoing"   // being undone, or the process that undid it died
	Undone    State = "undone"    // undone; what the job wrote is restored
)

// States lists all states, in the order of a job's life.
var States = []State{Pending, Running, Paused, Done, Failed, Cancelled, Undoing, Undone}

// arrows are the allowed transitions. An arrow from a state to itself means that another process takes over the job.
var arrows = map[State][]State{
	Pending:   {Running, Paused, Cancelled},
	Running:   {Running, Done, Failed, Paused, Cancelled},
	Paused:    {Running, Cancelled, Undoing},
	Failed:    {Running, Undoing},
	Done:      {Undoing},
	Cancelled: {Undoing},
	Undoing:   {Undoing, Undone},
}

// May tells whether a job may go to another state.
func (s State) May(to State) bool { return slices.Contains(arrows[s], to) }

// Sources are the states from which a job may go to another, in the order of States.
func Sources(to State) []State {
	var from []State
	for _, s := range States {
		if s.May(to) {
			from = append(from, s)
		}
	}
	return from
}

// Worked tells whether a job in this state has workers. Overlapping jobs must wait for it.
func (s State) Worked() bool { return s == Running || s == Undoing }

// Finished tells whether a job in this state has ended. A finished job may be pruned; one that failed may still be resumed.
func (s State) Finished() bool {
	return s == Done || s == Failed || s == Cancelled || s == Undone
}

// NodeStatus is the state as one of the four that the node's own jobs table may hold.
func (s State) NodeStatus() string {
	switch s {
	case Pending:
		return "pending"
	case Done, Undone:
		return "done"
	case Failed, Cancelled:
		return "failed"
	default:
		return "running"
	}
}
