package main

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"time"

	"decayctl/internal/store"
)

//go:embed script_sqlite.sql
var sqliteScript string

//go:embed script_postgres.sql
var postgresScript string

// scripted runs the script, or the query that counts its facts, in the database's own shell.
func scripted(ctx context.Context, t target, store, of string, at instants) (measurement, error) {
	out, c, err := timed(ctx, t, t.shell(ctx, scriptFor(store, of, at)))
	if err != nil {
		return measurement{}, err
	}
	var numbers []float64
	for _, text := range strings.Fields(string(out)) {
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return measurement{}, fmt.Errorf("the shell answers %q", out)
		}
		numbers = append(numbers, n)
	}
	switch {
	case of == dryRunCase && len(numbers) == 1:
		return measurement{cost: c, decayed: int64(numbers[0])}, nil
	case of != dryRunCase && len(numbers) == 3: // the begin, the number of facts, the end
		locked := time.Duration((numbers[2] - numbers[0]) * float64(time.Second))
		return measurement{cost: c, decayed: int64(numbers[1]), locked: locked}, nil
	default:
		return measurement{}, fmt.Errorf("the shell answers %q", out)
	}
}

// scriptFor is the script of a case. The file of each dialect begins with the query for the stale facts, which ends at
// the line that is a semicolon.
func scriptFor(kind, of string, at instants) string {
	text := sqliteScript
	if kind == postgresStore {
		text = postgresScript
	}
	stale, sweep, _ := strings.Cut(text, "\n;\n")
	if of == dryRunCase {
		sweep = "SELECT count(*) FROM (" + stale + ") s;"
	}
	values := strings.NewReplacer("$stale", stale, "$as_of_ms", strconv.FormatInt(instantOf(of).UnixMilli(), 10),
		"$as_of", quoted(at.asOf), "$cutoff", quoted(at.cutoff), "$stamp", quoted(at.stamp),
		"$reason", quoted(store.Reason), "$actor", quoted(store.Actor), "$floor", floor)
	return values.Replace(values.Replace(sweep)) // twice, since the text of $stale has values in it
}

func quoted(text string) string { return "'" + text + "'" }
