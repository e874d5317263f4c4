package sqlite

import (
	"fmt"
	"testing"

	"decayctl/internal/store"
)

// TestFilledMeanwhile: a filter that was filled while a batch was written has not counted the cards that
// the batch made stale. Taking them out would take out others of the same slots.
func TestFilledMeanwhile(t *testing.T) {
	t.Parallel()
	f := &cardFilter{}
	none := func(func(store.Card)) error { return nil }
	f.fill(1, none)
	x := store.Card{Entity: "x"}
	y := store.Card{}
	for i := 0; y == (store.Card{}); i++ { // another of its slot
		if c := (store.Card{Entity: fmt.Sprint(i)}); f.slot(c) == f.slot(x) {
			y = c
		}
	}
	for _, filled := range []store.Mark{0, 1} { // by the batch's mark it knew, or did not
		f.fill(filled, none)
		_, asked := f.maybe(1, 1, func(int) store.Card { return x })
		f.fill(1, func(add func(store.Card)) error { add(y); return nil })
		f.remove(asked, []store.Card{x})
		if left, _ := f.maybe(1, 1, func(int) store.Card { return y }); len(left) != 1 {
			t.Errorf("filled at %d: a fresh card is left out", filled)
		}
	}
	_, asked := f.maybe(1, 1, func(int) store.Card { return y })
	f.remove(asked, []store.Card{y})
	if left, _ := f.maybe(1, 1, func(int) store.Card { return y }); len(left) != 0 {
		t.Error("a card that was taken out is still there")
	}
}
