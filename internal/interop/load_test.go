//go:build interop

package interop_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"decayctl/internal/store/sample"
)

// rate is how many facts a second a node is told, where it keeps up.
const rate = 100

// writes is how many facts a node is told, of which one page of GET /v1/facts can show 500, and atOnce
// how many requests are under way at most. On SQLite the node's own writers wait for each other, up to
// 5 s, and nobody sees to it that the first comes first: few of them leave that to the sweep. On PostgreSQL
// the node can bear only one, see TestConcurrentWrites, and takes its time for each.
var (
	writes = map[string]int{"sqlite": 500, "postgres": 100}
	atOnce = map[string]int{"sqlite": 4, "postgres": 1}
)

// writer tells a node facts, and remembers which it accepted.
type writer struct {
	*node
	mu       sync.Mutex
	accepted map[string]bool
	refused  []string
	took     []time.Duration
}

// write tells the node n facts, by no more requests at once than that, and ends with the last answer.
func (w *writer) write(n, atOnce int) {
	w.accepted = map[string]bool{}
	ticks := time.NewTicker(time.Second / rate)
	defer ticks.Stop()
	room := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i := range n {
		<-ticks.C
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			sent := time.Now()
			s := said{entity: fmt.Sprintf("load:%d", i), relation: "load:number", value: fmt.Sprint(i), confidence: 0.9}
			status, answer, err := w.ask(http.MethodPost, "/v1/facts", nil, s.request())
			w.mu.Lock()
			defer w.mu.Unlock()
			w.took = append(w.took, time.Since(sent))
			if err != nil || status != http.StatusCreated {
				w.refused = append(w.refused, fmt.Sprintf("fact %d: status %d, %v, %v", i, status, answer, err))
				return
			}
			w.accepted[answer["id"].(string)] = true
		})
	}
	all.Wait()
}

// TestBusyNode sweeps a store, again and again, while its node is told a hundred facts a second. Every
// one is accepted, and every one that was is found afterwards. No other test runs beside it.
func TestBusyNode(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine.name, func(t *testing.T) { testBusyNode(t, engine.fresh(t)) })
	}
}

func testBusyNode(t *testing.T, p *place) {
	w := &writer{node: serve(t, p, noAuth)}
	p.fill(t, sample.Options{Facts: 8000, AsOf: time.Now().UTC().Truncate(time.Second), Seed: 9})
	written := make(chan struct{})
	begun := time.Now()
	go func() {
		defer close(written)
		w.write(writes[p.name], atOnce[p.name])
	}()

	sweeps, decayed := 0, 0.0
	for under := true; under; sweeps++ {
		select {
		case <-written:
			under = false // and one more, for what was written last
		default:
		}
		got := sweptBy(p.decayctl(t, 0, "sweep", "--yes", "--ttl", "0", "--min-confidence", "0.5", "--batch-size", "200"))
		decayed += got.decayed
	}
	for _, refused := range w.refused {
		t.Error(refused)
	}
	took := w.took
	slices.Sort(took)
	t.Logf("%d writes in %s, median %s, slowest %s; %d sweeps meanwhile, of %.0f facts", writes[p.name], time.Since(begun).Round(time.Millisecond),
		took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond), sweeps, decayed)

	found := w.get("/v1/facts", url.Values{"source": {"agent:interop"}, "include_expired": {"true"}, "limit": {"500"}})["facts"].([]any)
	for _, each := range found {
		f := each.(object)
		delete(w.accepted, f["id"].(string))
		if f["valid_until"] == nil {
			t.Errorf("the last sweep left %v", f)
		}
	}
	if len(w.accepted) > 0 || len(found) != writes[p.name] {
		t.Errorf("%d facts found, %d were accepted and are lost", len(found), len(w.accepted))
	}
}

// TestConcurrentWrites tells a node on PostgreSQL facts by several requests at once, and nobody sweeps.
// The node numbers its chain of facts without a lock, and refuses whoever comes second.
func TestConcurrentWrites(t *testing.T) {
	t.Parallel()
	w := &writer{node: serve(t, engines[1].fresh(t), noAuth)}
	w.write(100, 8)
	t.Logf("%d of 100 facts refused", len(w.refused))
	if len(w.refused) == 0 {
		t.Error("the node has mended its writes on PostgreSQL: write by several requests in TestBusyNode, and say so in docs/node-notes.md")
	}
}
