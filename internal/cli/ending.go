package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"decayctl/internal/config"
	"decayctl/internal/job"
	"decayctl/internal/metrics"
	"decayctl/internal/notify"
	"decayctl/internal/report"
	"decayctl/internal/stats"
	"decayctl/internal/store"
	"decayctl/internal/sweep"
)

// run is the result of a command so far, for the metrics file and the notifications at its end.
type run struct {
	command string // "" is a command without metrics and notifications
	began   time.Time
	ending  config.Ending
	kind    string   // of the store; "" if the settings could not be read
	job     *job.Job // the job at the end, or that of a dry run; nil if there was none
	dryRun  bool
	jobs    *metrics.Jobs // of the store; nil is not known
	facts   *metrics.Facts
	waits   waits
}

// factsOf are the facts that a dry run has counted for its pictures; nil if it did not, or not all of them.
func factsOf(s *stats.Statistics) *metrics.Facts {
	if s == nil || !s.Standing.KnowsExpired || s.Others.Total() > 0 {
		return nil
	}
	f := &metrics.Facts{Live: map[string]int64{}, Expired: s.Standing.Counts[stats.Expired]}
	for _, g := range s.Groups {
		f.Live[g.Scope] += g.Counts.Total()
	}
	return f
}

const hasEnding = "decayctl_ending"

// addEnding adds the flags of metrics and notifications.
func addEnding(cmd *cobra.Command) {
	config.AddEndingFlags(cmd.Flags())
	annotate(cmd, hasEnding, "true")
}

// annotate adds an annotation to a command.
func annotate(cmd *cobra.Command, key, value string) {
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations[key] = value
}

// begin notes the begin of a command, and sends a notification if one is asked for.
func (a *app) begin(cmd *cobra.Command, c config.Config) {
	if cmd.Annotations[hasEnding] == "" {
		return
	}
	a.run = run{command: cmd.CommandPath()[len(cmd.Root().Name())+1:], began: a.Now(), ending: c.Ending, kind: c.Store.Kind}
	if c.Ending.Ping != nil {
		a.tell(cmd.Context(), c.Ending.Ping.JoinPath("start"), "decayctl "+a.run.command+" began")
	}
}

// end writes the metrics of a run and sends notifications. A failure here does not change the exit code, since the work
// is done.
func (a *app) end(code string, exit int) {
	r := &a.run
	if r.command == "" {
		return
	}
	ending, success := r.ending, succeeded(exit)
	if ending.MetricsFile != "" {
		if err := metrics.Write(ending.MetricsFile, a.measured(exit, success)); err != nil {
			a.logger().Warn("the metrics could not be written", "error", report.Clean(err.Error()))
		}
	}
	ping, service := ending.Ping, ending.OnSuccess
	if !success {
		service = ending.OnFailure
		if ping != nil {
			ping = ping.JoinPath("fail")
		}
	}
	// At once: a service that does not answer must not keep the other one waiting. Not with the context of the command, which
	// a signal may have ended.
	var posts sync.WaitGroup
	for _, u := range []*url.URL{service, ping} {
		if u != nil {
			posts.Go(func() { a.tell(context.Background(), u, r.summary(code, exit)) })
		}
	}
	posts.Wait()
}

// succeeded tells whether a command did what was asked for.
func succeeded(exit int) bool { return exit == exitDone || exit == exitSomething }

// logEnd logs a line with the counts of a job. It does not for a person at a terminal or for a dry run, which have the
// report. A failed run is logged even with --quiet, for the mail of cron.
func (a *app) logEnd(exit int) {
	r := &a.run
	// Without a job there are no counts, and the error tells everything. Whoever closed the pipe wants to see no more.
	if a.forPeople() || r.job == nil || r.dryRun || exit == exitBrokenPipe {
		return
	}
	level := slog.LevelInfo
	if !succeeded(exit) {
		level = slog.LevelWarn
	}
	c := r.job.Counts
	a.logger().LogAttrs(context.Background(), level, "ended",
		slog.String("command", r.command), slog.Int("exit", exit),
		slog.Float64("seconds", a.Now().Sub(r.began).Round(time.Millisecond).Seconds()),
		slog.String("job", r.job.ID), slog.String("state", string(r.job.State)),
		slog.Int64("examined", c.Examined), slog.Int64("expired", c.Expired()), slog.Int64("reduced", c.Reduced),
		slog.Int64("failed", c.FailedCount), slog.Int64("restored", c.Restored))
}

// tell posts a text.
func (a *app) tell(ctx context.Context, u *url.URL, text string) {
	if err := notify.Post(ctx, u, text); err != nil {
		a.logger().Warn("a notification was not delivered", "error", report.Clean(err.Error()))
	}
}

// summary is how a run ended, in a line or two. It is sent to another machine, so it has no address, no name and no
// message of a database.
func (r *run) summary(code string, exit int) string {
	text := fmt.Sprintf("decayctl %s: exit code %d", r.command, exit)
	if code != "" {
		text += " (" + code + ")"
	}
	if r.job == nil {
		return text
	}
	c := r.job.Counts
	if r.dryRun {
		return text + fmt.Sprintf("; %d facts examined, %d would expire", c.Examined, c.WouldExpire())
	}
	return text + fmt.Sprintf("; job %s is %s, %d facts examined, %d expired, %d restored, %d failed",
		report.ShortID(r.job.ID), r.job.State, c.Examined, c.Expired(), c.Restored, c.FailedCount)
}

func (a *app) measured(exit int, success bool) metrics.Run {
	r := &a.run
	ended := a.Now()
	return metrics.Run{
		Command: r.command, Version: builtWith().Version, Kind: r.kind,
		Ended: ended, Duration: ended.Sub(r.began), Exit: exit, Success: success, Stopped: exit == exitPaused,
		Job: r.job, DryRun: r.dryRun, Tenants: r.ending.MetricsTenants, Waiting: r.waits.all(), Jobs: r.jobs, Facts: r.facts,
	}
}

// came notes the job of a command, and the numbers of jobs in its store.
func (a *app) came(ctx context.Context, s store.Store, j job.Job, dryRun bool) {
	a.run.job, a.run.dryRun = &j, dryRun
	a.countJobs(ctx, s)
}

// countJobs counts the jobs of a store for a metrics file. An error is ignored, since the work is done.
func (a *app) countJobs(ctx context.Context, s store.Store) {
	if a.run.ending.MetricsFile == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), countingTime)
	defer cancel()
	found := metrics.Jobs{}
	var err error
	if found.ByState, err = s.CountJobs(ctx); err != nil {
		return
	}
	here, now := thisOwner(), a.Now()
	err = s.List(ctx, store.ListParams{States: unfinished}, func(j job.Job) error {
		if j.Node {
			return nil
		}
		found.Oldest = max(found.Oldest, now.Sub(j.Created))
		if j.State.Worked() && deserted(j, func(o job.Owner) bool { return gone(here, o) }) {
			found.Dead++
		}
		return nil
	})
	if err == nil {
		a.run.jobs = &found
	}
}

const countingTime = 10 * time.Second // for a number of the metrics file only

// waits is how long the workers of a run waited, by cause.
type waits struct {
	mu    sync.Mutex
	phase sweep.Phase
	spent map[string]time.Duration

	locked time.Time // when a wait for a lock began; zero is none
}

// causes are the labels of the phases that are waits, for metrics.
var causes = map[sweep.Phase]string{
	sweep.Pausing: "pace", sweep.Lagging: "lag", sweep.Locked: "lock", sweep.Retrying: "retry", sweep.Waiting: "other_process",
}

// update notes a phase. A wait for a lock lasts until the next phase. Other waits are sleeps.
func (w *waits) update(phase sweep.Phase, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.phase = phase
	switch {
	case phase == sweep.Locked && w.locked.IsZero():
		w.locked = now
	case phase != sweep.Locked && !w.locked.IsZero():
		w.add(sweep.Locked, now.Sub(w.locked))
		w.locked = time.Time{}
	}
}

// slept adds a sleep to the cause of the last phase.
func (w *waits) slept(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.add(w.phase, d)
}

func (w *waits) add(phase sweep.Phase, d time.Duration) {
	cause, known := causes[phase]
	if !known {
		return
	}
	if w.spent == nil {
		w.spent = map[string]time.Duration{}
	}
	w.spent[cause] += d
}

// all is the waits by cause; nil if no work was done.
func (w *waits) all() map[string]time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.phase == "" {
		return nil
	}
	found := map[string]time.Duration{}
	for _, cause := range causes {
		found[cause] = w.spent[cause]
	}
	return found
}
