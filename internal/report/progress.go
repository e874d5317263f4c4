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

// Progress shows how far a sweep or an undo has come: a bar on a terminal, a log line now and then
// elsewhere. It is for one goroutine at a time.
type Progress struct {
	ProgressParams
	bar      *progressbar.ProgressBar // nil while nothing shows
	phase    sweep.Phase              // on the bar
	from     mark                     // where the bar began, which for a resumed job is not at 0
	over     bool                     // nothing is to show any more
	examined int64
	logged   time.Time
}

// mark is how far a sweep was at an instant.
type mark struct {
	at       time.Time
	examined int64
}

// NewProgress starts the clock. Nothing shows before the first Update.
func NewProgress(params ProgressParams) *Progress {
	return &Progress{ProgressParams: params, logged: params.Now(), over: params.Quiet}
}

// Update shows a new state.
func (p *Progress) Update(now sweep.Progress) {
	again := now.Examined < p.examined // a second pass, after counting or over a store that changed
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
	if at.Sub(p.logged) < logPace {
		return
	}
	p.logged = at
	p.Log.Info(string(now.Phase), "done", now.Examined, "total", now.Total, "selected", now.Selected, "decayed", now.Decayed)
}

// draw changes the bar. Every change is a redraw that holds the others back, so there are no more of
// them than needed, and a new phase comes first: it says why the count stands still.
func (p *Progress) draw(now sweep.Progress) {
	full := max(now.Total, now.Examined+1) // a bar that is full once stays so
	if p.bar == nil {
		p.start(full, now)
	}
	text := string(now.Phase) + p.pace(now)
	if now.Phase != p.phase {
		p.phase = now.Phase
		p.bar.Describe(text)
	}
	if full != p.bar.GetMax64() {
		p.bar.ChangeMax64(full)
	}
	if err := p.bar.Set64(now.Examined); err != nil {
		p.bar, p.over = nil, true // the terminal has gone away; the sweep goes on
		return
	}
	p.bar.Describe(text) // for the next redraw, unless one is due
}

func (p *Progress) start(full int64, now sweep.Progress) {
	p.phase, p.from = now.Phase, mark{p.Now(), now.Examined}
	p.bar = progressbar.NewOptions64(full,
		progressbar.OptionSetWriter(p.Stderr), // it would be stdout
		progressbar.OptionSetTheme(progressbar.Theme{Saucer: "█", SaucerPadding: "░", BarStart: "", BarEnd: ""}),
		progressbar.OptionSetWidth(30),
		progressbar.OptionThrottle(redraw),
		progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(false), // see pace
		progressbar.OptionSetDescription(string(now.Phase)),
		progressbar.OptionShowDescriptionAtLineEnd(),
		progressbar.OptionUseANSICodes(true),
		progressbar.OptionClearOnFinish(),
	)
}

// pace is how fast this process goes and how long it will go on, once that can be told. The bar's own
// reckoning would take what a resumed job had done before for the work of its first moment.
func (p *Progress) pace(now sweep.Progress) string {
	took, done := p.Now().Sub(p.from.at), now.Examined-p.from.examined
	if took < time.Second || done <= 0 {
		return ""
	}
	perSecond := float64(done) / took.Seconds()
	left := rule.TTL(float64(max(0, now.Total-now.Examined)) / perSecond)
	return fmt.Sprintf(", %.0f facts/s, %s left", perSecond, left)
}

// Aside takes the bar away for as long as something else is printed.
func (p *Progress) Aside(say func()) {
	p.clear()
	say()
}

// Done takes the bar away for good, whether or not the sweep came to its end.
func (p *Progress) Done() {
	p.clear()
	p.over = true
}

func (p *Progress) clear() {
	if p.bar != nil {
		_ = p.bar.Finish() // fails where the terminal has gone away: nothing is left to clear
		p.bar = nil
	}
}
