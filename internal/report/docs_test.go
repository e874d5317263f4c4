package report

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The examples in the documentation are what the code writes, and no field goes unexplained.
func TestDocumentation(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	tables, rest, _ := strings.Cut(string(page), "## Examples")
	examples, _, _ := strings.Cut(rest, "## With jq")
	blocks := regexp.MustCompile("(?s)```([a-z]+)\n(.*?)```\n").FindAllStringSubmatch(examples, -1)
	goldens := []string{
		"failed-facts.json", "dry-run.json", "jobs.json", "detached.json", "undoable.json", "pruned.json", "ill.json", "explained.json", "forecast.json", "policies.json", "checked.json", "error.json", "error-detail.json",
		"changes.ndjson", "changes.csv",
	}
	if len(blocks) != len(goldens) {
		t.Fatalf("%d examples, not %d", len(blocks), len(goldens))
	}
	for i, block := range blocks {
		form, text := block[1], block[2]
		if !strings.HasSuffix(goldens[i], "."+form) {
			t.Errorf("the example like %s is shown as %s", goldens[i], form)
		}
		written, err := os.ReadFile("testdata/" + goldens[i] + ".golden")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(written), text); diff != "" {
			t.Errorf("docs/json.md, the example like %s (-written +documented):\n%s", goldens[i], diff)
		}
		if form == "csv" {
			continue
		}
		documents := json.NewDecoder(strings.NewReader(text))
		for documents.More() {
			var doc any
			if err := documents.Decode(&doc); err != nil {
				t.Fatal(err)
			}
			explained(t, tables, doc)
		}
	}
	for _, name := range changeColumns {
		if !strings.Contains(tables, "`"+name+"`") {
			t.Errorf("docs/json.md does not explain the column %s", name)
		}
	}
	for name, r := range runs() {
		if state := "| `" + string(r.Job.State) + "` |"; !strings.Contains(tables, state) {
			t.Errorf("docs/json.md does not explain the status of %s: %s", name, state)
		}
	}
}

func explained(t *testing.T, tables string, doc any) {
	t.Helper()
	switch doc := doc.(type) {
	case map[string]any:
		for key, value := range doc {
			if !strings.Contains(tables, "`"+key+"`") {
				t.Errorf("docs/json.md does not explain %s", key)
			}
			explained(t, tables, value)
		}
	case []any:
		for _, value := range doc {
			explained(t, tables, value)
		}
	}
}
