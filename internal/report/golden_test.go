package report

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jedib0t/go-pretty/v6/text"
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
	for name, r := range map[string]Run{
		"dry-run": dryRun(), "sweep": swept(), "interrupted": interrupted(), "nothing": nothingToDo(), "failed-dry-run": failedDryRun(),
	} {
		golden(t, name+"-80.txt", render(t, r, Style{Width: 80}))
	}
	golden(t, "failures-pipe.txt", render(t, manyFailures(), Style{}))
	golden(t, "many-groups-40.txt", render(t, manyGroups(), Style{Width: 40}))
	golden(t, "many-groups-80.txt", render(t, manyGroups(), Style{Width: 80}))
	golden(t, "many-groups-120.txt", render(t, manyGroups(), Style{Width: 120, Color: true}))
	golden(t, "many-groups-pipe.txt", render(t, manyGroups(), Style{}))
}

func TestJSON(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]Run{"dry-run": dryRun(), "sweep": swept(), "interrupted": interrupted()} {
		var b strings.Builder
		if err := r.WriteJSON(&b); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".json", b.String())
	}
	var b strings.Builder
	if err := WriteErrorJSON(&b, "usage", "--ttl 90: a duration needs a unit <d>", 2); err != nil {
		t.Fatal(err)
	}
	golden(t, "error.json", b.String())
}
