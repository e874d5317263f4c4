package rule

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"decayctl/internal/fact"
)

// Mode is what a policy does to the facts on which it decides.
type Mode string

// The modes. The last three have the names of the node's specification.
const (
	ModeExpire     Mode = "expire"     // as the ttl rule
	ModeRetract    Mode = "retract"    // confidence 0, an expiry and a row in the retraction log
	ModeConfidence Mode = "confidence" // halves the confidence with each half-life
	ModeDryRun     Mode = "dry_run"    // counts what it would do, apart from all other rules
)

// Modes are all modes.
var Modes = []Mode{ModeExpire, ModeRetract, ModeConfidence, ModeDryRun}

// DefaultMinStep is the default of MinStep. It keeps a daily sweep from writing every fact that fades a little each day.
const DefaultMinStep = 0.01

// MaxKeepLast is the largest KeepLast. As many ids are kept in memory for each group of facts.
const MaxKeepLast = 1000

// NamePolicy is the prefix of a policy's id in the name of its rule.
const NamePolicy = "policy:"

// Policy is a rule for some facts. The first matching policy of a set decides on a fact, and the set's ttl does not.
type Policy struct {
	ID       string
	Relation string // a glob; * matches any
	Entity   string // a glob; "" matches any
	Source   string // a glob; "" matches any
	Scope    string // "" is every scope
	Tenant   string // "" is every tenant
	Mode     Mode

	TTL           *TTL     // for the modes expire, retract, dry_run; 1 or more; nil is none
	HalfLife      TTL      // for the modes confidence, dry_run; 0 is none
	MinConfidence float64  // the confidence does not fade below this, 0 to 1
	MinStep       float64  // the smallest change of confidence that is written, 0 to 1
	KeepLast      int      // newest unexpired facts of each group that are never expired or retracted; 0 is none
	Exempt        []string // globs of relations: such facts are left alone if this policy matches
}

// Name is the name of the rule.
func (p *Policy) Name() string { return NamePolicy + p.ID }

// fades tells whether the policy reduces the confidence of facts, or would in another mode.
func (p *Policy) fades() bool { return p.HalfLife > 0 }

// Relations are the relations that the policy may match: name alone or, with prefix, all that begin with name. "" is all.
func (p *Policy) Relations() (name string, prefix bool) {
	g := glob(p.Relation)
	if g.exact() {
		return p.Relation, false
	}
	return g.prefix(), g.prefix() != ""
}

// Unlimited tells whether the policy matches every fact, at least of one tenant: many stores have only one.
func (p *Policy) Unlimited() bool {
	return glob(p.Relation).any() && glob(p.Entity).any() && glob(p.Source).any() && p.Scope == ""
}

// exempts tells whether the policy leaves facts of a relation alone.
func (p *Policy) exempts(relation string) bool {
	return slices.ContainsFunc(p.Exempt, func(pattern string) bool { return glob(pattern).matches(relation) })
}

// Fault is what is wrong with a field of a policy, and what to do, in one clause.
type Fault struct{ Field, Text string }

func (f *Fault) Error() string { return f.Field + ": " + f.Text }

// Check fails with a *Fault if a field is missing, wrong, or contradicts another.
func (p *Policy) Check() error {
	for _, check := range []func() *Fault{p.checkNames, p.checkMode, p.checkNumbers} {
		if fault := check(); fault != nil {
			return fault
		}
	}
	return nil
}

const longestID = 100 // bytes: every override that the policy writes has the id

func (p *Policy) checkNames() *Fault {
	switch {
	case p.ID == "":
		return &Fault{"id", "it is missing; every policy needs one"}
	case len(p.ID) > longestID || strings.TrimSpace(p.ID) != p.ID || strings.ContainsFunc(p.ID, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }):
		return &Fault{"id", fmt.Sprintf("write %d visible characters at most, without blanks around them", longestID)}
	case p.Relation == "":
		return &Fault{"relation", "it is missing; write * for every relation"}
	case p.Scope != "" && !slices.Contains(fact.Scopes, p.Scope):
		return &Fault{"scope", "write one of " + strings.Join(fact.Scopes, ", ") + ", or leave it out for every scope"}
	}
	for _, pattern := range slices.Concat([]string{p.Relation, p.Entity, p.Source, p.Tenant}, p.Exempt) {
		if strings.ContainsRune(pattern, utf8.RuneError) || strings.ContainsRune(pattern, 0) { // what JSON makes of half a character, too
			return &Fault{"relation", "a pattern holds bytes that no text has"}
		}
	}
	if slices.Contains(p.Exempt, "") {
		return &Fault{"exempt_relations", "a relation is empty"}
	}
	return nil
}

func (p *Policy) checkMode() *Fault {
	switch p.Mode {
	case "":
		return &Fault{"mode", "it is missing; write one of " + modeList()}
	case ModeExpire, ModeRetract:
		if p.TTL == nil {
			return &Fault{"mode", string(p.Mode) + " needs a ttl"}
		}
		if p.fades() {
			return &Fault{"half_life", "it contradicts the mode " + string(p.Mode) + ", which goes by ttl; write mode confidence, or leave it out"}
		}
	case ModeConfidence:
		if !p.fades() {
			return &Fault{"mode", "confidence needs a half_life"}
		}
		if p.TTL != nil {
			return &Fault{"ttl", "it contradicts the mode confidence, which goes by half_life; write mode expire or retract, or leave it out"}
		}
	case ModeDryRun:
		if p.TTL == nil && !p.fades() {
			return &Fault{"mode", "dry_run needs a ttl or a half_life"}
		}
	default:
		return &Fault{"mode", "write one of " + modeList()}
	}
	return nil
}

func modeList() string {
	words := make([]string, len(Modes))
	for i, mode := range Modes {
		words[i] = string(mode)
	}
	return strings.Join(words, ", ")
}

func (p *Policy) checkNumbers() *Fault {
	switch {
	case p.TTL != nil && *p.TTL <= 0:
		return &Fault{"ttl", "every fact would expire; write 1s or more"}
	case p.HalfLife < 0:
		return &Fault{"half_life", "write 1s or more"}
	case !(p.MinConfidence >= 0 && p.MinConfidence <= 1): // written so that NaN fails
		return &Fault{"min_confidence", "write a number from 0 to 1"}
	case !(p.MinStep >= 0 && p.MinStep <= 1):
		return &Fault{"min_step", "write a number from 0 to 1"}
	case p.KeepLast < 0 || p.KeepLast > MaxKeepLast:
		return &Fault{"keep_last", fmt.Sprintf("write a whole number from 1 to %d", MaxKeepLast)}
	case !p.fades() && p.MinConfidence > 0:
		return &Fault{"min_confidence", "it is where fading stops, and says nothing without a half_life; to expire weak facts use the setting min_confidence"}
	case !p.fades() && p.MinStep > 0:
		return &Fault{"min_step", "it says nothing without a half_life"}
	}
	return nil
}

// policyText is the JSON of a policy in the text of a set. Rows of jobs have this text, so its fields must not change.
type policyText struct {
	ID            string   `json:"id"`
	Relation      string   `json:"relation"`
	Entity        string   `json:"entity,omitempty"`
	Source        string   `json:"source,omitempty"`
	Scope         string   `json:"scope,omitempty"`
	Tenant        string   `json:"tenant,omitempty"`
	Mode          Mode     `json:"mode"`
	TTL           string   `json:"ttl,omitempty"`
	HalfLife      string   `json:"half_life,omitempty"`
	MinConfidence float64  `json:"min_confidence,omitempty"`
	MinStep       float64  `json:"min_step,omitempty"`
	KeepLast      int      `json:"keep_last,omitempty"`
	Exempt        []string `json:"exempt_relations,omitempty"`
}

// String is the policy's canonical text: equal policies give equal texts.
func (p Policy) String() string {
	text := policyText{
		ID: p.ID, Relation: p.Relation, Entity: p.Entity, Source: p.Source, Scope: p.Scope, Tenant: p.Tenant, Mode: p.Mode,
		MinConfidence: p.MinConfidence, MinStep: p.MinStep, KeepLast: p.KeepLast, Exempt: p.Exempt,
	}
	if p.TTL != nil {
		text.TTL = p.TTL.String()
	}
	if p.fades() {
		text.HalfLife = p.HalfLife.String()
	}
	written, err := json.Marshal(text)
	if err != nil {
		return "{}" // not reached: Check refuses numbers that JSON cannot express
	}
	return string(written)
}

// parsePolicy parses the text of String at the beginning of a text, and returns its length.
func parsePolicy(text string) (p Policy, length int, err error) {
	decoder := json.NewDecoder(strings.NewReader(text)) // Unmarshal would need a copy of the rest, and be quadratic
	decoder.DisallowUnknownFields()                     // a field of a newer version may protect facts
	var t policyText
	if err := decoder.Decode(&t); err != nil {
		return p, 0, err
	}
	p = Policy{
		ID: t.ID, Relation: t.Relation, Entity: t.Entity, Source: t.Source, Scope: t.Scope, Tenant: t.Tenant, Mode: t.Mode,
		MinConfidence: t.MinConfidence, MinStep: t.MinStep, KeepLast: t.KeepLast, Exempt: t.Exempt,
	}
	if t.TTL != "" {
		if p.TTL, err = ParseTTL(t.TTL); err != nil {
			return p, 0, err
		}
	}
	if t.HalfLife != "" {
		seconds, err := ParseSeconds(t.HalfLife)
		if err != nil {
			return p, 0, err
		}
		p.HalfLife = TTL(seconds)
	}
	return p, int(decoder.InputOffset()), p.Check()
}
