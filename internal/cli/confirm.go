package cli

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"decayctl/internal/report"
	"decayctl/internal/sweep"
)

// confirm asks before something drastic. Without a terminal it does not ask or wait: it refuses, and says what to do
// instead.
func (a *app) confirm(ctx context.Context, why, target, otherwise string) error {
	if !isTerminal(a.Stdin) || !isTerminal(a.Stderr) {
		return &sweep.Refused{Text: why + "; " + otherwise}
	}
	_, _ = fmt.Fprintf(a.Stderr, "store: %s\n%s\nGo on? [y/N] ", report.Clean(target), why)
	answers := make(chan string, 1)
	go func() { // the read cannot be interrupted, but the wait for it can
		answer, _ := bufio.NewReader(a.Stdin).ReadString('\n')
		answers <- strings.ToLower(strings.TrimSpace(answer))
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case answer := <-answers:
		if answer == "y" || answer == "yes" {
			return nil
		}
		return &sweep.Refused{Text: "declined; nothing was written"}
	}
}
