package stats

import "slices"

// bounded counts facts by key for a bounded number of keys, since keys are hostile text and may be a million. It keeps
// the lowest keys, in any order of facts. A dropped key is higher than all that are kept and cannot come back, so no key
// is counted in part.
type bounded[K comparable, V any] struct {
	most    int // keys to keep
	compare func(a, b K) int
	clone   func(K) K // copies a key's texts, which may be parts of larger ones
	make    func() *V
	move    func(from, to *V) *V // adds from to to, and returns from set to 0, for reuse: a million dropped keys must cost no memory

	keys   []K // of values, in their order
	values map[K]*V
	others *V // of the dropped keys; nil if there are none
}

// at is the value of a key, or of the others.
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
