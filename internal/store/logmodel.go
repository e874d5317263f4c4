package store

import (
	"math"
	"time"
)

// The model of the write-ahead log. Each fact costs some records. And after each checkpoint the first change of a page writes
// the whole page. Facts are written in the order of ids, so most pages of some tables are touched at random: of P pages,
// k touches in a row change P(1 - exp(-k/P)) different ones. Between two checkpoints of c bytes, k facts are written for which
// records and pages together are c bytes. TestLogModel has what was measured.
const (
	recordBytes = 690  // records of a fact: override, retraction, a fifth of an edge, indexes
	lockBytes   = 100  // more with the foreign key, which locks the row of the fact
	factImage   = 8150 // a page in the log, less its hole
	edgeImage   = 7900
	indexImage  = 7000

	indexShare      = 0.6      // of updates of edges that write indexes; the others fit into the page
	compressedShare = 0.55     // of an image with wal_compression
	slowest         = 10_000.0 // facts a second, at the default pace

	perFact   = 16300 * time.Nanosecond // of a first sweep with two workers
	perByte   = 3.75                    // ns for each byte of log
	diskBytes = 490                     // growth of tables and indexes for each fact
)

// LogModel is what the write-ahead log of a first sweep on PostgreSQL depends on.
type LogModel struct {
	FactPages  float64   // which the foreign key touches
	Others     []Touched // edges and cards
	MaxSize    float64   // max_wal_size in bytes
	Segment    float64   // wal_segment_size in bytes
	Target     float64   // checkpoint_completion_target
	Timeout    float64   // checkpoint_timeout in seconds
	FullPages  bool      // full_page_writes
	Compressed bool      // wal_compression
	Keys       bool      // there are foreign keys to facts
	MaySkip    bool      // a sweep may leave them unchecked
}

// Touched is a table or an index that is touched at random.
type Touched struct {
	Pages float64
	Rows  float64 // changed for each fact
	Index bool
}

// images is the bytes of all pages that k facts touch.
func images(pages, touches, image float64) float64 {
	if pages < 1 {
		return 0
	}
	return image * pages * (1 - math.Exp(-touches/pages))
}

// between is the log of k facts that are written without a checkpoint between them.
func (m LogModel) between(k float64, keys bool) float64 {
	bytes, full := k*recordBytes, 0.0
	for _, t := range m.Others {
		if t.Index {
			full += images(t.Pages, k*t.Rows*indexShare, indexImage)
		} else {
			full += images(t.Pages, k*t.Rows, edgeImage)
		}
	}
	if keys {
		bytes += k * lockBytes
		full += images(m.FactPages, k, factImage)
	}
	switch {
	case !m.FullPages:
		return bytes
	case m.Compressed:
		full *= compressedShare
	}
	return bytes + full
}

// Log is the bytes of log of n facts, with foreign keys or without.
func (m LogModel) Log(n float64, keys bool) float64 {
	cycle := m.MaxSize/(1+m.Target) + m.Segment
	most := min(n, slowest*m.Timeout)
	if m.between(most, keys) > cycle {
		for low := 1.0; most-low > 1; {
			if k := (low + most) / 2; m.between(k, keys) > cycle {
				most = k
			} else {
				low = k
			}
		}
	}
	return n / most * m.between(most, keys)
}

// Cost is the cost of n facts.
func (m LogModel) Cost(facts int64) *WriteCost {
	n := float64(facts)
	log := m.Log(n, m.Keys)
	c := &WriteCost{Facts: facts, Log: int64(log), Disk: facts * diskBytes}
	c.Time = time.Duration(facts)*perFact + time.Duration(perByte*log)
	if m.Keys && m.MaySkip {
		c.LogWithoutKeys = int64(m.Log(n, false))
	}
	if other := m; m.FullPages && !m.Compressed {
		other.Compressed = true
		c.LogCompressed = int64(other.Log(n, m.Keys))
	}
	other := m
	other.MaxSize = 1 << 50
	least := other.Log(n, m.Keys)
	for size := 2 << 30; size <= 256<<30; size *= 2 { // the smallest that gains nearly all that can be gained
		other.MaxSize = float64(size)
		if larger := other.Log(n, m.Keys); other.MaxSize > m.MaxSize && larger < least*5/4 && larger < log*3/4 {
			c.LogLarger, c.LargerSize = int64(larger), int64(size)
			break
		}
	}
	return c
}
