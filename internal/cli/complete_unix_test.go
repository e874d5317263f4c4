//go:build unix

package cli_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/cli"
	"decayctl/internal/skiptest"
	"decayctl/internal/store/storetest"
)

// typedKeys are the keys to press in a shell: the command line, the key that completes with all there is, and Return. The shell
// then runs what it made of that. Its function decayctl notes the words, one a line, and passes only requests for completions on.
var typedKeys = map[string]struct{ start, setUp string }{
	"bash": {"bash --norc --noprofile -i", `
		. /usr/share/bash-completion/bash_completion
		. <(command decayctl completion bash)
		bind '"\C-t": insert-completions'
	`},
	"zsh": {"zsh -f -i", `
		autoload -Uz compinit; compinit -u -D
		. <(command decayctl completion zsh)
		compdef _decayctl decayctl
		zle -C all-matches complete-word _generic
		bindkey '^T' all-matches
		zstyle ':completion:all-matches:*' insert yes
		zstyle ':completion:all-matches::::' completer _all_matches _complete
	`},
}

// TestShells: real shells complete values from a store, and put them into the command line as one word each.
func TestShells(t *testing.T) {
	t.Parallel()
	skiptest.Programs(t, "bash", "zsh", "fish", "script")
	db, path := storetest.NewSQLite(t, nil)
	db.Insert(t, standard()...)
	sweep := decayctl(t, nil, "sweep", "--store", path, "--ttl", "90d", "--as-of", "2026-06-15T12:00:00Z", "-o", "json")
	id := regexp.MustCompile(`"job_id": "([0-9a-f]{8})`).FindStringSubmatch(sweep.stdout)
	if sweep.exit != 0 || id == nil {
		t.Fatalf("%+v", sweep)
	}
	for _, test := range []struct{ line, want string }{
		{"decayctl sweep --scope ", "local team company public"},
		{"decayctl sweep --scope=te", "--scope=team"},
		{"decayctl jobs undo --store " + path + " ", id[1]},
		{"decayctl dry-run --store " + path + " --tenant d", "default"},
		{"decayctl jobs li", "list"},
		{"decayctl jobs list --state paused,pe", "paused,pending"},
	} {
		t.Run(test.line, func(t *testing.T) {
			t.Parallel()
			for shell := range typedKeys {
				typed := strings.Fields(test.line)[1:]
				if !strings.HasSuffix(test.line, " ") {
					typed = typed[:len(typed)-1] // completed in its place
				}
				want := append(slices.Clone(typed), strings.Fields(test.want)...)
				if diff := cmp.Diff(want, press(t, shell, test.line)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", shell, diff)
				}
			}
			offered := run(t, "fish --no-config", "command decayctl completion fish | source; complete -C '"+test.line+"'")
			var got []string
			for line := range strings.Lines(offered) {
				value, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
				got = append(got, value)
			}
			if diff := cmp.Diff(strings.Fields(test.want), got); diff != "" {
				t.Errorf("fish (-want +got):\n%s", diff)
			}
		})
	}
}

// TestCompletionGivesUp: a store that takes connections and says nothing does not hold a shell up.
func TestCompletionGivesUp(t *testing.T) { // not parallel: others wait longer
	longer := cli.CompleteWithin(usualWait)
	t.Cleanup(func() { cli.CompleteWithin(longer) })
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	got := decayctl(t, nil, "__complete", "jobs", "show", "--store", "postgres://decay@"+silent.Addr().String()+"/stigmem", "")
	if got.exit != 0 || got.stdout != ":36\n" {
		t.Errorf("%+v", got)
	}
}

// press types a command line into an interactive shell, and gives the words that it runs.
func press(t *testing.T, shell, line string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "words")
	keys := typedKeys[shell].setUp + `
		decayctl() { case $1 in __complete*) command decayctl "$@";; *) printf '%s\n' "$@" >` + file + `;; esac; }
	` + line + "\x14\nexit\n"
	shown := run(t, "script -qec '"+typedKeys[shell].start+"' /dev/null", strings.ReplaceAll(keys, "\t", ""))
	words, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%s ran no decayctl (%v):\n%s", shell, err, shown)
	}
	return strings.Split(strings.TrimSuffix(string(words), "\n"), "\n")
}

// run runs a shell with what it reads from standard input.
func run(t *testing.T, shell, input string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(self, filepath.Join(bin, "decayctl")); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	cmd := exec.CommandContext(ctx, "sh", "-c", "exec "+shell) //nolint:gosec // the test's own words
	cmd.Stdin = strings.NewReader(input)
	cmd.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "TERM=dumb", "HOME=" + t.TempDir(), "LANG=C.UTF-8"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", shell, err, out)
	}
	return string(out)
}
