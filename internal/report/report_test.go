package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"decayctl/internal/job"
)

// Only what has ended has 100 percent, whatever the estimate was.
func TestPercent(t *testing.T) {
	t.Parallel()
	counts := func(examined, decayed, restored int64) job.Counts {
		return job.Counts{Examined: examined, Decayed: decayed, Restored: restored}
	}
	for name, c := range map[string]struct {
		job  job.Job
		want int
	}{
		"nothing known":      {job.Job{State: job.Running}, 0},
		"begun":              {job.Job{State: job.Running, Total: 1000, Counts: counts(9, 0, 0)}, 0},
		"half":               {job.Job{State: job.Paused, Total: 1000, Counts: counts(509, 0, 0)}, 50},
		"estimate reached":   {job.Job{State: job.Running, Total: 1000, Counts: counts(1000, 0, 0)}, 99},
		"estimate too low":   {job.Job{State: job.Running, Total: 1000, Counts: counts(2000, 0, 0)}, 99},
		"done":               {job.Job{State: job.Done, Total: 1000, Counts: counts(900, 0, 0)}, 100},
		"done, empty":        {job.Job{State: job.Done}, 100},
		"undo begun":         {job.Job{State: job.Undoing, Total: 1000, Counts: counts(1000, 200, 0)}, 0},
		"undo half":          {job.Job{State: job.Undoing, Total: 1000, Counts: counts(1000, 200, 100)}, 50},
		"undo all but ended": {job.Job{State: job.Undoing, Total: 1000, Counts: counts(1000, 200, 200)}, 99},
		"undone":             {job.Job{State: job.Undone, Total: 1000, Counts: counts(500, 200, 190)}, 100},
		"nonsense":           {job.Job{State: job.Running, Total: 1000, Counts: counts(-7, 0, 0)}, 0},
	} {
		if got := percent(c.job); got != c.want {
			t.Errorf("%s: %d percent, not %d", name, got, c.want)
		}
	}
}

func TestShortID(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"": "", "5f3a": "5f3a", "5f3a9c1e-2b4d-4e6f-8a90-b1c2d3e4f506": "5f3a9c1e", "喜欢喜欢喜欢喜欢喜欢": "喜欢喜欢喜欢喜欢", "a\x1b[2Jbcdef": `a\x1b[2Jbcd`,
	} {
		if got := ShortID(id); got != want {
			t.Errorf("ShortID(%q) is %q, not %q", id, got, want)
		}
	}
}

func TestAge(t *testing.T) {
	t.Parallel()
	for ago, want := range map[time.Duration]string{
		-time.Hour: "0s", 0: "0s", 59 * time.Second: "59s", time.Minute: "1m", 119 * time.Minute: "1h", 47 * time.Hour: "1d", 400 * 24 * time.Hour: "400d",
	} {
		if got := age(asOf, asOf.Add(-ago)); got != want {
			t.Errorf("%s ago is %q, not %q", ago, got, want)
		}
	}
	if age(time.Time{}, asOf) != "" || age(asOf, time.Time{}) != "" {
		t.Error("an age without an instant")
	}
}

// Policies have columns by their ids as given, and as wide as the terminal allows. One that only counts has none.
func TestPolicyColumns(t *testing.T) {
	t.Parallel()
	r := dryRunByPolicies()
	r.Job.Rules.Only = ""
	r.Job.Rules.Policies = slices.Clone(r.Job.Rules.Policies[1:])
	r.Job.Rules.Policies[1].ID = strings.Repeat("Long", 25)
	shown := asText(t, r, Style{Width: 80})
	at := strings.Index(shown, "SCOPE")
	header, _, _ := strings.Cut(shown[max(at, 0):], "\n")
	if want := `SCOPE  RELATION        FACTS  context\u202e  LongLongLongL…`; header != want {
		t.Errorf("got  %q\nwant %q", header, want)
	}
}

// TestJobsAreWrittenAsTheyAreRead: a list of very many jobs is not kept in memory.
func TestJobsAreWrittenAsTheyAreRead(t *testing.T) {
	t.Parallel()
	const jobs = 2*tableRows + 1
	for name, write := range map[string]func(Jobs, io.Writer) error{
		"text": func(l Jobs, w io.Writer) error { return l.WriteText(w, Style{}) },
		"json": func(l Jobs, w io.Writer) error { return l.WriteJSON(w) },
	} {
		var out bytes.Buffer
		last := 0
		all := Jobs{Target: target, Each: func(use func(job.Job) error) error {
			for i := range jobs {
				if err := use(swept().Job); err != nil {
					return err
				}
				if i > 0 && i%tableRows == 0 && out.Len() <= last {
					t.Errorf("%s: behind %d jobs still %d bytes are written", name, i, last)
				}
				last = out.Len()
			}
			return nil
		}}
		if err := write(all, &out); err != nil {
			t.Fatal(err)
		}
		text := out.String()
		switch name {
		case "text":
			if n := strings.Count(text, "STATE"); n != 3 || strings.Count(text, "\n") != jobs+n+2 {
				t.Errorf("%d tables, %d lines", n, strings.Count(text, "\n"))
			}
		case "json":
			var document struct{ Jobs []any }
			if err := json.Unmarshal(out.Bytes(), &document); err != nil || len(document.Jobs) != jobs {
				t.Errorf("%d jobs, %v", len(document.Jobs), err)
			}
		}
		full, into := io.Pipe()
		_ = full.CloseWithError(io.ErrShortWrite)
		if err := write(all, into); !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
