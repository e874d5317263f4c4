package stats

import "slices"

// bounded counts by keys, for no more than so many of them: those that come first in their order, in whatever order they
// are met. A key that has no place once never has one again, so none is counted in part. Names in keys are hostile text,
// and there may be a million of them.
type bounded[K comparable, V any] struct {
	most    int
	compare func(a, b K) int
	clone   func(K) K // a copy that may be kept
	make    func() *V
	move    func(from, to *V) *V // adds a value to another, and gives it back as a new one: a million must cost no memory

	keys   []K // of values, in their order
	values map[K]*V
	others *V // nil: no key was beyond the bound
}

// at is where to count what has a key.
func (b *bounded[K, V]) at(key K) *V {
	if v := b.values[key]; v != nil {
		return v
	}
	at, _ := slices.BinarySearchFunc(b.keys, key, b.compare)
	if len(b.keys) == b.most {
		if b.others == nil {
			b.others = b.make()
		}
		if at == b.most {
			return b.others
		}
	}
	key = b.clone(key)
	if b.values == nil {
		b.values = map[K]*V{}
	}
	if len(b.keys) < b.most {
		b.values[key] = b.make()
	} else {
		last := b.keys[b.most-1]
		b.values[key] = b.move(b.values[last], b.others)
		delete(b.values, last)
		b.keys = b.keys[:b.most-1]
	}
	b.keys = slices.Insert(b.keys, at, key)
	return b.values[key]
}
