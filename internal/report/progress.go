package report

import (
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/schollz/progressbar/v3"

	"decayctl/internal/sweep"
)

const (
	redraw  = 100 * time.Millisecond // of the bar, at most
	logPace = 10 * time.Second       // between log lines, at least
)

// ProgressParams say where progress goes. It never goes to stdout.
type ProgressParams struct {
	Stderr   io.Writer
	Terminal bool // Stderr is one: progress is a bar, which leaves nothing behind
	Quiet    bool // show nothing
	Log      *slog.Logger
	Now      func() time.Time
}

// Progress shows how far a sweep has come: a bar on a terminal, a log line now and then elsewhere.
// It is for one goroutine at a time.
type Progress struct {
	ProgressParams
	bar      *progressbar.ProgressBar // nil where there is none
	phase    sweep.Phase              // on the bar
	examined int64
	logged   time.Time
}

// NewProgress starts the clock. Nothing shows before the first Update.
func NewProgress(params ProgressParams) *Progress {
	p := &Progress{ProgressParams: params, logged: params.Now()}
	p.start()
	return p
}

func (p *Progress) start() {
	if p.Quiet || !p.Terminal {
		return
	}
	p.bar = progressbar.NewOptions64(1,
		progressbar.OptionSetWriter(p.Stderr), // it would be stdout
		progressbar.OptionSetTheme(progressbar.Theme{Saucer: "█", SaucerPadding: "░", BarStart: "", BarEnd: ""}),
		progressbar.OptionSetWidth(30),
		progressbar.OptionThrottle(redraw),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionSetItsString("facts"),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionUseANSICodes(true),
		progressbar.OptionClearOnFinish(),
	)
	p.bar.StartWithoutRender()
	p.phase = ""
}

// Update shows a new state.
func (p *Progress) Update(now sweep.Progress) {
	again := now.Examined < p.examined // a second pass, after counting or over a store that changed
	p.examined = now.Examined
	switch {
	case p.Quiet:
	case !p.Terminal:
		p.log(now)
	case p.bar != nil && again:
		p.Done()
		p.start()
	case p.bar != nil:
		p.draw(now)
	}
}

func (p *Progress) log(now sweep.Progress) {
	at := p.Now()
	if at.Sub(p.logged) < logPace {
		return
	}
	p.logged = at
	p.Log.Info(string(now.Phase), "examined", now.Examined, "total", now.Total, "selected", now.Selected, "decayed", now.Decayed)
}

// draw changes the bar. Every change is a redraw that holds the others back, so there are no more of
// them than needed, and the phase comes first: it says why the count stands still.
func (p *Progress) draw(now sweep.Progress) {
	if now.Phase != p.phase {
		p.phase = now.Phase
		p.bar.Describe(fmt.Sprintf("%-8s", now.Phase))
	}
	if full := max(now.Total, now.Examined+1); full != p.bar.GetMax64() { // a bar that is full once stays so
		p.bar.ChangeMax64(full)
	}
	if err := p.bar.Set64(now.Examined); err != nil {
		p.bar = nil // the terminal has gone away; the sweep goes on
	}
}

// Done takes the bar away, whether or not the sweep came to its end.
func (p *Progress) Done() {
	if p.bar != nil {
		_ = p.bar.Finish() // fails where the terminal has gone away: nothing is left to clear
		p.bar = nil
	}
}
