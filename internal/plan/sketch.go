package plan

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
)

// sketch is an invertible Bloom lookup table (Goodrich and Mitzenmacher, 2011). Each entry is added to one cell of each
// part. The difference of two sketches is the sketch of the entries that only one of them has. If these are few, some are
// alone in a cell and can be read there. Removing them leaves others alone in their cells.
type sketch []cell

// A sketch can list MostApart differing entries, except in one case in ten thousand. With four parts, up to 0.77 entries
// per cell can be listed. With three parts, two of some hundred entries would too often share all their cells.
const (
	parts     = 4
	perPart   = 512 // a power of 2 up to 1<<16: see places
	cells     = parts * perPart
	MostApart = 1_200 // a fact with another verdict counts as two entries
)

// cell is the sum of its entries, each word modulo 2^64.
type cell struct {
	count  int64
	id     [2]uint64
	effect uint64
	check  uint64
}

const cellSize = 5 * 8

// places are the indexes of an entry's cells, one in each part.
func places(h hash) (at [parts]int) {
	for i := range at {
		at[i] = i*perPart + int(h.places()>>(16*i)%perPart)
	}
	return at
}

// add adds an entry, or with sign -1 removes one.
func (s sketch) add(e entry, h hash, sign int64) {
	for _, at := range places(h) {
		c := &s[at]
		c.count += sign
		c.id[0] += uint64(sign) * e.id[0]
		c.id[1] += uint64(sign) * e.id[1]
		c.effect += uint64(sign) * e.effect
		c.check += uint64(sign) * h.check()
	}
}

// minus is the difference of two sketches.
func (s sketch) minus(other sketch) sketch {
	left := make(sketch, cells)
	for i, c := range s {
		o := other[i]
		left[i] = cell{c.count - o.count, [2]uint64{c.id[0] - o.id[0], c.id[1] - o.id[1]}, c.effect - o.effect, c.check - o.check}
	}
	return left
}

// entries lists the entries of a difference. all is false if there are too many to list. It destroys the sketch.
func (s sketch) entries(rules hasher) (added, removed []entry, all bool) {
	next := make([]int, cells)
	for i := range next {
		next[i] = i
	}
	for len(next) > 0 {
		at := next[len(next)-1]
		next = next[:len(next)-1]
		c := s[at]
		if c.count != 1 && c.count != -1 {
			continue
		}
		sign := uint64(c.count) // 1, or -1 for a removed entry, whose sums are negative
		e := entry{[2]uint64{sign * c.id[0], sign * c.id[1]}, sign * c.effect}
		h := rules.hash(e)
		if h.check() != sign*c.check {
			continue // several entries whose counts add up to one
		}
		if c.count > 0 {
			added = append(added, e)
		} else {
			removed = append(removed, e)
		}
		if len(added)+len(removed) > cells { // only a forged sketch can have so many
			return nil, nil, false
		}
		s.add(e, h, -c.count)
		for _, at := range places(h) {
			next = append(next, at)
		}
	}
	for _, c := range s {
		if c != (cell{}) {
			return nil, nil, false
		}
	}
	return added, removed, true
}

// String writes the sketch as text: its cells, compressed. Most cells of a small plan are empty.
func (s sketch) String() string {
	raw := make([]byte, 0, cells*cellSize)
	for _, c := range s {
		for _, word := range []uint64{uint64(c.count), c.id[0], c.id[1], c.effect, c.check} {
			raw = binary.BigEndian.AppendUint64(raw, word)
		}
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(raw) // writes to a buffer do not fail
	_ = z.Close()
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

var errSketch = errors.New("the sketch cannot be read")

// parseSketch parses the text of String.
func parseSketch(text string) (sketch, error) {
	packed, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, errSketch
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, errSketch
	}
	raw, err := io.ReadAll(io.LimitReader(z, cells*cellSize+1)) // compressed text may unpack to any size
	if err != nil || len(raw) != cells*cellSize {
		return nil, errSketch
	}
	s := make(sketch, cells)
	for i := range s {
		var words [cellSize / 8]uint64
		for j := range words {
			words[j] = binary.BigEndian.Uint64(raw[i*cellSize+8*j:])
		}
		s[i] = cell{int64(words[0]), [2]uint64{words[1], words[2]}, words[3], words[4]}
	}
	return s, nil
}
