// Package plan is the result of a dry run as a file, so that a later sweep does the same or nothing. It does no I/O: cli
// reads and writes the files, sweep collects the facts.
package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"decayctl/internal/fact"
	"decayctl/internal/rule"
)

// SchemaVersion is the version of the file's format. It changes if a field changes its meaning, or the digest its input.
const SchemaVersion = 1

// MaxSize is the size limit of a plan file, in bytes. A sketch takes up to 110 kB, policies as much as in their file.
const MaxSize = 64 << 20

// Plan is a dry run that can be applied.
type Plan struct {
	Version string // of the decayctl that made it
	Created time.Time
	Store   Store
	Rules   rule.Set
	AsOf    time.Time
	Scope   string // "" is every scope
	Tenant  string // "" is every tenant
	Sum     *Sum
}

// Store identifies a fact store.
type Store struct {
	NodeID  string `json:"node_id"` // node_meta.node_id; "" if it is not known
	Kind    string `json:"kind"`
	Address string `json:"address"` // with neither user nor password
}

// Invalid is the error of a file that is no plan, or a plan that cannot be applied. Its text continues the file's name.
type Invalid struct{ Text string }

func (e *Invalid) Error() string { return e.Text }

func invalid(format string, args ...any) error { return &Invalid{fmt.Sprintf(format, args...)} }

// document is the file as JSON. A field without a value is null or empty, never missing.
type document struct {
	SchemaVersion int     `json:"schema_version"`
	Decayctl      string  `json:"decayctl"`
	CreatedAt     string  `json:"created_at"`
	Store         Store   `json:"store"`
	Rules         string  `json:"rules"`
	Fingerprint   string  `json:"fingerprint"`
	AsOf          string  `json:"as_of"`
	Scope         *string `json:"scope"`
	Tenant        *string `json:"tenant"`
	sumDocument
	Checksum string `json:"checksum"` // of all fields above
}

// sumDocument is a Sum as text.
type sumDocument struct {
	Facts   int64            `json:"facts"`
	Reduced int64            `json:"reduced"`
	ByRule  map[string]int64 `json:"by_rule"`
	Digest  string           `json:"digest"`
	Sketch  string           `json:"sketch"`
}

func (s *Sum) document() sumDocument {
	return sumDocument{s.Facts, s.Reduced, s.ByRule, s.Digest(), s.sketch.String()}
}

func (d sumDocument) sum(rules rule.Set, asOf time.Time) (*Sum, error) {
	s := NewSum(rules, asOf)
	s.Facts, s.Reduced = d.Facts, d.Reduced
	if d.ByRule != nil {
		s.ByRule = d.ByRule
	}
	if err := s.setDigest(d.Digest); err != nil {
		return nil, err
	}
	var err error
	s.sketch, err = parseSketch(d.Sketch)
	return s, err
}

// Encode writes the plan as a file.
func (p Plan) Encode() ([]byte, error) {
	d := document{
		SchemaVersion: SchemaVersion, Decayctl: p.Version, CreatedAt: fact.FormatInstant(p.Created), Store: p.Store,
		Rules: p.Rules.String(), Fingerprint: p.Rules.Fingerprint(), AsOf: fact.FormatInstant(p.AsOf),
		Scope: orNull(p.Scope), Tenant: orNull(p.Tenant), sumDocument: p.Sum.document(),
	}
	// JSON would replace bytes that are not UTF-8, and the plan would then be of another tenant.
	if !utf8.ValidString(d.Rules + p.Tenant) {
		return nil, errors.New("a plan cannot hold text that is not UTF-8, and the rules or the tenant are none")
	}
	var err error
	if d.Checksum, err = d.checksum(); err != nil {
		return nil, err
	}
	return encode(d, "  ")
}

// Parse reads a file. Errors: *Invalid.
func Parse(data []byte) (Plan, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return Plan{}, invalid("is empty; save a new plan with 'decayctl dry-run --save'")
	}
	var head struct {
		SchemaVersion *int64  `json:"schema_version"`
		Decayctl      string  `json:"decayctl"`
		Checksum      *string `json:"checksum"`
	}
	err := json.NewDecoder(bytes.NewReader(data)).Decode(&head)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return Plan{}, invalid("is cut off; save a new plan with 'decayctl dry-run --save'")
	case err != nil || head.SchemaVersion == nil || head.Checksum == nil:
		return Plan{}, invalid("is no plan; 'decayctl dry-run --save' makes one")
	case *head.SchemaVersion != SchemaVersion:
		return Plan{}, invalid("has schema version %d, and this decayctl reads version %d; apply it with the decayctl that made it (%s), or save a new plan", *head.SchemaVersion, SchemaVersion, head.Decayctl)
	}
	var d document
	changed := invalid("was changed after it was saved: its checksum does not match; save a new plan with 'decayctl dry-run --save'")
	if json.Unmarshal(data, &d) != nil {
		return Plan{}, changed
	}
	// A reader of the file must not see what is not applied, such as an unknown key or the first one of two.
	canonical, err := encode(d, "")
	var compact bytes.Buffer
	if err != nil || json.Compact(&compact, data) != nil || !bytes.Equal(compact.Bytes(), bytes.TrimSpace(canonical)) {
		return Plan{}, changed
	}
	if sum, err := d.checksum(); err != nil || sum != d.Checksum {
		return Plan{}, changed
	}
	p, err := d.plan()
	if err != nil {
		return Plan{}, invalid("cannot be read: %s", err)
	}
	return p, nil
}

func (d document) plan() (p Plan, err error) {
	p = Plan{Version: d.Decayctl, Store: d.Store}
	if d.Scope != nil {
		p.Scope = *d.Scope
	}
	if d.Tenant != nil {
		p.Tenant = *d.Tenant
	}
	if p.Created, err = fact.ParseInstant(d.CreatedAt); err != nil {
		return p, err
	}
	if p.AsOf, err = fact.ParseInstant(d.AsOf); err != nil {
		return p, err
	}
	if p.Rules, err = rule.ParseSet(d.Rules); err != nil {
		return p, err
	}
	if p.Rules.Empty() || p.Rules.Fingerprint() != d.Fingerprint {
		return p, errors.New("its rules and its fingerprint do not agree")
	}
	p.Sum, err = d.sum(p.Rules, p.AsOf)
	return p, err
}

// checksum is the checksum of the document, computed without the field itself.
func (d document) checksum() (string, error) {
	d.Checksum = ""
	text, err := encode(d, "")
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

func encode(d document, indent string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	err := e.Encode(d)
	return b.Bytes(), err
}

// CheckStore returns *Invalid if the plan was made for another store. If both node ids are known, they decide, since one
// store may have several addresses.
func (p Plan) CheckStore(here Store) error {
	made := p.Store
	switch {
	case made.Kind != here.Kind:
		return invalid("was made for a store of the kind %s, and this one is %s", made.Kind, here.Kind)
	case made.NodeID != "" && here.NodeID != "":
		if made.NodeID != here.NodeID {
			return invalid("was made for the store of node %s (%s), and this is the one of node %s (%s)", made.NodeID, made.Address, here.NodeID, here.Address)
		}
	case made.Address != here.Address:
		return invalid("was made for %s, and this is %s; the id of the node is not known on both sides, so the addresses have to be equal", made.Address, here.Address)
	}
	return nil
}

func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
