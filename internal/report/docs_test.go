package report

import (
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// The examples in the documentation are parts of what the code writes, and no column and no status goes unexplained.
func TestDocumentation(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	examples := regexp.MustCompile("(?s)```(json|ndjson|csv)\n(.*?)```\n").FindAllStringSubmatch(page, -1)
	goldens := []string{
		"failed-facts.json", "dry-run.json", "jobs.json", "changes.ndjson", "changes.csv", "explained.json", "forecast.json",
		"policies.json", "checked.json", "ill.json", "error-detail.json",
	}
	if len(examples) != len(goldens) {
		t.Fatalf("%d examples, not %d", len(examples), len(goldens))
	}
	for i, example := range examples {
		form, shown := example[1], example[2]
		if !strings.HasSuffix(goldens[i], "."+form) {
			t.Errorf("the example like %s is shown as %s", goldens[i], form)
		}
		written, err := os.ReadFile("testdata/" + goldens[i] + ".golden")
		if err != nil {
			t.Fatal(err)
		}
		if form == "json" {
			if at := differs("", decoded(t, shown), decoded(t, string(written))); at != "" {
				t.Errorf("docs/json.md, the example like %s: %s is not what decayctl writes", goldens[i], at)
			}
			continue
		}
		for line := range strings.Lines(shown) {
			if !strings.Contains("\n"+string(written), "\n"+line) {
				t.Errorf("docs/json.md, the example like %s: no such line is written: %s", goldens[i], line)
			}
		}
	}
	for _, name := range changeColumns {
		if !strings.Contains(page, "`"+name+"`") {
			t.Errorf("docs/json.md does not explain the column %s", name)
		}
	}
	for name, r := range runs() {
		if state := "| `" + string(r.Job.State) + "` |"; !strings.Contains(page, state) {
			t.Errorf("docs/json.md does not explain the status of %s: %s", name, state)
		}
	}
}

func decoded(t *testing.T, text string) (doc any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// differs is where an example has what the document does not have, or "". An example may leave out keys and members of
// lists, but not all of them.
func differs(at string, shown, written any) string {
	switch shown := shown.(type) {
	case map[string]any:
		object, _ := written.(map[string]any)
		if len(shown) == 0 {
			break
		}
		for key, value := range shown {
			if _, has := object[key]; !has {
				return at + "." + key
			}
			if wrong := differs(at+"."+key, value, object[key]); wrong != "" {
				return wrong
			}
		}
		return ""
	case []any:
		rest, _ := written.([]any)
		if len(shown) == 0 {
			break
		}
		for _, member := range shown {
			for len(rest) > 0 && differs(at, member, rest[0]) != "" {
				rest = rest[1:]
			}
			if len(rest) == 0 {
				return at + "[]"
			}
			rest = rest[1:]
		}
		return ""
	}
	if !reflect.DeepEqual(shown, written) {
		return at
	}
	return ""
}
