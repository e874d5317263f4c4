package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-update writes it anew):\n%s", path, diff)
	}
}

// measured reads the record in testdata.
func measured(t *testing.T) (rec record) {
	t.Helper()
	if err := load(filepath.Join("testdata", "results.json"), &rec); err != nil {
		t.Fatal(err)
	}
	return rec
}

func TestPage(t *testing.T) {
	golden(t, "page.md", page(measured(t), "", "benchmarks.json", "benchmarks.svg"))
}

func TestPageKeepsWhatIsWrittenByHand(t *testing.T) {
	rec, note := measured(t), "\n## Tried, and no help\n\nMore of the same.\n"
	first := page(rec, "", "data.json", "plot.svg")
	second := page(rec, first+note, "data.json", "plot.svg")
	if second != first+note || page(rec, second, "data.json", "plot.svg") != second {
		t.Errorf("the page has become\n%s", second)
	}
}

func TestPlot(t *testing.T) {
	got := plot(measured(t).Results)
	for d := xml.NewDecoder(strings.NewReader(got)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "plot.svg", got)
}

func TestPlotOfNothing(t *testing.T) {
	if got := plot(nil); !strings.HasSuffix(got, "</svg>\n") {
		t.Error(got)
	}
}

func TestRatiosAreJudged(t *testing.T) {
	p99 := func(ms float64) *waiting { return &waiting{P99MS: ms} }
	rs := results{
		{Store: sqliteStore, Facts: 100_000, Case: firstCase, Contestant: decayctl, Seconds: 1, PeakMB: 90},
		{Store: sqliteStore, Facts: 100_000, Case: firstCase, Contestant: script, Seconds: 1, Run: time.Unix(1, 0)},
		{Store: sqliteStore, Facts: 100_000, Case: neighbourCase, Contestant: decayctl, Seconds: 3, Writer: &waiting{P99MS: 51, MaxMS: 250}},
		{Store: sqliteStore, Facts: 100_000, Case: nodeCase, Contestant: decayctl, Writer: p99(15), Queries: p99(6)},
		{Store: sqliteStore, Facts: 100_000, Case: nodeCase, Contestant: noSweep, Writer: p99(10), Queries: p99(5)},
		{Store: sqliteStore, Facts: 1_000_000, Case: nodeCase, Contestant: decayctl, Writer: &waiting{P99MS: 10, Lost: 1}, Queries: p99(5)},
		{Store: sqliteStore, Facts: 1_000_000, Case: nodeCase, Contestant: noSweep, Writer: p99(10), Queries: p99(5)},
		{Store: sqliteStore, Facts: 1_000_000, Case: firstCase, Contestant: decayctl, Seconds: 13, PeakMB: 97},
		{Store: postgresStore, Facts: 100_000, Case: firstCase, Contestant: decayctl, Seconds: 3},
		{Store: postgresStore, Facts: 100_000, Case: firstCase, Contestant: decayctlTwo, Seconds: 2, PeakMB: 50},
		{Store: postgresStore, Facts: 100_000, Case: firstCase, Contestant: nodeMethod, Seconds: 50},
		{Store: postgresStore, Facts: 100_000, Case: neighbourCase, Contestant: decayctl, Writer: &waiting{P99MS: 21, MaxMS: 60}},
		{Store: postgresStore, Facts: 100_000, Case: neighbourCase, Contestant: noSweep, Writer: p99(2)},
		{Store: postgresStore, Facts: 1_000_000, Case: firstCase, Contestant: decayctlTwo, Seconds: 40, PeakMB: 60},
		{Store: postgresStore, Facts: 100_000, Case: firstCase, Contestant: decayctlNoFK, Seconds: 1, LogMB: 70},
		{Store: postgresStore, Facts: 1_000_000, Case: firstCase, Contestant: decayctlNoFK, Seconds: 13, LogMB: 720},
	}
	for _, test := range []struct {
		store string
		goal  int
		facts int
		want  *ratio
	}{
		{sqliteStore, 0, 100_000, &ratio{value: "3.00 × its time", wanted: "≤ 3 ×", met: true}},
		{sqliteStore, 0, 1_000_000, nil},
		{sqliteStore, 1, 100_000, &ratio{value: "p99 51 ms, max 250 ms, 0 failed", wanted: "p99 ≤ 50 ms, max ≤ 250 ms, 0 failed"}},
		{sqliteStore, 2, 100_000, &ratio{value: "facts 1.50 ×, queries 1.20 ×, 0 failed, 0 lost", wanted: "both ≤ 1.5 ×, 0 failed, 0 lost", met: true}},
		{sqliteStore, 2, 1_000_000, &ratio{value: "facts 1.00 ×, queries 1.00 ×, 0 failed, 1 lost", wanted: "both ≤ 1.5 ×, 0 failed, 0 lost"}},
		{sqliteStore, 3, 100_000, &ratio{value: "1.00 × its time", wanted: "≤ 0.95 ×", mixed: true}},
		{sqliteStore, 4, 100_000, nil},
		{sqliteStore, 6, 100_000, &ratio{value: "90 MB, 97 MB", wanted: "≤ 96 MB"}},
		{sqliteStore, 6, 1_000_000, &ratio{value: "97 MB", wanted: "≤ 96 MB"}},
		{postgresStore, 0, 100_000, &ratio{value: "25.0 × faster", wanted: "≥ 25 ×", met: true}},
		{postgresStore, 1, 100_000, nil},
		{postgresStore, 5, 100_000, &ratio{value: "50 MB", wanted: "≤ 64 MB", met: true}},
		{postgresStore, 6, 100_000, &ratio{value: "1.20 ×", wanted: "1 × within 10 %"}},
		{postgresStore, 7, 100_000, &ratio{value: "p99 21 ms, max 60 ms, 0 failed", wanted: "p99 ≤ 20 ms above 2 ms without a sweep, 0 failed", met: true}},
		{postgresStore, 8, 100_000, &ratio{value: "2.00 ×", wanted: "1 × within 20 %"}},
		{postgresStore, 9, 100_000, &ratio{value: "50.0 × faster", wanted: "≥ 25 ×", met: true}},
		{postgresStore, 10, 100_000, nil},
		{postgresStore, 11, 1_000_000, &ratio{value: "0.70 GB", wanted: "≤ 0.7 GB"}},
		{postgresStore, 12, 100_000, &ratio{value: "1.30 × and 1.03 ×", wanted: "both ≤ 1.3 ×", met: true}},
		{postgresStore, 12, 1_000_000, nil},
	} {
		g := goals[test.store][test.goal]
		if diff := cmp.Diff(test.want, g.of(rs, test.facts), cmp.AllowUnexported(ratio{})); diff != "" {
			t.Errorf("%s, %s, %d facts: %s", test.store, g.name, test.facts, diff)
		}
	}
}

func TestAddMergesRuns(t *testing.T) {
	at := func(hour int) time.Time { return time.Date(2026, 1, 1, hour, 0, 0, 0, time.UTC) }
	one := func(store, of string, hour int) result {
		return result{Store: store, Facts: 1000, Case: of, Contestant: decayctl, Run: at(hour)}
	}
	var rec record
	rec.add(session{At: at(1)}, results{one(postgresStore, firstCase, 1)})
	rec.add(session{At: at(2)}, results{one(sqliteStore, undoCase, 2), one(sqliteStore, firstCase, 2)})
	rec.add(session{At: at(3)}, results{one(postgresStore, firstCase, 3)})
	rec.add(session{At: at(3)}, results{one(postgresStore, firstCase, 3), one(postgresStore, nothingCase, 3)}) // further on
	want := record{
		Runs: []session{{At: at(2)}, {At: at(3)}},
		Results: results{
			one(sqliteStore, firstCase, 2), one(sqliteStore, undoCase, 2),
			one(postgresStore, firstCase, 3), one(postgresStore, nothingCase, 3),
		},
	}
	if diff := cmp.Diff(want, rec); diff != "" {
		t.Error(diff)
	}
	text, err := json.Marshal(rec)
	if err != nil {
		t.Fatal(err)
	}
	var read record
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rec, read); diff != "" {
		t.Errorf("written and read again: %s", diff)
	}
}
