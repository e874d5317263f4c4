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
		for n := range int64(400) {
			if b.has(n) != in[n] {
				rt.Fatalf("%d: %t", n, b.has(n))
			}
		}
	})
}
