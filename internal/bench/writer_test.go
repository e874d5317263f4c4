package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestNoticedCountsWhatWasDueDuringTheSweep(t *testing.T) {
	told := "10 999000000\n20 1000000\n30 5000000000 database is locked (5)\n35 2000000\n40 3000000\n50 999000000 too late\n"
	got, err := noticed([]byte(told), time.Unix(0, 20), time.Unix(0, 40))
	if err != nil {
		t.Fatal(err)
	}
	want := &latency{
		P50: 2 * time.Millisecond, P99: 5 * time.Second, Max: 5 * time.Second,
		Inserts: 4, Failures: 1, Failure: "database is locked (5)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := noticed([]byte("panic: no store\n"), time.Unix(0, 0), time.Unix(0, 1)); err == nil {
		t.Error("a line that is none is taken for one")
	}
}
