package report

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"time"
	"unicode"
	"unicode/utf16"

	"decayctl/internal/rule"
	"decayctl/internal/sweep"
)

// schemaVersion changes only when a field changes its meaning. New fields do not change it.
const schemaVersion = 1

// document is the JSON of a run. A field without a value is null, never missing.
type document struct {
	SchemaVersion int                       `json:"schema_version"`
	JobID         *string                   `json:"job_id"`
	Status        string                    `json:"status"`
	DryRun        bool                      `json:"dry_run"`
	Store         string                    `json:"store"`
	AsOf          *string                   `json:"as_of"`
	Rules         ruleSet                   `json:"rules"`
	Scope         *string                   `json:"scope"`
	Tenant        *string                   `json:"tenant"`
	Examined      int64                     `json:"examined"`
	Scanned       int64                     `json:"scanned"`
	Decayed       int64                     `json:"decayed"`
	ByRule        map[string]int64          `json:"by_rule"`
	Skipped       map[rule.Protection]int64 `json:"skipped"`
	ByTenant      map[string]int64          `json:"by_tenant"`
	*preview
	Failed      []failure `json:"failed"`
	FailedCount int64     `json:"failed_count"`
	StopReason  *string   `json:"stop_reason"`
	Notes       []string  `json:"notes"`
	Progress    progress  `json:"progress"`
	EstimatedS  int64     `json:"estimated_s"`
	CreatedAt   *string   `json:"created_at"`
	StartedAt   *string   `json:"started_at"`
	CompletedAt *string   `json:"completed_at"`
}

// preview is what only a dry run has.
type preview struct {
	Oldest  *string  `json:"oldest"`
	Newest  *string  `json:"newest"`
	Groups  []group  `json:"groups"`
	Samples []sample `json:"samples"`
}

type ruleSet struct {
	TTL           *string     `json:"ttl"`
	MinConfidence *rule.Floor `json:"min_confidence"`
}

type progress struct {
	Done  int64 `json:"done"`
	Total int64 `json:"total"`
}

type failure struct {
	FactID string `json:"fact_id"`
	Error  string `json:"error"`
}

type group struct {
	Tenant   string `json:"tenant"`
	Scope    string `json:"scope"`
	Relation string `json:"relation"`
	Rule     string `json:"rule"`
	Count    int64  `json:"count"`
}

type sample struct {
	FactID     string   `json:"fact_id"`
	Tenant     string   `json:"tenant"`
	Scope      string   `json:"scope"`
	Entity     string   `json:"entity"`
	Relation   string   `json:"relation"`
	Timestamp  string   `json:"timestamp"`
	ValidUntil *string  `json:"valid_until"`
	Confidence *float64 `json:"confidence"`
	Rules      []string `json:"rules"`
	Reason     string   `json:"reason"`
}

// WriteJSON writes the run as one JSON document.
func (r Run) WriteJSON(w io.Writer) error {
	res := r.Result
	doc := document{
		SchemaVersion: schemaVersion,
		JobID:         orNull(r.JobID),
		Status:        r.Status,
		DryRun:        r.Params.DryRun,
		Store:         r.Target,
		AsOf:          instant(r.Params.AsOf),
		Rules:         ruleSet{MinConfidence: r.Params.Rules.Floor},
		Scope:         orNull(r.Params.Scope),
		Tenant:        orNull(r.Params.Tenant),
		Examined:      res.Examined,
		Scanned:       res.Selected,
		Decayed:       res.Decayed,
		ByRule:        map[string]int64{},
		Skipped:       map[rule.Protection]int64{sweep.ChangedMeanwhile: res.Kept[sweep.ChangedMeanwhile]},
		ByTenant:      map[string]int64{},
		Failed:        []failure{},
		FailedCount:   res.FailedCount,
		StopReason:    orNull(r.StopReason),
		Notes:         append([]string{}, r.Notes...),
		Progress:      progress{Done: res.Examined, Total: r.total()},
		EstimatedS:    max(60, res.Total/1000),
		CreatedAt:     instant(r.Started),
		StartedAt:     instant(r.Started),
		CompletedAt:   instant(r.Completed),
	}
	if ttl := r.Params.Rules.TTL; ttl != nil {
		doc.Rules.TTL = orNull(ttl.String())
	}
	for _, name := range r.rules() {
		doc.ByRule[name] = res.ByRule[name]
	}
	for _, p := range protections {
		doc.Skipped[p.name] = res.Kept[p.name]
	}
	for tenant, g := range res.Tenants {
		doc.ByTenant[tenant] = g.Facts
	}
	for _, f := range res.Failed {
		doc.Failed = append(doc.Failed, failure(f))
	}
	if r.Params.DryRun {
		doc.preview = &preview{Oldest: instant(res.Oldest), Newest: instant(res.Newest), Groups: r.groups(), Samples: r.samples()}
	}
	return write(w, doc)
}

// groups are the counts by group and rule, the largest first; then what no group was kept for.
func (r Run) groups() []group {
	groups := []group{}
	for key, g := range r.Result.Groups {
		for name, count := range g.ByRule {
			groups = append(groups, group{key.Tenant, key.Scope, key.Relation, name, count})
		}
	}
	slices.SortFunc(groups, func(a, b group) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Tenant, b.Tenant),
			cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Relation, b.Relation), cmp.Compare(a.Rule, b.Rule))
	})
	for _, name := range r.rules() {
		if count := r.Result.Other.ByRule[name]; count > 0 {
			groups = append(groups, group{Relation: "other", Rule: name, Count: count})
		}
	}
	return groups
}

func (r Run) samples() []sample {
	samples := []sample{}
	for _, s := range r.Result.Samples {
		row := sample{
			FactID: s.Fact.ID, Tenant: s.Fact.Tenant, Scope: s.Fact.Scope,
			Entity: s.Fact.Entity, Relation: s.Fact.Relation,
			Timestamp: s.Fact.Timestamp, ValidUntil: s.Fact.EffectiveValidUntil(),
			Rules: append([]string{}, s.Rules...), Reason: s.Reason,
		}
		// PostgreSQL stores NaN and infinities, which JSON cannot write.
		if c := s.Fact.EffectiveConfidence(); !math.IsNaN(c) && !math.IsInf(c, 0) {
			row.Confidence = &c
		}
		samples = append(samples, row)
	}
	return samples
}

// WriteErrorJSON writes what went wrong as one JSON document: a code for programs, a message for
// people, and the exit status.
func WriteErrorJSON(w io.Writer, code, message string, exit int) error {
	type details struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Exit    int    `json:"exit"`
	}
	return write(w, struct {
		SchemaVersion int     `json:"schema_version"`
		Error         details `json:"error"`
	}{schemaVersion, details{code, message, exit}})
}

// write encodes v and escapes, beyond what JSON itself demands, all that a terminal might obey:
// people look at JSON on terminals too.
func write(w io.Writer, v any) error {
	var plain, safe bytes.Buffer
	encoder := json.NewEncoder(&plain)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		return err
	}
	for _, r := range plain.String() {
		switch {
		case unicode.IsPrint(r) || r == '\n': // a newline is layout: those in strings are escaped already
			safe.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&safe, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&safe, `\u%04x`, r)
		}
	}
	_, err := safe.WriteTo(w)
	return err
}

// orNull is null for an empty string.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// instant is null for no time.
func instant(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	return orNull(t.UTC().Format("2006-01-02T15:04:05.000000Z07:00"))
}
