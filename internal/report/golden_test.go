package report

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jedib0t/go-pretty/v6/text"

	"decayctl/internal/job"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	text.OverrideRuneWidthEastAsianWidth(false) // it follows the developer's locale
	os.Exit(m.Run())
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
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
		t.Errorf("%s (-golden +now; -update writes it anew):\n%s", path, diff)
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	for name, r := range runs() {
		golden(t, name+"-80.txt", asText(t, r, Style{Width: 80}))
	}
	golden(t, "failures-pipe.txt", asText(t, failing(12), Style{}))
	golden(t, "pictured-80.txt", asText(t, pictured(), Style{Width: 80, Draw: true}))
	golden(t, "pictured-120.txt", asText(t, pictured(), Style{Width: 120, Draw: true, Color: true}))
	for name, s := range map[string]Style{"pipe": {Draw: true}, "narrow": {Width: narrowestPicture - 1, Draw: true}, "dumb": {Width: 80}} {
		if got := asText(t, pictured(), s); strings.ContainsAny(got, "█░") {
			t.Errorf("pictures for %s:\n%s", name, got)
		}
	}
	golden(t, "many-groups-40.txt", asText(t, manyGroups(), Style{Width: 40}))
	golden(t, "many-groups-80.txt", asText(t, manyGroups(), Style{Width: 80}))
	golden(t, "many-groups-120.txt", asText(t, manyGroups(), Style{Width: 120, Color: true}))
	golden(t, "many-groups-pipe.txt", asText(t, manyGroups(), Style{}))
	golden(t, "many-tenants-pipe.txt", asText(t, manyTenants(), Style{}))
	golden(t, "jobs-80.txt", asText(t, list(), Style{Width: 80, Color: true}))
	golden(t, "jobs-pipe.txt", asText(t, list(), Style{}))
	golden(t, "jobs-plain-pipe.txt", asText(t, Jobs{Target: target, Now: asOf, Each: each(swept().Job)}, Style{}))
	golden(t, "jobs-none.txt", asText(t, Jobs{Target: target, Each: each()}, Style{}))
	for name, d := range notices() {
		golden(t, name+".txt", asText(t, d, Style{}))
	}
	for name, d := range forecasts() {
		golden(t, name+"-80.txt", asText(t, d, Style{Width: 80}))
	}
	for _, form := range ChangeForms {
		golden(t, "changes."+form, stream(t, form, changes()...))
		golden(t, "changes-none."+form, stream(t, form))
	}
}

func TestMarkdown(t *testing.T) {
	t.Parallel()
	for name, d := range pages() {
		golden(t, name+".md", asMarkdown(t, d))
	}
}

// The golden files of pages have neither style nor script, which are files of their own.
func TestHTML(t *testing.T) {
	t.Parallel()
	without := strings.NewReplacer(pageStyle, "…", pageScript, "…", hashOf(pageStyle), "STYLE", hashOf(pageScript), "SCRIPT")
	for name, d := range pages() {
		golden(t, name+".html", without.Replace(asHTML(t, d)))
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	for name, r := range runs() {
		golden(t, name+".json", asJSON(t, r))
	}
	for name, d := range notices() {
		golden(t, name+".json", asJSON(t, d))
	}
	golden(t, "jobs.json", asJSON(t, Jobs{Target: target, Each: each(running().Job, nodes(job.Done).Job)}))
	golden(t, "jobs-none.json", asJSON(t, Jobs{Target: target, Each: each()}))
	golden(t, "error.json", asError(t, "usage", "--ttl 90: a duration needs a unit <d>", "", 2))
	golden(t, "error-detail.json", asError(t, "not_permitted", "the role may not create tables", "CREATE TABLE a (b TEXT);\nGRANT SELECT ON a TO b;", 7))
}
