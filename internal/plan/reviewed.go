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

// Reviewed is the facts of a sum, each with what is to be done to it, in eight bytes a fact. A job that applies a plan
// changes no other: those that appear, or become stale otherwise, while the job is at work were not reviewed. It may be
// asked by several goroutines.
type Reviewed struct {
	rules hasher
	marks []uint64 // sorted
}

// NewReviewed is no facts yet.
func NewReviewed(rules rule.Set, asOf time.Time) *Reviewed {
	return &Reviewed{rules: newHasher(rules, asOf)}
}

// Reviewed is the facts of a sum that has kept them; the sum loses them.
func (s *Sum) Reviewed() *Reviewed {
	r := &Reviewed{rules: s.rules, marks: s.marks}
	s.marks = nil
	slices.Sort(r.marks)
	return r
}

// Has tells whether the verdict on a fact is the one that was reviewed. Of verdicts that were not, it takes one in 2^64
// for each reviewed fact for one that was.
func (r *Reviewed) Has(c *fact.Candidate, v rule.Verdict) bool {
	_, found := slices.BinarySearch(r.marks, r.rules.hash(r.rules.entry(c.ID, v)).mark())
	return found
}

const factsInPart = 32 << 10 // 350 kB of text

// Parts are the facts as texts, for Add in the same order. There is at least one.
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

// Add reads the next part.
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
