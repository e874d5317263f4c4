package sqlite_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"decayctl/internal/fact"
	"decayctl/internal/store/sqlite"
	"decayctl/internal/store/storetest"
)

// TestOnlyCardsOfExpiredFactsBecomeStale: this holds if the fresh cards are read, and if the cards of the facts are
// looked up.
func TestOnlyCardsOfExpiredFactsBecomeStale(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fresh int // cards of other entities
		index bool
		reads bool // the fresh ones
	}{
		"few are fresh":             {1, true, true},
		"many are fresh":            {50, true, false},
		"few, and none tells which": {1, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := newFile(t)
			d := database(t, path)
			if !test.index {
				d.Exec(t, "DROP INDEX idx_memory_cards_stale")
			}
			for i := range 9 {
				entity := fmt.Sprintf("e\n%d", i)
				d.Insert(t, storetest.Fact(fmt.Sprint(i), func(c *fact.Candidate) { c.Entity = entity }))
				if i < 4 {
					d.Card(t, entity, "default", "local", i%2)
					d.Card(t, entity, "default", "team", 0)
				}
			}
			for i := range test.fresh {
				d.Card(t, fmt.Sprint("other ", i), "default", "local", 0)
			}
			s := openOwn(t, path)
			t.Cleanup(func() { _ = s.Close() })
			var read atomic.Bool // a range is read while another one is claimed
			s.Watch(func(_ sqlite.Querier, query string) {
				if strings.Contains(query, "WHERE likelihood(is_stale") {
					read.Store(true)
				}
			})
			run(t, s, false)
			rows := d.Rows(t, "SELECT count(*), sum(scope = 'team') FROM memory_cards WHERE is_stale = 0")
			if want := fmt.Sprintf("%d | 4", test.fresh+4); rows[0] != want || read.Load() != test.reads {
				t.Errorf("fresh: %s, want %s; the fresh ones were read: %t", rows[0], want, read.Load())
			}
		})
	}
}
