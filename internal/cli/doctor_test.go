package cli_test

import (
	"regexp"
	"testing"

	"decayctl/internal/store/pgtest"
)

// TestDoctorWithoutJobs: if Citus has distributed the tables of jobs, which then may not be readable, the rest is looked over.
func TestDoctorWithoutJobs(t *testing.T) {
	t.Parallel()
	db := pgtest.Start(t).NewDatabase(t, pgtest.DatabaseOptions{LikeCitus: true})
	conn := db.Conn(t)
	for _, statement := range []string{
		"UPDATE pg_catalog.placed SET name = 'jobs', method = 'n', model = 's' WHERE name = 'memory_cards'",
		"BEGIN", "LOCK TABLE jobs", // so that reading it fails, as on a cluster
	} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	a := decayctl(t, nil, "doctor", "--store", db.URL, "--lock-timeout", "1s")
	want := regexp.MustCompile(`(?s)jobs has to be on the coordinator alone.*SELECT undistribute_table\('"public"."jobs"'\);.*jobs  not known until their tables are moved`)
	if a.exit != 0 || !want.MatchString(a.stdout) {
		t.Errorf("exit code %d, %s%s", a.exit, a.stdout, a.stderr)
	}
}
