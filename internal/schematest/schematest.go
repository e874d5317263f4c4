// Package schematest holds JSON that decayctl writes to the schemas in docs/schema. It exists for tests.
package schematest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// documents are the schemas, each with keys that tell its document from those behind it.
var documents = []struct {
	name string
	keys []string
}{
	{"error", []string{"error"}},
	{"plan", []string{"digest", "checksum"}},
	{"no-job", []string{"jobs", "message"}},
	{"doctor", []string{"privileges"}},
	{"jobs-list", []string{"jobs"}},
	{"forecast", []string{"not_forecast"}},
	{"dry-run", []string{"groups"}},
	{"job", []string{"examined"}},
	{"undo-dry-run", []string{"left_alone"}},
	{"detached", []string{"estimated_s"}},
	{"pruned", []string{"pruned"}},
	{"explain", []string{"rules_tried"}},
	{"policy-check", []string{"found"}},
	{"policy-show", []string{"from"}},
	{"change", []string{"edge_before"}},
	{"ddl", []string{"ddl"}},
	{"version", []string{"pgx_driver"}},
	{"config-show", []string{"settings"}},
	{"config-check", []string{"store", "rules"}},
}

// Schemas are those of a folder, compiled.
type Schemas map[string]*jsonschema.Schema

// Load compiles the schemas of a folder. A schema that is no valid one is an error.
func Load(folder string) (Schemas, error) {
	compiler, schemas := jsonschema.NewCompiler(), Schemas{}
	for _, d := range documents {
		schema, err := compiler.Compile(filepath.Join(folder, d.name+".json"))
		if err != nil {
			return nil, err
		}
		schemas[d.name] = schema
	}
	return schemas, nil
}

// Kind is the name of the schema that a document has to fit.
func Kind(document any) (string, error) {
	object, _ := document.(map[string]any)
next:
	for _, d := range documents {
		for _, key := range d.keys {
			if _, there := object[key]; !there {
				continue next
			}
		}
		return d.name, nil
	}
	return "", errors.New("no schema in docs/schema is of such a document")
}

// Check fails if a document does not fit its schema.
func (s Schemas) Check(document any) error {
	kind, err := Kind(document)
	if err != nil {
		return err
	}
	return s[kind].Validate(document)
}

// CheckAll checks the documents in an output, of which there may be several, and returns them.
func (s Schemas) CheckAll(output []byte) (all []any, err error) {
	decoder := json.NewDecoder(bytes.NewReader(output))
	decoder.UseNumber() // as the validator wants it: a large count is exact
	for {
		var document any
		switch err := decoder.Decode(&document); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return all, err
		}
		if err := s.Check(document); err != nil {
			return all, fmt.Errorf("document %d: %w", len(all)+1, err)
		}
		all = append(all, document)
	}
}
