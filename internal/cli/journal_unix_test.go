//go:build unix

package cli_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"decayctl/internal/cli"
)

// TestTheJournalGetsPrioritiesAndNoTimes, and a file that a unit redirects stderr to does not.
func TestTheJournalGetsPrioritiesAndNoTimes(t *testing.T) {
	t.Parallel()
	d, target, _ := backends[0].fresh(t)
	d.Insert(t, standard()...)
	stderr, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stderr.Close() }()
	info, err := stderr.Stat()
	if err != nil {
		t.Fatal(err)
	}
	stat := info.Sys().(*syscall.Stat_t)
	run := func(stream, args string) string {
		if err := stderr.Truncate(0); err != nil {
			t.Fatal(err)
		}
		if _, err := stderr.Seek(0, 0); err != nil {
			t.Fatal(err)
		}
		cli.Main(cli.Process{
			Args: strings.Fields(args + " --store " + target), Environ: []string{"JOURNAL_STREAM=" + stream}, Dir: t.TempDir(),
			Stdin: &bytes.Buffer{}, Stdout: &bytes.Buffer{}, Stderr: stderr, Now: func() time.Time { return now },
		})
		text, err := os.ReadFile(stderr.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	this := fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
	for _, test := range []struct{ stream, args, want string }{
		{this, "sweep --ttl 90d --scope team", `^<6>msg=sweeping [^\n]*\n<6>msg=began [^\n]*\n<6>msg=ended command=sweep exit=0 [^\n]*\n$`},
		{this, "sweep --ttl 90d --quiet --max-expire 1", `^<4>msg=ended command=sweep exit=4 [^\n]* state=cancelled [^\n]*\n<3>decayctl: refused by --max-expire 1: [^\n]*\n$`},
		{fmt.Sprintf("%d:%d", stat.Dev, stat.Ino+1), "sweep --ttl 90d --scope local --quiet --max-expire 1", `^time=[^\n]* level=WARN msg=ended [^\n]*\ndecayctl: refused [^\n]*\n$`},
		{this, "sweep --ttl 90d --scope team --log-format json", `^(\{"time":"[^\n]*\n)+$`},
	} {
		if got := run(test.stream, test.args); !regexp.MustCompile(test.want).MatchString(got) {
			t.Errorf("%s: got\n%s\nwant %s", test.args, got, test.want)
		}
	}
}
