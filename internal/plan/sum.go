package plan

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/rule"
)

// Sum summarizes what a sweep would do, in a size that does not depend on the number of facts. It is the same for any
// order of facts and on both databases. It is a sweep.Collector, for one goroutine.
type Sum struct {
	Facts   int64            // facts that would be changed
	Reduced int64            // facts whose confidence would be lowered, with those that expire by that
	ByRule  map[string]int64 // facts by each rule that selects them

	rules  hasher
	digest [4]uint64 // a number of 256 bits, the most significant word first
	sketch sketch
	marks  []uint64 // of each fact, after KeepFacts
	keep   bool
}

// NewSum is the sum of no facts. All facts of a sum are judged by the same rules and as-of.
func NewSum(rules rule.Set, asOf time.Time) *Sum {
	s := &Sum{rules: newHasher(rules, asOf)}
	s.Begin()
	return s
}

// KeepFacts makes the sum remember each fact, for Reviewed. That takes eight bytes per fact.
func (s *Sum) KeepFacts() { s.keep = true }

// Begin forgets what was collected.
func (s *Sum) Begin() {
	*s = Sum{rules: s.rules, keep: s.keep, marks: s.marks[:0], ByRule: map[string]int64{}, sketch: make(sketch, cells)}
}

// Collect adds a fact, if the verdict asks for a write.
func (s *Sum) Collect(c *fact.Candidate, v rule.Verdict) {
	if !v.Acts() {
		return
	}
	e := s.rules.entry(c.ID, v)
	h := s.rules.hash(e)
	s.Facts++
	if v.Reduces() {
		s.Reduced++
	}
	for _, name := range v.Rules {
		s.ByRule[name]++
	}
	carry := uint64(0)
	for i := range slices.Backward(h[:]) {
		s.digest[i], carry = bits.Add64(s.digest[i], h[i], carry)
	}
	s.sketch.add(e, h, 1)
	if s.keep {
		s.marks = append(s.marks, h.mark())
	}
}

// Digest is a hash of the sum, in 64 hex digits. It is the same if a sweep would do the same.
func (s *Sum) Digest() string {
	var text [sha256.Size]byte
	for i, word := range s.digest {
		binary.BigEndian.PutUint64(text[8*i:], word)
	}
	return hex.EncodeToString(text[:])
}

func (s *Sum) setDigest(text string) error {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != sha256.Size {
		return fmt.Errorf("the digest is not %d hex digits", hex.EncodedLen(sha256.Size))
	}
	for i := range s.digest {
		s.digest[i] = binary.BigEndian.Uint64(raw[8*i:])
	}
	return nil
}

// entry is a fact and what is done to it.
type entry struct {
	id     [2]uint64 // of the hash of the fact's id
	effect uint64    // see hasher.effect
}

// hash is the hash of an entry. The cells of the sketch, its check and the marks use different words of it.
type hash [sha256.Size / 8]uint64

func (h hash) check() uint64  { return h[0] }
func (h hash) places() uint64 { return h[1] }
func (h hash) mark() uint64   { return h[2] }

// hasher turns verdicts by one set of rules and one as-of into entries.
type hasher struct {
	names  []string
	places map[string]uint64 // number of each rule by name, from 1
	seed   [16]byte          // of rules and as-of: the new expiry is the as-of
}

func newHasher(rules rule.Set, asOf time.Time) hasher {
	h := hasher{names: rules.Names(), places: map[string]uint64{}}
	for i, name := range h.names {
		h.places[name] = uint64(i + 1)
	}
	text, at := rules.String(), fact.FormatInstant(asOf)
	var b []byte
	for _, part := range []string{"decayctl plan 1", text, at} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(part)))
		b = append(b, part...)
	}
	sum := sha256.Sum256(b)
	copy(h.seed[:], sum[:])
	return h
}

func (h hasher) entry(id string, v rule.Verdict) entry {
	sum := sha256.Sum256([]byte(id))
	return entry{
		id:     [2]uint64{binary.BigEndian.Uint64(sum[:]), binary.BigEndian.Uint64(sum[8:])},
		effect: h.effect(v),
	}
}

// The bits of an effect. A verdict has at most two rules, and one of two is the floor. The expiry and the reason need no
// bits: they follow from as-of and rules.
const (
	actionShift   = 62
	confidenceSet = 1 << 61
	floorSelects  = 1 << 60
	ruleShift     = 32 // 28 bits for the number of the other rule; the bits below are the confidence as a float4
	ruleMask      = 1<<28 - 1
)

func (h hasher) effect(v rule.Verdict) uint64 {
	effect := uint64(v.Action-rule.Keep) << actionShift
	for _, name := range v.Rules {
		if name == rule.NameFloor {
			effect |= floorSelects
		} else {
			effect |= h.places[name] << ruleShift
		}
	}
	if v.Confidence != nil {
		effect |= confidenceSet | uint64(math.Float32bits(float32(*v.Confidence)))
	}
	return effect
}

// ruleNames are the rules that select a fact. A forged sketch may have numbers without a rule.
func (h hasher) ruleNames(effect uint64) (names []string) {
	if place := effect >> ruleShift & ruleMask; place > 0 && place <= uint64(len(h.names)) {
		names = append(names, h.names[place-1])
	}
	if effect&floorSelects != 0 {
		names = append(names, rule.NameFloor)
	}
	return names
}

// lives tells whether the fact lives on with less confidence.
func lives(effect uint64) bool { return effect>>actionShift == uint64(rule.Reduce-rule.Keep) }

func (h hasher) hash(e entry) (words hash) {
	var b [len(h.seed) + 24]byte
	copy(b[:], h.seed[:])
	binary.BigEndian.PutUint64(b[16:], e.id[0])
	binary.BigEndian.PutUint64(b[24:], e.id[1])
	binary.BigEndian.PutUint64(b[32:], e.effect)
	sum := sha256.Sum256(b[:])
	for i := range words {
		words[i] = binary.BigEndian.Uint64(sum[8*i:])
	}
	return words
}
