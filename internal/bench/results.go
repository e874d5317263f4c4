package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// result is one contestant in one case. Each figure is the median of its samples.
type result struct {
	Store      string    `json:"store"`
	Facts      int       `json:"facts"`
	Case       string    `json:"case"`
	Contestant string    `json:"contestant"`
	Run        time.Time `json:"run"` // when its run began
	Times      int       `json:"times"`
	Decayed    int64     `json:"decayed"`
	Seconds    float64   `json:"seconds"`
	LockedMS   float64   `json:"locked_ms"`         // the longest write transaction
	PeakMB     float64   `json:"peak_mb"`           // of the client; a MB is 2^20 bytes
	LogMB      float64   `json:"log_mb"`            // growth of the write-ahead log
	Writer     *waiting  `json:"writer,omitempty"`  // latency of the process that writes facts during the sweep
	Queries    *waiting  `json:"queries,omitempty"` // latency of the client that queries a node during the sweep
}

// waiting is the latency of written facts, or of queries.
type waiting struct {
	P50MS    float64 `json:"p50_ms"`
	P99MS    float64 `json:"p99_ms"`
	MaxMS    float64 `json:"max_ms"`
	Times    int     `json:"times"` // facts or queries, in all repetitions
	Failures int     `json:"failures"`
	Failure  string  `json:"failure,omitempty"`
	Lost     int     `json:"lost,omitempty"` // facts that were acknowledged and are not in the store
}

const mega = 1 << 20

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (s *series) result(of, contestant string, samples []measurement) result {
	middle := func(figure func(measurement) float64) float64 {
		var values []float64
		for _, one := range samples {
			values = append(values, figure(one))
		}
		return median(values)
	}
	r := result{
		Store: s.store, Facts: s.facts, Case: of, Contestant: contestant, Run: s.session.At, Times: len(samples),
		Decayed:  samples[0].decayed,
		Seconds:  middle(func(one measurement) float64 { return one.wall().Seconds() }),
		LockedMS: middle(func(one measurement) float64 { return milliseconds(one.locked) }),
		PeakMB:   middle(func(one measurement) float64 { return float64(one.peak) / mega }),
		LogMB:    middle(func(one measurement) float64 { return float64(one.log) / mega }),
	}
	r.Writer = waited(samples, func(one measurement) *latency { return one.writer })
	r.Queries = waited(samples, func(one measurement) *latency { return one.queries })
	return r
}

// waited sums up the latency of samples; nil if no process was measured beside the sweep.
func waited(samples []measurement, by func(measurement) *latency) *waiting {
	if by(samples[0]) == nil {
		return nil
	}
	middle := func(figure func(*latency) time.Duration) float64 {
		var values []time.Duration
		for _, one := range samples {
			values = append(values, figure(by(one)))
		}
		return milliseconds(median(values))
	}
	w := waiting{
		P50MS: middle(func(l *latency) time.Duration { return l.P50 }),
		P99MS: middle(func(l *latency) time.Duration { return l.P99 }),
		MaxMS: middle(func(l *latency) time.Duration { return l.Max }),
	}
	for _, one := range samples { // one failure in any sample is reported
		l := by(one)
		w.Times, w.Failures, w.Lost = w.Times+l.Times, w.Failures+l.Failures, w.Lost+l.Lost
		w.Failure = cmp.Or(w.Failure, l.Failure)
	}
	return &w
}

const heading = `case       who              decayed    seconds  µs/fact   lock ms   peak MB    log MB  facts beside it (and queries): p50 / p99 / max ms, failed`

func (s *series) print(of, contestant string, one measurement) {
	r := s.result(of, contestant, []measurement{one})
	line := fmt.Sprintf("%-10s %-16s %7d %10.2f %8.2f %9.0f %9.1f %9.1f", r.Case, r.Contestant, r.Decayed, r.Seconds,
		r.perFact(), r.LockedMS, r.PeakMB, r.LogMB)
	for _, l := range []*waiting{r.Writer, r.Queries} {
		if l != nil {
			line += fmt.Sprintf("  %.1f / %.1f / %.0f, %d of %d", l.P50MS, l.P99MS, l.MaxMS, l.Failures, l.Times)
		}
	}
	if r.Writer != nil && r.Writer.Lost > 0 {
		line += fmt.Sprintf(", %d lost", r.Writer.Lost)
	}
	fmt.Fprintln(s.w, line)
}

// perFact is the time in µs per fact of the store.
func (r result) perFact() float64 { return r.Seconds * 1e6 / float64(r.Facts) }

// logPerFact is the growth of the log in bytes for each fact of the store.
func (r result) logPerFact() float64 { return r.LogMB * mega / float64(r.Facts) }

// results are the results of one or more runs.
type results []result

// record is the file of results.
type record struct {
	Runs    []session `json:"runs"`
	Results results   `json:"results"`
}

// session is one run of the benchmark.
type session struct {
	At       time.Time `json:"at"` // when it began
	Command  string    `json:"command"`
	Decayctl string    `json:"decayctl"` // its version
	Against  string    `json:"against,omitempty"`
	Machine  string    `json:"machine"`
	Versions []string  `json:"versions"`
	Busy     float64   `json:"busy"` // share of the processors that others used before a series, at most
}

// merged is the fresh results, and those of earlier runs that were not measured again.
func (old results) merged(fresh results) results {
	all := slices.Clone(fresh)
	for _, r := range old {
		if all.find(r.Store, r.Facts, r.Case, r.Contestant) == nil {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b result) int {
		return cmp.Or(
			cmp.Compare(slices.Index(storeNames, a.Store), slices.Index(storeNames, b.Store)),
			cmp.Compare(a.Facts, b.Facts),
			cmp.Compare(slices.Index(caseNames, a.Case), slices.Index(caseNames, b.Case)),
			cmp.Compare(slices.Index(contestantNames, a.Contestant), slices.Index(contestantNames, b.Contestant)))
	})
	return all
}

func (rs results) find(store string, facts int, of, contestant string) *result {
	for i, r := range rs {
		if r.Store == store && r.Facts == facts && r.Case == of && r.Contestant == contestant {
			return &rs[i]
		}
	}
	return nil
}
