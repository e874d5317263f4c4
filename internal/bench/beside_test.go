package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestNoticedCountsWhatWasDueDuringTheSweep(t *testing.T) {
	told := `{"Due":"1970-01-01T00:00:00.010Z","Took":999000000}
{"Due":"1970-01-01T00:00:00.020Z","Took":1000000,"ID":"a"}
{"Due":"1970-01-01T00:00:00.025Z","Took":7000000,"Query":true}
{"Due":"1970-01-01T00:00:00.030Z","Took":5000000000,"Failure":"database is locked (5)"}
{"Due":"1970-01-01T00:00:00.035Z","Took":2000000,"ID":"b"}
{"Due":"1970-01-01T00:00:00.040Z","Took":3000000,"ID":"c"}
{"Due":"1970-01-01T00:00:00.045Z","Took":1,"Query":true,"Failure":"status 500: too late"}
{"Due":"1970-01-01T00:00:00.050Z","Took":999000000,"ID":"d","Failure":"too late"}
`
	events, err := readEvents([]byte(told))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		queries bool
		want    latency
	}{
		{false, latency{P50: 2 * time.Millisecond, P99: 5 * time.Second, Max: 5 * time.Second, Times: 4, Failures: 1, Failure: "database is locked (5)"}},
		{true, latency{P50: 7 * time.Millisecond, P99: 7 * time.Millisecond, Max: 7 * time.Millisecond, Times: 1}},
	} {
		got := noticed(events, test.queries, time.UnixMilli(20), time.UnixMilli(40))
		if diff := cmp.Diff(&test.want, got); diff != "" {
			t.Errorf("queries %v: %s", test.queries, diff)
		}
	}
	if diff := cmp.Diff([]string{"a", "b", "c", "d"}, acknowledged(events)); diff != "" {
		t.Errorf("acknowledged, whenever it was due: %s", diff)
	}
	if _, err := readEvents([]byte("panic: no store\n")); err == nil {
		t.Error("a line that is none is taken for one")
	}
}
