package cli_test

import (
	"bytes"
	"flag"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"decayctl/internal/cli"
	"decayctl/internal/store/sample"
)

var update = flag.Bool("update", false, "record docs/demo.svg and docs/report.html anew")

// What differs from run to run in a recording: ids, times of day, durations, and the batches that durations decide on.
var varying = []struct {
	like *regexp.Regexp
	mask string
}{
	{regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`), "ID"},
	{regexp.MustCompile(`(?m)^[0-9a-f]{8}  `), "ID  "},
	{regexp.MustCompile(`>[0-9a-f]{8}  `), ">ID  "},
	{regexp.MustCompile(`\d\d:\d\d:\d\d(\.\d+)?`), "TIME"},
	{regexp.MustCompile(`took  [^<\n]*`), "took  DURATION"},
	{regexp.MustCompile(`written in  [^<\n]*`), "written in  BATCHES"},
	{regexp.MustCompile(`100%( +[\d,]+) +\d+[sm]`), "100%$1  AGE"},
}

func masked(recording string) string {
	for _, v := range varying {
		recording = v.like.ReplaceAllString(recording, v.mask)
	}
	return recording
}

// TestRecording: the recording of the demo in docs/demo.svg shows what the demo prints. `make recording` renews it.
func TestRecording(t *testing.T) {
	t.Parallel()
	const file = "../../docs/demo.svg"
	var stdout, stderr bytes.Buffer
	began, noon := time.Now(), time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	exit := cli.Main(cli.Process{
		Args: []string{"demo"}, Dir: t.TempDir(), Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr,
		Now: func() time.Time { return noon.Add(time.Since(began)) },
	})
	if exit != 0 || stderr.Len() > 0 {
		t.Fatalf("demo ends with %d: %s", exit, &stderr)
	}
	recorded := drawRecording(stdout.String())
	if *update {
		if err := os.WriteFile(file, []byte(recorded), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	published, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(masked(recorded), masked(string(published))); diff != "" {
		t.Errorf("docs/demo.svg is not what the demo prints; make recording renews it (-printed +published):\n%s", diff)
	}
}

// TestExampleReport: docs/report.html is the page of a dry run of the demo's store. `make recording` renews it, and its picture.
func TestExampleReport(t *testing.T) {
	t.Parallel()
	const file = "../../docs/report.html"
	folder, noon := t.TempDir(), time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	store := filepath.Join(folder, "stigmem.db")
	if err := sample.CreateSQLite(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	if err := sample.FillSQLite(t.Context(), store, sample.Options{AsOf: noon, Seed: 1, NearExpiries: true}); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	exit := cli.Main(cli.Process{
		Args: strings.Fields("dry-run --ttl 90d --min-confidence 0.4 -o html"), Dir: folder, Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr,
		Now: func() time.Time { return noon },
	})
	if exit != 0 {
		t.Fatalf("dry-run ends with %d: %s", exit, &stderr)
	}
	if *update {
		if err := os.WriteFile(file, stdout.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	published, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(published), stdout.String()); diff != "" {
		t.Errorf("docs/report.html is not what a dry run shows; make recording renews it (-published +shown):\n%s", diff)
	}
}

// The size of the recorded terminal. A longer report is cut, as on a screen.
const (
	screenLines   = 28
	screenWidth   = 680 // 86 characters
	lineHeight    = 18
	screenMargin  = 18
	titleHeight   = 34
	screenSeconds = 6
)

const screenStyle = `
  .window { fill: #0d1117; stroke: #3d444d } .button { fill: #3d444d }
  text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #d1d7e0; white-space: pre }
  .prompt { fill: #7ee787 } .cut { fill: #9198a1 }
`

// drawRecording draws one screen for each command of a demo, shown one after the other. Where nothing moves (on paper, or
// if the reader wants no motion) the first screen stands.
func drawRecording(printed string) string {
	screens := strings.Split(printed, "\n$ decayctl ")[1:]
	width := 2*screenMargin + screenWidth
	height := titleHeight + screenLines*lineHeight + screenMargin
	total := len(screens) * screenSeconds
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" role="img" aria-labelledby="title">`+"\n", width, height)
	fmt.Fprintf(&b, "<title id=\"title\">decayctl demo: a dry run, a sweep, a second sweep that finds nothing, and the list of jobs</title>\n<style>%s", screenStyle)
	fmt.Fprintf(&b, "  @media (prefers-reduced-motion: no-preference) {\n    .screen { animation: show %ds step-end infinite }\n", total)
	for i := range screens {
		fmt.Fprintf(&b, "    .screen-%d { animation-delay: %ds }\n", i+1, i*screenSeconds)
	}
	fmt.Fprintf(&b, "    @keyframes show { 0%% { opacity: 1 } %.4g%% { opacity: 0 } 100%% { opacity: 0 } }\n  }\n</style>\n", 100/float64(len(screens)))
	fmt.Fprintf(&b, `<rect class="window" x="0.5" y="0.5" width="%d" height="%d" rx="8"/>`+"\n", width-1, height-1)
	for i := range 3 {
		fmt.Fprintf(&b, `<circle class="button" cx="%d" cy="17" r="5"/>`+"\n", screenMargin+4+18*i)
	}
	for i, screen := range screens {
		screen, _, _ = strings.Cut(screen, "\n\nThe second sweep found nothing more")
		hidden := ` opacity="0"`
		if i == 0 {
			hidden = ""
		}
		fmt.Fprintf(&b, "<g class=\"screen screen-%d\"%s>\n", i+1, hidden)
		lines := strings.Split("$ decayctl "+strings.TrimRight(screen, "\n"), "\n")
		for n, line := range lines {
			class := ""
			switch {
			case n == 0:
				class = ` class="prompt"`
			case n == screenLines-1 && len(lines) > screenLines:
				class, line = ` class="cut"`, "…"
			case n >= screenLines || line == "":
				continue
			}
			fmt.Fprintf(&b, `<text%s x="%d" y="%d" xml:space="preserve">%s</text>`+"\n", class, screenMargin, titleHeight+14+n*lineHeight, html.EscapeString(line))
		}
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return b.String()
}
