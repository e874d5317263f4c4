package sqlite

import (
	"context"
	"hash/maphash"
	"sync"

	"decayctl/internal/store"
)

// cardFilter knows which memory cards may be fresh. Most facts of a first sweep have no card, or one that is
// stale by now, and to look each of them up, on a page anywhere, is half of what a batch writes for. It is a
// filter of fixed size: each slot counts the fresh cards that fall on it, so that none is ever missed, and a
// few are looked up in vain. It holds for as long as nobody else writes.
type cardFilter struct {
	mu    sync.Mutex
	seed  maphash.Seed
	slots []uint8
	mark  store.Mark // of the store that it tells of; 0 is none
	fills int        // how many times it was filled
	read  int        // cards, the last time
	asked int        // cards that were looked up without it since then
	least int        // so many, before it is worth while
}

const (
	cardSlots  = 1 << 22
	fullSlot   = 255 // has counted as far as it goes, and is never emptied again
	leastCards = 5000
)

func (f *cardFilter) slot(c store.Card) *uint8 {
	return &f.slots[maphash.Comparable(f.seed, c)%cardSlots]
}

// maybe gives the places of those of n cards that are not surely stale. filled is for remove: 0 where it does not
// know.
func (f *cardFilter) maybe(mark store.Mark, n int, card func(i int) store.Card) (places []int, filled int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	known := f.mark == mark
	for i := range n {
		if !known || *f.slot(card(i)) > 0 {
			places = append(places, i)
		}
	}
	if !known {
		f.asked += n
		return places, 0
	}
	return places, f.fills
}

// remove takes cards out that were fresh when it was asked and are stale now, unless it was filled since: then
// it may never have counted them.
func (f *cardFilter) remove(filled int, cards []store.Card) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if filled == 0 || f.fills != filled {
		return
	}
	for _, c := range cards {
		if slot := f.slot(c); *slot > 0 && *slot < fullSlot {
			*slot--
		}
	}
}

// due tells whether it is time to read the fresh cards again: once twice as many were looked up without. Beside somebody who writes all the time what is read holds for no batch.
func (f *cardFilter) due(mark store.Mark) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mark != mark && f.asked >= f.least+2*f.read
}

// readFreshCards fills the filter after a transaction. What somebody else has written since is no matter: the
// next transaction has another mark then. Where the cards cannot be read, all are looked up.
func (s *Store) readFreshCards(ctx context.Context, mark store.Mark) {
	if !s.cards.due(mark) {
		return
	}
	s.reads.RLock()
	defer s.reads.RUnlock()
	s.cards.fill(mark, func(add func(store.Card)) error {
		var card store.Card
		return onRows(ctx, s.read)("SELECT entity_uri, tenant_id, scope FROM memory_cards WHERE is_stale = 0", nil,
			[]any{&card.Entity, &card.Tenant, &card.Scope}, func() error {
				add(card)
				return nil
			})
	})
}

// fill counts all fresh cards there are.
func (f *cardFilter) fill(mark store.Mark, each func(add func(store.Card)) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.slots == nil {
		f.seed, f.slots = maphash.MakeSeed(), make([]uint8, cardSlots)
	}
	clear(f.slots)
	f.mark, f.read, f.asked = 0, 0, 0
	f.fills++
	if err := each(func(card store.Card) {
		if slot := f.slot(card); *slot < fullSlot {
			*slot++
		}
		f.read++
	}); err == nil {
		f.mark = mark
	}
}

// findCards finds out which cards may be fresh, beside the first statements: to write is what a sweep waits for, and
// another core is idle at times. The function it gives waits for the end of that.
func (w *writer) findCards() (wait func()) {
	w.found = make(chan struct{})
	go func() {
		defer close(w.found)
		w.places, w.filled = w.cards.maybe(w.mark, len(w.batch.Expiries), func(i int) store.Card { return w.batch.Expiries[i].Card() })
	}()
	return func() { <-w.found }
}

// staleCards marks the memory cards that were made of a fact now expired, and notes which were fresh.
func (w *writer) staleCards(ctx context.Context) error {
	// A statement for each tenant and scope, of which there are few: what SQLite sorts is a plain list then.
	type group struct{ tenant, scope string }
	entities := map[group][]string{}
	<-w.found
	var cards []store.Card
	for _, i := range w.places {
		if e := &w.batch.Expiries[i]; e.Written {
			cards = append(cards, e.Card())
		}
	}
	for _, card := range store.Once(cards) {
		g := group{card.Tenant, card.Scope}
		entities[g] = append(entities[g], card.Entity)
	}
	for g, of := range entities {
		// The plus leaves the primary key as the only way: most cards of a tenant and scope are fresh.
		list := pack(of)
		if err := collect(ctx, w.tx, func(entity string) {
			w.staled = append(w.staled, store.Card{Entity: entity, Tenant: g.tenant, Scope: g.scope})
		}, `
			UPDATE memory_cards SET is_stale = 1
			WHERE +is_stale = 0 AND entity_uri IN (`+list.sql+`) AND tenant_id = $2 AND scope = $3
			RETURNING entity_uri`, list.json, g.tenant, g.scope); err != nil {
			return err
		}
	}
	return nil
}
