//go:build interop

package interop_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"decayctl/internal/cli"
	"decayctl/internal/store/pgtest"
	"decayctl/internal/store/storetest"
)

const freshVectors = 200

// TestFreshVectors: decayctl and the node sweep random stores alike. The seed INTEROP_SEED makes the same stores again.
func TestFreshVectors(t *testing.T) {
	t.Parallel()
	seed := os.Getenv("INTEROP_SEED")
	if seed == "" {
		seed = strconv.FormatUint(rand.Uint64(), 10)
	}
	t.Logf("INTEROP_SEED=%s", seed)
	script, err := filepath.Abs("vectors.py")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	cmd := python(ctx, t, newest, nil, "python", script, seed, strconv.Itoa(freshVectors))
	var log bytes.Buffer
	cmd.Stderr = &log
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("seed %s: %v: %s", seed, err, log.String())
	}
	vectors := storetest.ReadVectors(t, text)
	if len(vectors) != freshVectors {
		t.Fatalf("%d vectors, want %d", len(vectors), freshVectors)
	}
	var urls sync.Map // by the connections
	reused := storetest.Reuse(func() storetest.Database {
		db := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{})
		d := storetest.Database{SQL: storetest.OpenPostgres(t, db.URL, db.Schema)}
		urls.Store(d.SQL, db.URL)
		return d
	})
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			t.Run("sqlite", func(t *testing.T) {
				t.Parallel()
				db, path := storetest.NewSQLite(t, nil)
				checkVector(t, v, db, path)
			})
			t.Run("postgres", func(t *testing.T) {
				t.Parallel()
				db := reused(t)
				url, _ := urls.Load(db.SQL)
				checkVector(t, v, db, url.(string))
			})
		})
	}
}

func checkVector(t *testing.T, v storetest.Vector, db storetest.Database, target string) {
	v.Load(t, db)
	args, environ := v.Command()
	var stdout, stderr bytes.Buffer
	exit := cli.Main(cli.Process{
		Args: append(args, "--store", target), Environ: environ, Dir: t.TempDir(),
		Stdin: &bytes.Buffer{}, Stdout: &stdout, Stderr: &stderr, Now: time.Now,
	})
	v.CheckAnswer(t, exit, stdout.String(), stderr.String())
	v.Check(t, db)
}
