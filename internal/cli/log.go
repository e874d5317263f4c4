package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"decayctl/internal/config"
)

// logger writes to stderr. With --quiet it writes warnings and errors only.
func (a *app) logger() *slog.Logger {
	level := a.output.LogLevel
	if a.output.Quiet {
		level = max(level, slog.LevelWarn)
	}
	options := &slog.HandlerOptions{Level: level}
	switch {
	case a.output.LogFormat == config.OutputJSON:
		return slog.New(slog.NewJSONHandler(a.Stderr, options))
	case a.toJournal():
		return slog.New(journal{w: a.Stderr, level: level, with: func(h slog.Handler) slog.Handler { return h }})
	}
	return slog.New(slog.NewTextHandler(a.Stderr, options))
}

// toJournal tells whether stderr leads to journald. JOURNAL_STREAM of systemd names the stream that does, since stderr
// may be redirected within the unit.
func (a *app) toJournal() bool {
	stream := a.variable("JOURNAL_STREAM")
	return stream != "" && stream == streamID(a.Stderr)
}

// errorPrefix is the beginning of the line of an error.
func (a *app) errorPrefix() string {
	if a.toJournal() {
		return priority(slog.LevelError) + "decayctl: "
	}
	return "decayctl: "
}

// journal is a handler of log lines for journald: with a priority, and without a time, which journald adds.
type journal struct {
	w     io.Writer
	level slog.Level
	with  func(slog.Handler) slog.Handler // adds attributes and groups
}

func (j journal) Enabled(_ context.Context, level slog.Level) bool { return level >= j.level }

func (j journal) Handle(ctx context.Context, record slog.Record) error {
	var line bytes.Buffer
	line.WriteString(priority(record.Level))
	record.Time = time.Time{} // a handler leaves a zero time out
	text := slog.NewTextHandler(&line, &slog.HandlerOptions{Level: j.level, ReplaceAttr: func(groups []string, attr slog.Attr) slog.Attr {
		if len(groups) == 0 && attr.Key == slog.LevelKey {
			return slog.Attr{} // the priority has the level
		}
		return attr
	}})
	if err := j.with(text).Handle(ctx, record); err != nil {
		return err
	}
	_, err := j.w.Write(line.Bytes())
	return err
}

func (j journal) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := j.with
	j.with = func(h slog.Handler) slog.Handler { return with(h).WithAttrs(attrs) }
	return j
}

func (j journal) WithGroup(name string) slog.Handler {
	with := j.with
	j.with = func(h slog.Handler) slog.Handler { return with(h).WithGroup(name) }
	return j
}

// priority is the number of syslog for a level, which journald reads at the beginning of a line.
func priority(level slog.Level) string {
	number := 7
	switch {
	case level >= slog.LevelError:
		number = 3
	case level >= slog.LevelWarn:
		number = 4
	case level >= slog.LevelInfo:
		number = 6
	}
	return fmt.Sprintf("<%d>", number)
}
