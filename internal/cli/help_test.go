package cli_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestHelpFitsATerminal: what a help text says in words is not wrapped, and cut words are hard to read.
func TestHelpFitsATerminal(t *testing.T) {
	t.Parallel()
	subcommand := regexp.MustCompile(`(?m)^  ([a-z-]+) +\S`)
	var check func(path []string)
	check = func(path []string) {
		help := decayctl(t, nil, append(path, "--help")...).stdout
		words, usage, found := strings.Cut(help, "\nUsage:\n")
		if !found {
			t.Fatalf("%v: no usage in\n%s", path, help)
		}
		for line := range strings.Lines(words) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 80 {
				t.Errorf("%v: %d columns: %s", path, n, line)
			}
		}
		_, commands, found := strings.Cut(usage, "\nCommands:\n")
		if !found {
			return
		}
		commands, _, _ = strings.Cut(commands, "\n\n")
		for _, m := range subcommand.FindAllStringSubmatch(commands, -1) {
			if m[1] != "help" && m[1] != "completion" { // cobra's own
				check(append(path[:len(path):len(path)], m[1]))
			}
		}
	}
	check(nil)
}
