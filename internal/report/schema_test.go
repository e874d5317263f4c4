package report

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"decayctl/internal/schematest"
)

const schemaFolder = "../../docs/schema"

// Every document fits its schema, and its schema knows each of its keys: a key that the schema does not name is an
// error, and so is one that is missing. A new key without its schema fails here, as does one that vanishes.
func TestSchemas(t *testing.T) {
	t.Parallel()
	schemas, err := schematest.Load(schemaFolder)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, form := range []string{"json", "ndjson"} {
		found, err := filepath.Glob("testdata/*." + form + ".golden")
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	seen := map[string]bool{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		documents, err := schemas.CheckAll(text)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		for _, document := range documents {
			kind, err := schematest.Kind(document)
			if err != nil {
				t.Fatal(err)
			}
			seen[kind] = true
			strict(t, path, "", document, func() error { return schemas[kind].Validate(document) })
		}
	}
	// The scripts of cli, and the tests of plan, have the others.
	for _, kind := range []string{"config-check", "config-show", "ddl", "plan", "version"} {
		seen[kind] = true
	}
	if known := slices.Sorted(maps.Keys(schemas)); !slices.Equal(known, slices.Sorted(maps.Keys(seen))) {
		t.Errorf("there are schemas of %q, and documents of %q", known, slices.Sorted(maps.Keys(seen)))
	}
}

// openObjects have keys that are names of rules, policies, tenants or fields, and may have fewer of them.
var openObjects = []string{"by_rule", "by_tenant", "dry_run_by_policy", "from"}

// strict adds a key to each object in a document, and takes each key away, and wants the document to be refused. key is
// what the value is under.
func strict(t *testing.T, path, key string, value any, check func() error) {
	t.Helper()
	switch value := value.(type) {
	case []any:
		for _, each := range value {
			strict(t, path, key, each, check)
		}
	case map[string]any:
		keys := slices.Sorted(maps.Keys(value))
		value["unheard of"] = []any{}
		if check() == nil {
			t.Errorf("%s: a key that no schema names is let pass beside %q", path, keys)
		}
		delete(value, "unheard of")
		for _, each := range keys {
			kept := value[each]
			delete(value, each)
			if check() == nil && !slices.Contains(openObjects, key) && each != "detail" {
				t.Errorf("%s: %q may be missing", path, each)
			}
			value[each] = kept
			strict(t, path, each, kept, check)
		}
	}
}

// Each object in a schema says which other keys it may have. Those of documents that no golden file has are seen here too.
func TestSchemasNameAllKeys(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob(schemaFolder + "/*.json")
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var schema map[string]any
		if err := json.Unmarshal(text, &schema); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		closed(t, filepath.Base(path), schema)
	}
}

func closed(t *testing.T, at string, schema any) {
	t.Helper()
	switch schema := schema.(type) {
	case []any:
		for _, each := range schema {
			closed(t, at, each)
		}
	case map[string]any:
		if schema["type"] == "object" && schema["properties"] != nil && schema["additionalProperties"] == nil && at != "common.json/$defs/run" {
			t.Errorf("%s lets any key pass", at)
		}
		for key, value := range schema {
			closed(t, at+"/"+key, value)
		}
	}
}

// docs/json.md names every schema, and explains every key that one has, and every word that a value may be.
func TestSchemasAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(schemaFolder)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !strings.Contains(string(page), "(schema/"+file.Name()+")") {
			t.Errorf("docs/json.md has no link to schema/%s", file.Name())
		}
		text, err := os.ReadFile(filepath.Join(schemaFolder, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range vocabulary(decoded(t, string(text))) {
			if !strings.Contains(string(page), "`"+word+"`") {
				t.Errorf("docs/json.md does not explain `%s` of schema/%s", word, file.Name())
			}
		}
	}
}

// vocabulary are the keys that a schema names, and the texts that it lists as values.
func vocabulary(schema any) (found []string) {
	switch schema := schema.(type) {
	case []any:
		for _, each := range schema {
			found = append(found, vocabulary(each)...)
		}
	case map[string]any:
		for key, value := range schema {
			properties, _ := value.(map[string]any)
			values, _ := value.([]any)
			switch key {
			case "properties":
				found = slices.AppendSeq(found, maps.Keys(properties))
			case "enum":
				for _, each := range values {
					if text, ok := each.(string); ok {
						found = append(found, text)
					}
				}
			}
			found = append(found, vocabulary(value)...)
		}
	}
	return found
}
