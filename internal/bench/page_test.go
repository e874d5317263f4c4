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

// measured is the record in testdata.
func measured(t *testing.T) (rec record) {
	t.Helper()
	if err := load(filepath.Join("testdata", "results.json"), &rec); err != nil {
		t.Fatal(err)
	}
	return rec
}

func TestPage(t *testing.T) {
	golden(t, "page.md", page(measured(t), "", "benchmarks.svg"))
}

func TestPageKeepsWhatIsWrittenByHand(t *testing.T) {
	rec, note := measured(t), "\n## Tried, and no help\n\nMore of the same.\n"
	first := page(rec, "", "plot.svg")
	second := page(rec, first+note, "plot.svg")
	if second != first+note || page(rec, second, "plot.svg") != second {
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
	rs := results{
		{Store: sqliteStore, Facts: 100_000, Case: firstCase, Contestant: decayctl, Seconds: 1, PeakMB: 90},
		{Store: sqliteStore, Facts: 100_000, Case: firstCase, Contestant: nodeMethod, Seconds: 4},
		{Store: sqliteStore, Facts: 100_000, Case: firstCase, Contestant: script, Seconds: 1, Run: time.Unix(1, 0)},
		{Store: postgresStore, Facts: 100_000, Case: firstCase, Contestant: decayctl, Seconds: 3},
		{Store: postgresStore, Facts: 100_000, Case: firstCase, Contestant: decayctlTwo, Seconds: 2, PeakMB: 50},
		{Store: postgresStore, Facts: 100_000, Case: firstCase, Contestant: nodeMethod, Seconds: 50},
		{Store: sqliteStore, Facts: 1_000_000, Case: firstCase, Contestant: decayctl, Seconds: 13, PeakMB: 95},
		{Store: postgresStore, Facts: 1_000_000, Case: firstCase, Contestant: decayctlTwo, Seconds: 40, PeakMB: 60},
	}
	for _, test := range []struct {
		goal  int
		store string
		want  *ratio
	}{
		{0, sqliteStore, &ratio{value: "4.0 × faster", wanted: "≥ 4 ×", met: true}},
		{0, postgresStore, &ratio{value: "25.0 × faster", wanted: "≥ 25 ×", met: true}},
		{1, sqliteStore, &ratio{value: "1.00 × its time", wanted: "≤ 0.9 ×", mixed: true}},
		{1, postgresStore, nil},
		{5, sqliteStore, &ratio{value: "90 MB", wanted: "≤ 96 MB", met: true}},
		{6, sqliteStore, &ratio{value: "1.06 ×", wanted: "1 × within 10 %", met: true}},
		{6, postgresStore, &ratio{value: "1.20 ×", wanted: "1 × within 10 %"}},
		{8, sqliteStore, &ratio{value: "1.30 ×", wanted: "1 × within 20 %"}},
		{8, postgresStore, &ratio{value: "2.00 ×", wanted: "1 × within 20 %"}},
	} {
		got := goals[test.goal].of(rs, test.store, 100_000)
		if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(ratio{})); diff != "" {
			t.Errorf("%s, %s: %s", goals[test.goal].name, test.store, diff)
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
