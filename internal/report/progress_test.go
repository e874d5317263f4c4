package report

import (
	"errors"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"decayctl/internal/sweep"
)

// screen is a terminal of one line. It knows what the bar uses: carriage return and erasing.
type screen struct {
	t      *testing.T
	line   []rune
	column int
	frames []string // the line after each write
}

var erasing = regexp.MustCompile(`^\x1b\[([02])K`)

func (s *screen) Write(p []byte) (int, error) {
	for text := string(p); text != ""; {
		if m := erasing.FindString(text); m != "" {
			if m == "\x1b[2K" {
				s.column = 0
			}
			s.line = s.line[:s.column]
			text = text[len(m):]
			continue
		}
		r := []rune(text)[0]
		text = text[len(string(r)):]
		switch {
		case r == '\r':
			s.column = 0
		case r < ' ':
			s.t.Errorf("%q is not for a bar", r)
		default:
			s.line = append(s.line[:s.column], append([]rune{r}, s.line[min(len(s.line), s.column+1):]...)...)
			s.column++
		}
	}
	s.frames = append(s.frames, string(s.line))
	return len(p), nil
}

func (s *screen) last() string {
	if len(s.frames) == 0 {
		return ""
	}
	return s.frames[len(s.frames)-1]
}

func terminal(w io.Writer) *Progress {
	return NewProgress(ProgressParams{Stderr: w, Terminal: true, Log: slog.New(slog.DiscardHandler), Now: time.Now})
}

func TestBar(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &screen{t: t}
		p := terminal(s)
		if len(s.frames) > 0 {
			t.Errorf("%q shows before the first update", s.last())
		}
		for i := range int64(11) {
			p.Update(sweep.Progress{Phase: sweep.Sweeping, Examined: i * 1000, Total: 20_000})
			time.Sleep(time.Second)
		}
		if want := "  50% ███████████████░░░░░░░░░░░░░░░ (10000/20000) sweeping, 1000 facts/s, 11s left "; s.last() != want {
			t.Errorf("the bar is\n%q, not\n%q", s.last(), want)
		}
		for _, phase := range []sweep.Phase{sweep.Counting, sweep.Pausing, sweep.Retrying, sweep.Waiting, sweep.Undoing} {
			time.Sleep(time.Second)
			p.Update(sweep.Progress{Phase: phase, Examined: 10_000, Total: 20_000})
			if !strings.Contains(s.last(), "  50% ") || !strings.Contains(s.last(), ") "+string(phase)+", ") {
				t.Errorf("the bar is %q while %s", s.last(), phase)
			}
		}
		p.Done()
		p.Done()
		p.Update(sweep.Progress{Phase: sweep.Sweeping, Examined: 20_000, Total: 20_000})
		if s.last() != "" {
			t.Errorf("%q is left behind", s.last())
		}
	})
}

// A job that is resumed begins where it was left. What was done before is not this process's work.
func TestBarResumed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &screen{t: t}
		p := terminal(s)
		time.Sleep(time.Second)
		p.Update(sweep.Progress{Phase: sweep.Sweeping, Examined: 900_000, Total: 1_000_000})
		if want := "  90% ███████████████████████████░░░ (900000/1000000) sweeping "; s.last() != want {
			t.Errorf("the bar begins as\n%q, not\n%q", s.last(), want)
		}
		for i := range int64(11) {
			p.Update(sweep.Progress{Phase: sweep.Sweeping, Examined: 900_000 + i*100, Total: 1_000_000})
			time.Sleep(time.Second)
		}
		if want := "  90% ███████████████████████████░░░ (901000/1000000) sweeping, 100 facts/s, 16m31s left "; s.last() != want {
			t.Errorf("the bar is\n%q, not\n%q", s.last(), want)
		}
		p.Done()
	})
}

// The total is an estimate: a store that turns out larger must not end the bar.
func TestBarTotalGrows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &screen{t: t}
		p := terminal(s)
		for _, examined := range []int64{1000, 2000, 3000, 4000, 5000, 5000} { // a redraw for the total holds back the count
			time.Sleep(time.Second)
			p.Update(sweep.Progress{Phase: sweep.Sweeping, Examined: examined, Total: max(2000, examined)})
		}
		if !strings.Contains(s.last(), "5000/") {
			t.Errorf("the bar stopped at %q", s.last())
		}
		p.Done()
		if s.last() != "" {
			t.Errorf("%q is left behind", s.last())
		}
	})
}

func TestBarSecondPass(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &screen{t: t}
		p := terminal(s)
		for _, phase := range []sweep.Phase{sweep.Counting, sweep.Sweeping} {
			for examined := int64(0); examined < 2000; examined += 500 {
				time.Sleep(time.Second)
				p.Update(sweep.Progress{Phase: phase, Examined: examined, Total: 2000})
			}
		}
		if want := "  75% ██████████████████████░░░░░░░░ (1500/2000) sweeping, 500 facts/s, 2s left "; s.last() != want {
			t.Errorf("the bar is\n%q, not\n%q", s.last(), want)
		}
		p.Done()
		if s.last() != "" {
			t.Errorf("%q is left behind", s.last())
		}
	})
}

func TestBarIsThrottled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &screen{t: t}
		p := terminal(s)
		for i := range int64(1000) {
			time.Sleep(time.Millisecond)
			p.Update(sweep.Progress{Phase: sweep.Sweeping, Examined: i, Total: 1000})
		}
		if n := len(s.frames); n < 5 || n > 11 {
			t.Errorf("%d redraws in a second", n)
		}
	})
}

func TestBarWithoutTerminal(t *testing.T) {
	t.Parallel()
	broken := errors.New("gone")
	reader, writer := io.Pipe()
	reader.CloseWithError(broken)
	p := terminal(writer)
	for i := range int64(3) {
		p.Update(sweep.Progress{Phase: sweep.Sweeping, Examined: i, Total: 3})
	}
	p.Done()
}

func TestLogLines(t *testing.T) {
	t.Parallel()
	var stderr, log strings.Builder
	clock := asOf
	p := NewProgress(ProgressParams{
		Stderr: &stderr, Now: func() time.Time { return clock },
		Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: withoutTime})),
	})
	for i := range int64(21) {
		clock = clock.Add(time.Second)
		p.Update(sweep.Progress{Phase: sweep.Sweeping, Examined: (i + 1) * 100, Total: 5000, Selected: i * 10, Decayed: i})
	}
	p.Done()
	want := "level=INFO msg=sweeping done=1000 total=5000 selected=90 decayed=9\n" +
		"level=INFO msg=sweeping done=2000 total=5000 selected=190 decayed=19\n"
	if log.String() != want {
		t.Errorf("logged\n%s, not\n%s", log.String(), want)
	}
	if stderr.Len() > 0 {
		t.Errorf("%q is drawn where there is no terminal", stderr.String())
	}
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

func TestQuiet(t *testing.T) {
	t.Parallel()
	for _, isTerminal := range []bool{true, false} {
		var out strings.Builder
		clock := asOf
		p := NewProgress(ProgressParams{
			Stderr: &out, Terminal: isTerminal, Quiet: true,
			Log: slog.New(slog.NewTextHandler(&out, nil)), Now: func() time.Time { return clock },
		})
		for i := range int64(5) {
			clock = clock.Add(time.Minute)
			p.Update(sweep.Progress{Phase: sweep.Sweeping, Examined: i, Total: 5})
		}
		p.Done()
		if out.Len() > 0 {
			t.Errorf("terminal %t: %q is shown", isTerminal, out.String())
		}
	}
}
