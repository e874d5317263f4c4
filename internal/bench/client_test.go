package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"decayctl/internal/store/sample"
)

// smallStore is the path of a new SQLite store with sample facts.
func smallStore(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "facts.db")
	if err := sample.CreateSQLite(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if err := sample.FillSQLite(t.Context(), path, sampleOf(200)); err != nil {
		t.Fatal(err)
	}
	return path
}

// A client counts what it sends after the warming requests, until its input ends. The server stands in for a node: after
// warming it refuses every other fact, and answers every query with 404.
func TestClientTellsAndAsks(t *testing.T) {
	t.Parallel()
	path := smallStore(t)
	stdin, end := io.Pipe()
	var told, asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			if asked.Add(1) > warming {
				w.WriteHeader(http.StatusNotFound)
			}
			fmt.Fprint(w, "{}")
			return
		}
		n := told.Add(1)
		if n > warming && n%2 == 0 {
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprint(w, "locked")
			return
		}
		if n > warming+2 && asked.Load() > warming+1 {
			_ = end.Close() // this request is still answered
		}
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"id": "fact-%d"}`, n)
	}))
	defer server.Close()
	var out bytes.Buffer
	if err := useNode(t.Context(), []string{server.URL, path}, stdin, &out); err != nil {
		t.Fatal(err)
	}
	first, rest, _ := strings.Cut(out.String(), "\n")
	if first != ready {
		t.Errorf("it begins with %q", first)
	}
	events, err := readEvents([]byte(rest))
	if err != nil {
		t.Fatal(err)
	}
	if want := told.Load() + asked.Load() - 2*warming; int64(len(events)) != want {
		t.Errorf("%d events of %d requests", len(events), want)
	}
	facts, refused := 0, 0
	for _, e := range events {
		switch {
		case e.Query && (e.Failure == "" || !strings.HasPrefix(e.Failure, "status 404") || e.ID != ""):
			t.Errorf("a query: %+v", e)
		case e.Query:
		case (e.Failure == "") != (e.ID != ""):
			t.Errorf("a fact: %+v", e)
		case e.Failure != "":
			if refused++; e.Failure != "status 500: locked" {
				t.Errorf("a fact: %+v", e)
			}
		default:
			facts++
		}
	}
	if facts < 2 || refused < 1 || len(acknowledged(events)) != facts {
		t.Errorf("%d facts acknowledged, %d refused: %+v", facts, refused, events)
	}
}

func TestLost(t *testing.T) {
	t.Parallel()
	path := smallStore(t)
	var c client
	if err := c.choose(t.Context(), path); err != nil || len(c.ids) == 0 {
		t.Fatalf("%d facts to ask for, %v", len(c.ids), err)
	}
	for want, ids := range [][]string{c.ids, append([]string{"never-written"}, c.ids...)} {
		if got, err := lost(t.Context(), &sqliteTarget{path: path}, ids); err != nil || got != want {
			t.Errorf("%d facts are lost, want %d; %v", got, want, err)
		}
	}
}
