package sqlite

import "math/bits"

// bitmap is a set of numbers, none below 0, in as many bits as the largest of them.
type bitmap []uint64

func (b *bitmap) add(n int64) {
	for int64(len(*b)) <= n/64 {
		*b = append(*b, 0)
	}
	(*b)[n/64] |= 1 << (n % 64)
}

// addAll adds the numbers from one to another, both included.
func (b *bitmap) addAll(from, to int64) {
	for n := from; n <= to; n++ {
		b.add(n)
	}
}

// remove takes a number out, if it is in the set.
func (b bitmap) remove(n int64) {
	if b.has(n) {
		b[n/64] &^= 1 << (n % 64)
	}
}

func (b bitmap) has(n int64) bool { return n >= 0 && n < b.end() && b[n/64]>>(n%64)&1 == 1 }

// next is the first number of the set from n on; where there is none, the end.
func (b bitmap) next(n int64) int64 {
	for ; n < b.end(); n = (n/64 + 1) * 64 {
		if left := b[n/64] >> (n % 64); left != 0 {
			return n + int64(bits.TrailingZeros64(left))
		}
	}
	return b.end()
}

// end is above all numbers of the set.
func (b bitmap) end() int64 { return int64(len(b)) * 64 }
