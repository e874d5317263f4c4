package cli_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"

	"decayctl/internal/store/storetest"
)

// TestVectors runs the reference sweeps through the command line, in a node's own environment.
func TestVectors(t *testing.T) {
	t.Parallel()
	for _, b := range backends {
		for _, v := range storetest.Vectors(t) {
			t.Run(b.name+" "+v.Name, func(t *testing.T) {
				t.Parallel()
				db, _, environ := b.fresh(t)
				v.Load(t, db)
				environ = append(environ,
					fmt.Sprintf("STIGMEM_DECAY_TTL_SECONDS=%d", v.Settings.TTL),
					fmt.Sprintf("STIGMEM_DECAY_MIN_CONFIDENCE=%g", v.Settings.Floor))
				args := []string{"sweep", "--yes"}
				if v.Params.DryRun {
					args = []string{"dry-run"}
				}
				args = append(args, "-o", "json", "--as-of", v.Now.Format("2006-01-02T15:04:05.000000Z07:00"))
				if v.Params.TTL != nil {
					args = append(args, "--ttl-seconds", strconv.FormatInt(*v.Params.TTL, 10))
				}
				if v.Params.Floor != nil {
					args = append(args, "--min-confidence", strconv.FormatFloat(*v.Params.Floor, 'f', -1, 64))
				}
				if v.Params.Scope != nil {
					args = append(args, "--scope", *v.Params.Scope)
				}
				got := decayctl(t, environ, args...)
				if want := map[bool]int{true: 0, false: 2}[v.HasRule]; got.exit != want {
					t.Fatalf("exit code %d, want %d: %s", got.exit, want, got.stderr)
				}
				if v.HasRule {
					var result struct {
						Scanned, Decayed int64
						DryRun           bool `json:"dry_run"`
					}
					if err := json.Unmarshal([]byte(got.stdout), &result); err != nil {
						t.Fatalf("%v in %s", err, got.stdout)
					}
					if want := v.Expect.Result; result.Scanned != want.Scanned || result.Decayed != want.Decayed || result.DryRun != v.Params.DryRun {
						t.Errorf("got %+v, want %+v", result, want)
					}
				}
				v.Check(t, db)
			})
		}
	}
}
