package report

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"

	"decayctl/internal/fact"
	"decayctl/internal/job"
)

// ChangeForms are the output formats of Changes.
var ChangeForms = []string{"text", "csv", "ndjson"}

// Changes writes the changes of a job, a line for each fact. It keeps none of them in memory: there may be millions.
type Changes struct {
	out  *bufio.Writer
	csv  *csv.Writer // nil in other formats
	line func(job.Change) error
}

// NewChanges makes a writer for one of ChangeForms; "" is text. CSV has a header even without changes.
func NewChanges(w io.Writer, form string) (*Changes, error) {
	c := &Changes{out: bufio.NewWriter(w)}
	switch form {
	case "", "text":
		c.line = c.text
	case "csv":
		c.csv = csv.NewWriter(c.out)
		c.line = func(change job.Change) error { return c.csv.Write(record(change)) }
		return c, c.csv.Write(changeColumns)
	case "ndjson":
		c.line = func(change job.Change) error { return writeLine(c.out, changeOf(change)) }
	default:
		return nil, fmt.Errorf("%q is no form for changes; use %s", form, strings.Join(ChangeForms, ", "))
	}
	return c, nil
}

// Write writes one change.
func (c *Changes) Write(change job.Change) error { return c.line(change) }

// Flush writes what is buffered. Call it after the last change.
func (c *Changes) Flush() error {
	if c.csv != nil {
		c.csv.Flush()
		if err := c.csv.Error(); err != nil {
			return err
		}
	}
	return c.out.Flush()
}

// text is a change as text: the fact, the rule, and the override before and after. Nothing is shortened, so that ids
// can be copied.
func (c *Changes) text(change job.Change) error {
	_, err := fmt.Fprintf(c.out, "%s\t%s\t%s → %s\n", Clean(change.FactID), change.Rule(), inWords(change.Before), inWords(&change.After))
	return err
}

// inWords is the meaning of an override for its fact.
func inWords(o *fact.Override) string {
	if o == nil {
		return "no override"
	}
	words := "no expiry"
	if o.ValidUntil != nil {
		words = Clean(*o.ValidUntil)
	}
	if o.Confidence != nil {
		words += ", confidence " + decimal(o.Confidence)
	}
	return words
}

var changeColumns = []string{
	"fact_id", "rule",
	"before_valid_until", "before_confidence", "before_reason", "before_updated_at", "before_updated_by",
	"valid_until", "confidence", "reason", "updated_at", "updated_by",
	"retraction_id", "edge_before_valid_until", "edge_before_decay_epoch", "edge_before_confidence",
}

// record is a change in the order of changeColumns, with "" for NULL.
func record(c job.Change) []string {
	before, edge := fact.Override{}, fact.Edge{}
	if c.Before != nil {
		before = *c.Before
	}
	if c.Edge != nil {
		edge = *c.Edge
	}
	epoch := ""
	if edge.DecayEpoch != nil {
		epoch = strconv.FormatInt(*edge.DecayEpoch, 10)
	}
	cells := []string{c.FactID, c.Rule()}
	for _, o := range []fact.Override{before, c.After} {
		cells = append(cells, orNothing(o.ValidUntil), decimal(o.Confidence), orNothing(o.Reason), o.UpdatedAt, orNothing(o.UpdatedBy))
	}
	cells = append(cells, c.Retraction, orNothing(edge.ValidUntil), epoch, decimal(edge.Confidence))
	for i, cell := range cells {
		cells[i] = escape(cell, "")
	}
	return cells
}

func orNothing(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// decimal is the shortest decimal that parses to the same number; "" for nil.
func decimal(n *float64) string {
	if n == nil {
		return ""
	}
	return strconv.FormatFloat(*n, 'g', -1, 64)
}

// changeLine is the JSON of a change. Its names are those of changeColumns, except for the two objects.
type changeLine struct {
	FactID string    `json:"fact_id"`
	Rule   string    `json:"rule"`
	Before *override `json:"before"`
	override
	RetractionID *string `json:"retraction_id"`
	EdgeBefore   *edge   `json:"edge_before"`
}

type override struct {
	ValidUntil *string  `json:"valid_until"`
	Confidence *float64 `json:"confidence"`
	Reason     *string  `json:"reason"`
	UpdatedAt  string   `json:"updated_at"`
	UpdatedBy  *string  `json:"updated_by"`
}

type edge struct {
	ValidUntil *string  `json:"valid_until"`
	DecayEpoch *int64   `json:"decay_epoch"`
	Confidence *float64 `json:"confidence"`
}

func changeOf(c job.Change) changeLine {
	line := changeLine{FactID: c.FactID, Rule: c.Rule(), override: overrideOf(c.After), RetractionID: orNull(c.Retraction)}
	if c.Before != nil {
		before := overrideOf(*c.Before)
		line.Before = &before
	}
	if c.Edge != nil {
		line.EdgeBefore = &edge{c.Edge.ValidUntil, c.Edge.DecayEpoch, finite(c.Edge.Confidence)}
	}
	return line
}

func overrideOf(o fact.Override) override {
	return override{o.ValidUntil, finite(o.Confidence), o.Reason, o.UpdatedAt, o.UpdatedBy}
}
