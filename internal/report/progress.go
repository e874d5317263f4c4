package report

import (
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/schollz/progressbar/v3"

	"decayctl/internal/rule"
	"decayctl/internal/sweep"
)

const (
	redraw      = 100 * time.Millisecond // shortest time between two redraws of the bar
	logInterval = 10 * time.Second       // shortest time between two log lines
)

// ProgressParams say where progress is shown, which is never stdout.
type ProgressParams struct {
	Stderr   io.Writer
	Terminal bool // Stderr is a terminal: progress is a bar, which is removed at the end
	Quiet    bool // show nothing
	Log      *slog.Logger
	Now      func() time.Time
}

// Progress shows the progress of a sweep or an undo: a bar on a terminal, else log lines. Only one goroutine at a time
// may use it.
type Progress struct {
	ProgressParams
	bar      *progressbar.ProgressBar // nil if no bar is shown
	phase    sweep.Phase              // that the bar shows
	from     mark                     // first update of the bar; not 0 for a resumed job
	over     bool                     // nothing more is shown
	examined int64
	logged   time.Time
}

// mark is the progress of a sweep at an instant.
type mark struct {
	at       time.Time
	examined int64
}

// NewProgress makes a progress display. It shows nothing before the first Update.
func NewProgress(params ProgressParams) *Progress {
	return &Progress{ProgressParams: params, logged: params.Now(), over: params.Quiet}
}

// Update shows a new state.
func (p *Progress) Update(now sweep.Progress) {
	again := now.Examined < p.examined // a second scan, after counting or of a store that changed
	p.examined = now.Examined
	switch {
	case p.over:
	case !p.Terminal:
		p.log(now)
	default:
		if again {
			p.clear()
		}
		p.draw(now)
	}
}

func (p *Progress) log(now sweep.Progress) {
	at := p.Now()
	if at.Sub(p.logged) < logInterval {
		return
	}
	p.logged = at
	p.Log.Info(string(now.Phase), "done", now.Examined, "total", now.Total, "selected", now.Selected, "decayed", now.Decayed)
}

// draw changes the bar. The library delays the next redraw after each change, so there are few changes. A change of the
// phase comes first, since it explains why the count does not change.
func (p *Progress) draw(now sweep.Progress) {
	full := max(now.Total, now.Examined+1) // a full bar cannot go back
	if p.bar == nil {
		p.start(full, now)
	}
	text := string(now.Phase) + p.speed(now)
	if now.Phase != p.phase {
		p.phase = now.Phase
		p.bar.Describe(text)
	}
	if full != p.bar.GetMax64() {
		p.bar.ChangeMax64(full)
	}
	if err := p.bar.Set64(now.Examined); err != nil {
		p.bar, p.over = nil, true // the terminal was closed; the sweep goes on
		return
	}
	p.bar.Describe(text) // shown with the next redraw
}

func (p *Progress) start(full int64, now sweep.Progress) {
	p.phase, p.from = now.Phase, mark{p.Now(), now.Examined}
	p.bar = progressbar.NewOptions64(full,
		progressbar.OptionSetWriter(p.Stderr), // the default is stdout
		progressbar.OptionSetTheme(progressbar.Theme{Saucer: "█", SaucerPadding: "░", BarStart: "", BarEnd: ""}),
		progressbar.OptionSetWidth(30),
		progressbar.OptionThrottle(redraw),
		progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(false), // see speed
		progressbar.OptionSetDescription(string(now.Phase)),
		progressbar.OptionShowDescriptionAtLineEnd(),
		progressbar.OptionUseANSICodes(true),
		progressbar.OptionClearOnFinish(),
	)
}

// speed is the speed of this process and the remaining time, if they are known. The bar's own estimate would count the
// facts of earlier runs of a resumed job as work of this one's first moment.
func (p *Progress) speed(now sweep.Progress) string {
	took, done := p.Now().Sub(p.from.at), now.Examined-p.from.examined
	if took < time.Second || done <= 0 {
		return ""
	}
	perSecond := float64(done) / took.Seconds()
	left := rule.TTL(float64(max(0, now.Total-now.Examined)) / perSecond)
	return fmt.Sprintf(", %.0f facts/s, %s left", perSecond, left)
}

// Aside removes the bar before say prints something else.
func (p *Progress) Aside(say func()) {
	p.clear()
	say()
}

// Done removes the bar at the end of the run.
func (p *Progress) Done() {
	p.clear()
	p.over = true
}

func (p *Progress) clear() {
	if p.bar != nil {
		_ = p.bar.Finish() // fails if the terminal was closed: then there is nothing to clear
		p.bar = nil
	}
}
