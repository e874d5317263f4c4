package main

import (
	"cmp"
	"slices"
)

// percentile is the smallest value that p percent of a sorted list do not exceed; 0 of an empty one.
func percentile[T any](sorted []T, p int) (value T) {
	if len(sorted) == 0 {
		return value
	}
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}

// median is the middle value, the lower one of two.
func median[T cmp.Ordered](values []T) T {
	return percentile(slices.Sorted(slices.Values(values)), 50)
}
