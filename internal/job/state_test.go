package job_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"decayctl/internal/job"
)

// legal is every transition there is, in the words of docs/jobs.md.
var legal = []string{
	"pending → running", "pending → paused", "pending → cancelled",
	"running → running", "running → done", "running → failed", "running → paused", "running → cancelled",
	"paused → running", "paused → cancelled", "paused → undoing",
	"failed → running", "failed → undoing",
	"done → undoing", "cancelled → undoing",
	"undoing → undoing", "undoing → undone",
}

func TestOnlyTransitionsOfTheTable(t *testing.T) {
	t.Parallel()
	for _, from := range job.States {
		for _, to := range job.States {
			arrow := string(from) + " → " + string(to)
			if got := from.May(to); got != slices.Contains(legal, arrow) {
				t.Errorf("%s: %t", arrow, got)
			}
			if slices.Contains(job.Sources(to), from) != from.May(to) {
				t.Errorf("the sources of %s and %s disagree", to, arrow)
			}
		}
	}
}

// TestTransitionsAreDocumented: the page shows every arrow, and no other.
func TestTransitionsAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/jobs.md")
	if err != nil {
		t.Fatal(err)
	}
	table, _, _ := strings.Cut(string(page), "Every other transition") // behind it are the node's words for states
	for _, from := range job.States {
		for _, to := range job.States {
			arrow := "| `" + string(from) + "` | `" + string(to) + "` |"
			if got := strings.Contains(table, arrow); got != from.May(to) {
				t.Errorf("docs/jobs.md has the row %q: %t", arrow, got)
			}
		}
	}
}

func TestNodeStatusIsOneOfFour(t *testing.T) {
	t.Parallel()
	for state, want := range map[job.State]string{
		job.Pending: "pending", job.Running: "running", job.Paused: "running", job.Undoing: "running",
		job.Done: "done", job.Undone: "done", job.Failed: "failed", job.Cancelled: "failed",
	} {
		if got := state.NodeStatus(); got != want {
			t.Errorf("%s is %s to the node, want %s", state, got, want)
		}
	}
}
