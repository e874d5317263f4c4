// Package bounded counts by key in bounded memory. Keys with names from a store are hostile text, and may be a million.
package bounded

import "slices"

// Map has a value for each of the lowest keys, in any order of calls. A dropped key is higher than all that are kept and
// cannot come back, so no key is counted in part. A Map belongs to one goroutine.
type Map[K comparable, V any] struct {
	Most    int // keys to keep, 1 or more
	Compare func(a, b K) int
	Clone   func(K) K // copies a key's texts, which may be parts of larger ones
	New     func() *V
	Move    func(from, to *V) *V // adds from to to, and returns from set to 0, for reuse: a million dropped keys must cost no memory

	Values map[K]*V // not nil
	Others *V       // of the dropped keys; may be nil before the first

	keys []K // of Values, in their order
}

// Keys are the keys of Values, in their order.
func (m *Map[K, V]) Keys() []K { return m.keys }

// At is the value of a key, or Others.
func (m *Map[K, V]) At(key K) *V {
	if v := m.Values[key]; v != nil {
		return v
	}
	at, _ := slices.BinarySearchFunc(m.keys, key, m.Compare)
	if len(m.keys) == m.Most {
		if m.Others == nil {
			m.Others = m.New()
		}
		if at == m.Most {
			return m.Others
		}
	}
	key = m.Clone(key)
	if len(m.keys) < m.Most {
		m.Values[key] = m.New()
	} else {
		last := m.keys[m.Most-1]
		m.Values[key] = m.Move(m.Values[last], m.Others)
		delete(m.Values, last)
		m.keys = m.keys[:m.Most-1]
	}
	m.keys = slices.Insert(m.keys, at, key)
	return m.Values[key]
}
