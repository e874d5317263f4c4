package report

import (
	"encoding/json"
	"os"
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
	tables, examples, _ := strings.Cut(string(page), "## Examples")
	blocks := strings.Split(examples, "```json\n")[1:]
	goldens := []string{"sweep.json", "dry-run.json", "error.json"}
	if len(blocks) != len(goldens) {
		t.Fatalf("%d examples, not %d", len(blocks), len(goldens))
	}
	for i, block := range blocks {
		block, _, _ = strings.Cut(block, "```")
		written, err := os.ReadFile("testdata/" + goldens[i] + ".golden")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(written), block); diff != "" {
			t.Errorf("docs/json.md, the example like %s (-written +documented):\n%s", goldens[i], diff)
		}
		var doc any
		if err := json.Unmarshal([]byte(block), &doc); err != nil {
			t.Fatal(err)
		}
		explained(t, tables, doc)
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
