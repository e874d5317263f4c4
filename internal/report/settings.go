package report

import (
	"io"

	"decayctl/internal/rule"
)

// Settings are the settings in force, with where each is from.
type Settings struct{ List []Setting }

// Setting is one setting in force.
type Setting struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	From  string `json:"from"`
}

// WriteJSON writes the settings as one JSON document.
func (s Settings) WriteJSON(w io.Writer) error {
	return write(w, struct {
		SchemaVersion int       `json:"schema_version"`
		Settings      []Setting `json:"settings"`
	}{schemaVersion, s.List})
}

// WriteText writes the settings as a table. Settings without a value are in it too, as a list of what can be set.
func (s Settings) WriteText(w io.Writer, style Style) error {
	p := &page{Style: style}
	var rows [][]string
	for _, one := range s.List {
		value := short(one.Value)
		if value == "" {
			value = "–"
		}
		rows = append(rows, []string{one.Key, value, short(one.From)})
	}
	p.table([]column{{"SETTING", wordCells}, {"VALUE", nameCells}, {"FROM", nameCells}}, rows)
	_, err := io.WriteString(w, p.String())
	return err
}

// Usable says that the settings are valid, with the store and rules that they name.
type Usable struct {
	Target string // the store, password masked
	Rules  rule.Set
}

// WriteJSON writes it as one JSON document.
func (u Usable) WriteJSON(w io.Writer) error {
	return write(w, struct {
		SchemaVersion int      `json:"schema_version"`
		Store         string   `json:"store"`
		Rules         *ruleSet `json:"rules"`
		Fingerprint   string   `json:"fingerprint"`
	}{schemaVersion, u.Target, ruleSetOf(u.Rules), u.Rules.Fingerprint()})
}

// WriteText writes it as a sentence.
func (u Usable) WriteText(w io.Writer, _ Style) error {
	rules := "no rule is on"
	if !u.Rules.Empty() {
		rules = u.Rules.Words()
	}
	return writeLines(w, "The settings can be used: "+Clean(u.Target)+", "+rules+".")
}
