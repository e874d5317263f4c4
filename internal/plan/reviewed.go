package plan

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/rule"
)

// Reviewed is the set of the facts of a plan with their verdicts, in eight bytes per fact. A job that applies a plan
// changes only these facts: facts that appear or become stale during the job were not reviewed. Has may be called by
// several goroutines.
type Reviewed struct {
	rules hasher
	marks []uint64 // sorted
}

// NewReviewed is an empty set.
func NewReviewed(rules rule.Set, asOf time.Time) *Reviewed {
	return &Reviewed{rules: newHasher(rules, asOf)}
}

// Reviewed moves the facts out of a sum. KeepFacts must have been called before they were collected.
func (s *Sum) Reviewed() *Reviewed {
	r := &Reviewed{rules: s.rules, marks: s.marks}
	s.marks = nil
	slices.Sort(r.marks)
	return r
}

// Has tells whether the verdict on a fact was reviewed. The chance of a wrong yes is 2^-64 per reviewed fact.
func (r *Reviewed) Has(c *fact.Candidate, v rule.Verdict) bool {
	_, found := slices.BinarySearch(r.marks, r.rules.hash(r.rules.entry(c.ID, v)).mark())
	return found
}

const factsInPart = 32 << 10 // which are 350 kB of text

// Parts are the set as texts, at least one. Add reads them in the same order.
func (r *Reviewed) Parts() []string {
	var parts []string
	var raw []byte
	for some := range slices.Chunk(r.marks, factsInPart) {
		raw = raw[:0]
		for _, mark := range some {
			raw = binary.BigEndian.AppendUint64(raw, mark)
		}
		parts = append(parts, base64.StdEncoding.EncodeToString(raw))
	}
	if len(parts) == 0 {
		parts = append(parts, "")
	}
	return parts
}

// Add adds the next text of Parts.
func (r *Reviewed) Add(part string) error {
	raw, err := base64.StdEncoding.DecodeString(part)
	if err != nil || len(raw)%8 != 0 {
		return errors.New("the list of reviewed facts cannot be read")
	}
	for ; len(raw) > 0; raw = raw[8:] {
		r.marks = append(r.marks, binary.BigEndian.Uint64(raw))
	}
	if !slices.IsSorted(r.marks) {
		return errors.New("the list of reviewed facts is not in order")
	}
	return nil
}
