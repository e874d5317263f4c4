package sweep_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"
	weakref "weak"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"decayctl/internal/fact"
	"decayctl/internal/store"
	"decayctl/internal/store/storetest"
	"decayctl/internal/sweep"
)

// inRanges is a store that is read in ranges alone.
type inRanges struct{ store.Store }

func (inRanges) ScanAll(context.Context, store.CandidatesParams, func([]fact.Candidate, int) error) (store.Range, bool, error) {
	return store.Range{}, false, nil
}

// TestGroupsAreBounded: relation names are hostile text, and there may be as many as facts. What is reported does not
// depend on the order in which these are read.
func TestGroupsAreBounded(t *testing.T) {
	t.Parallel()
	s, d := newStore(t, 0)
	var facts []fact.Candidate
	for i := range 3000 {
		facts = append(facts, storetest.Fact(fmt.Sprintf("%04d", i*7%3000), func(c *fact.Candidate) {
			c.Timestamp = fmt.Sprintf("%04d-01-01T00:00:00+00:00", i+1)
			c.Relation = fmt.Sprintf("%0300dé", i)
			if i%2 == 0 {
				c.Relation = fmt.Sprint(i)
			}
		}))
	}
	d.Insert(t, facts...)
	result, err := storetest.Engine(s).Preview(context.Background(), sweep.Params{Rules: weak().Rules, AsOf: asOf})
	if err != nil {
		t.Fatal(err)
	}
	sum := result.Other.Facts
	for key, group := range result.Groups {
		sum += group.Facts
		if len(key.Relation) > 210 {
			t.Errorf("a key of %d bytes", len(key.Relation))
		}
	}
	if sum != 3000 || len(result.Groups) != 1000 {
		t.Errorf("%d facts in %d groups and others", sum, len(result.Groups))
	}
	again, err := storetest.Engine(inRanges{s}).Preview(context.Background(), sweep.Params{Rules: weak().Rules, AsOf: asOf})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(again, result, cmpopts.IgnoreUnexported(sweep.Result{})); diff != "" {
		t.Errorf("(-ranges +rows):\n%s", diff)
	}
	if result.Oldest == nil || !result.Oldest.Equal(time.Time{}) {
		t.Errorf("the oldest is of %v, not of the year 1", result.Oldest)
	}
}

// oneText is a store whose facts have texts that are parts of a long one.
type oneText struct {
	store.Store
	long weakref.Pointer[byte]
}

func (o *oneText) ScanAll(_ context.Context, _ store.CandidatesParams, use func([]fact.Candidate, int) error) (store.Range, bool, error) {
	c := storetest.Fact("a", func(c *fact.Candidate) {
		status := "released"
		c.Source, c.Quarantine = "somebody", &status
	})
	texts := []*string{&c.ID, &c.Entity, &c.Relation, &c.Source, &c.Tenant, &c.Scope, &c.Timestamp, c.Quarantine}
	long := strings.Repeat(" ", 1<<20)
	for _, text := range texts {
		long += *text
	}
	o.long = weakref.Make(unsafe.StringData(long))
	rest := long[1<<20:]
	for _, text := range texts {
		*text, rest = rest[:len(*text)], rest[len(*text):]
	}
	return store.Range{}, true, use([]fact.Candidate{c}, 1)
}

// TestResultKeepsNoLongText: facts are read with long texts, which what is kept of a few must not keep in memory.
func TestResultKeepsNoLongText(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, 0)
	one := &oneText{Store: s}
	result, err := storetest.Engine(one).Preview(t.Context(), sweep.Params{Rules: weak().Rules, AsOf: asOf, Samples: 1})
	if err != nil || len(result.Samples) != 1 || len(result.Groups) != 1 || result.Tenants["default"] != 1 {
		t.Fatalf("%+v, %v", result, err)
	}
	runtime.GC()
	if one.long.Value() != nil {
		t.Error("a long text is kept")
	}
	runtime.KeepAlive(result)
}
