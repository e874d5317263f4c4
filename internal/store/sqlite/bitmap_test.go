package sqlite

import (
	"testing"

	"pgregory.net/rapid"
)

// TestBitmap holds a bitmap against a map.
func TestBitmap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		var b bitmap
		in := map[int64]bool{}
		for _, n := range rapid.SliceOf(rapid.Int64Range(0, 300)).Draw(rt, "numbers") {
			b.add(n)
			in[n] = true
			if n >= b.end() {
				rt.Fatalf("%d is not below %d", n, b.end())
			}
		}
		from := rapid.Int64Range(0, 300).Draw(rt, "from")
		to := rapid.Int64Range(from-1, 300).Draw(rt, "to")
		b.addAll(from, to)
		for n := from; n <= to; n++ {
			in[n] = true
		}
		for n := int64(0); n <= 399; n++ { // those that are not in it too
			if rapid.Bool().Draw(rt, "remove") {
				b.remove(n)
				delete(in, n)
			}
		}
		following := b.end()
		for n := int64(399); n >= 0; n-- {
			if in[n] {
				following = n
			}
			if next := b.next(n); n < b.end() && next != following {
				rt.Fatalf("from %d on: %d, not %d", n, next, following)
			}
			if b.has(n) != in[n] {
				rt.Fatalf("%d: %t", n, b.has(n))
			}
		}
	})
}
