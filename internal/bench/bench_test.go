package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"decayctl/internal/cli"
	"decayctl/internal/skiptest"
	"decayctl/internal/store/pgtest"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"decayctl": func() { os.Exit(cli.Main(cli.ThisProcess())) },
		"bench":    main,
		"other":    other,
	})
}

// other is a second build of decayctl, for -against. It records its arguments.
func other() {
	program, err := os.Executable()
	if err != nil {
		panic(err)
	}
	trace, err := os.OpenFile(program+".trace", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(trace, strings.Join(os.Args[1:], " "))
	_ = trace.Close()
	os.Exit(cli.Main(cli.ThisProcess()))
}

// A whole run on small stores measures every contestant in every case. The run fails by itself if contestants expire
// different facts.
func TestContestantsAgree(t *testing.T) {
	t.Parallel()
	for store, shell := range map[string]string{sqliteStore: "sqlite3", postgresStore: "psql"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			programs := skiptest.Programs(t, "decayctl", "bench", "other", shell)
			none := t.TempDir()
			p, err := parse([]string{"-facts", "700", "-stores", store, "-baseline", "50ms", "-settings", "fsync = off",
				"-against", programs[2], "-node", none}, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			p.decayctl, p.self, p.out = programs[0], programs[1], filepath.Join(t.TempDir(), "docs", "benchmarks.md")
			var printed bytes.Buffer
			if err := p.measure(t.Context(), &printed); errors.Is(err, pgtest.ErrMissing) {
				skiptest.Skip(t, err)
			} else if err != nil {
				t.Fatal(err)
			}
			var rec record
			if err := load(filepath.Join(filepath.Dir(p.out), "benchmarks.json"), &rec); err != nil {
				t.Fatal(err)
			}
			for _, of := range caseNames {
				for _, contestant := range contestantNames {
					switch r := rec.Results.find(store, 700, of, contestant); {
					case (r != nil) != (takesPart(contestant, store, of) && of != nodeCase):
						t.Errorf("%s, %s: %+v", of, contestant, r)
					case r == nil || contestant == noSweep:
					case (r.Decayed == 0) != (of == nothingCase):
						t.Errorf("%s, %s: %d facts", of, contestant, r.Decayed)
					}
				}
			}
			if text, err := os.ReadFile(programs[2] + ".trace"); err != nil || !strings.Contains(string(text), "--store "+store) {
				t.Errorf("the other decayctl was run with %q, %v", text, err)
			}
			if told := strings.Contains(printed.String(), "internal/interop/install "+none+" installs it"); told != (store == sqliteStore) {
				t.Errorf("without a node the run prints %q", printed.String())
			}
			if text, err := os.ReadFile(p.out); err != nil || len(text) < 2000 {
				t.Errorf("the page is %q, %v", text, err)
			}
		})
	}
}

func TestMeasureStopsWhenInterrupted(t *testing.T) {
	t.Parallel()
	programs := skiptest.Programs(t, "decayctl", "bench")
	p, err := parse([]string{"-facts", "100", "-stores", sqliteStore, "-cases", neighbourCase, "-contestants", noSweep, "-baseline", "1h"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	p.decayctl, p.self = programs[0], programs[1]
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	// The heading is printed right before the first measurement.
	if err := p.measure(ctx, whenWritten{heading, stop}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// whenWritten calls do when a text is written.
type whenWritten struct {
	text string
	do   func()
}

func (w whenWritten) Write(p []byte) (int, error) {
	if strings.Contains(string(p), w.text) {
		w.do()
	}
	return len(p), nil
}

func TestParseRefuses(t *testing.T) {
	for _, args := range [][]string{
		{"-facts", "many"}, {"-facts", "0"}, {"-stores", "libsql"}, {"-cases", "first,last"},
		{"-contestants", "everybody"}, {"-contestants", "decayctl,before"}, {"-times", "0"}, {"again"},
	} {
		if _, err := parse(args, io.Discard); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
	p, err := parse([]string{"-quick", "-stores", postgresStore}, io.Discard)
	if err != nil || len(p.cases) != 1 || p.stores[0] != postgresStore || p.facts[0] != 100_000 {
		t.Errorf("quick: %+v, %v", p, err)
	}
}
