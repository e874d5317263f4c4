package cli

import (
	"errors"
	"io"
	"os"
	"syscall"

	"golang.org/x/term"
)

// output is standard output. After the first failed write, every write fails with the same error, so that the error is
// reported, and only once.
type output struct {
	io.Writer
	err error // an outputError
}

func (o *output) Write(p []byte) (int, error) {
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.Writer.Write(p)
	if err != nil {
		o.err = outputError{err}
	}
	return n, o.err
}

// outputError is the error of a failed write to standard output.
type outputError struct{ error }

func (e outputError) Unwrap() error { return e.error }

// isClosedPipe tells whether standard output is a pipe without a reader, as after "| head".
func isClosedPipe(err error) bool {
	return is[outputError](err) && errors.Is(err, syscall.EPIPE)
}

// fileOf is the file of a stream; nil if it has none.
func fileOf(stream any) *os.File {
	for {
		switch s := stream.(type) {
		case *output:
			stream = s.Writer
		case *os.File:
			return s
		default:
			return nil
		}
	}
}

// isTerminal tells whether a stream is a terminal.
func isTerminal(stream any) bool {
	file := fileOf(stream)
	return file != nil && term.IsTerminal(int(file.Fd()))
}

// terminalWidth is the width of a terminal in columns; 80 if it is not known.
func terminalWidth(stream any) int {
	if file := fileOf(stream); file != nil {
		if width, _, err := term.GetSize(int(file.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return 80
}
