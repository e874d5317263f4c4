package cli_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// service is a monitoring service that remembers what it was told.
type service struct {
	*httptest.Server
	mu   sync.Mutex
	told []string
}

func newService(t *testing.T) *service {
	t.Helper()
	s := &service{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.told = append(s.told, r.URL.Path+" "+string(body))
	}))
	t.Cleanup(s.Close)
	return s
}

// TestServicesHearOfTheEndOfARun: those that asked to, and nothing that a store holds.
func TestServicesHearOfTheEndOfARun(t *testing.T) {
	t.Parallel()
	d, target, _ := backends[0].fresh(t)
	d.Insert(t, standard()...)
	s := newService(t)
	environ := []string{"DECAYCTL_ON_SUCCESS=" + s.URL + "/good", "DECAYCTL_ON_FAILURE=" + s.URL + "/bad", "DECAYCTL_PING=" + s.URL + "/check"}

	swept := decayctl(t, environ, "sweep", "--store", target, "--ttl", "90d", "--scope", "team")
	id := d.Rows(t, "SELECT substr(job_id, 1, 8) FROM decayctl_jobs")[0]
	missing := decayctl(t, environ, "sweep", "--store", filepath.Join(t.TempDir(), "missing.db"), "--ttl", "90d")
	unreadable := decayctl(t, environ, "dry-run", "--store", target, "--ttl", "90")
	something := decayctl(t, environ, "dry-run", "--store", target, "--ttl", "90d", "--detailed-exitcode")
	decayctl(t, environ, "jobs", "list", "--store", target)
	if swept.exit != 0 || missing.exit != 8 || unreadable.exit != 2 || something.exit != 10 {
		t.Fatalf("%+v\n%+v\n%+v\n%+v", swept, missing, unreadable, something)
	}
	done := "decayctl sweep: exit code 0; job " + id + " is done, 14 facts examined, 1 expired, 0 restored, 0 failed"
	would := "decayctl dry-run: exit code 10; 14 facts examined, 6 would expire"
	want := []string{
		"/check/start decayctl sweep began", "/good " + done, "/check " + done,
		"/check/start decayctl sweep began", "/bad decayctl sweep: exit code 8 (store_unusable)", "/check/fail decayctl sweep: exit code 8 (store_unusable)",
		"/check/start decayctl dry-run began", "/bad decayctl dry-run: exit code 2 (usage)", "/check/fail decayctl dry-run: exit code 2 (usage)",
		"/check/start decayctl dry-run began", "/good " + would, "/check " + would,
	}
	slices.SortFunc(s.told, strings.Compare) // the two at the end are told at the same time
	slices.SortFunc(want, strings.Compare)
	if diff := cmp.Diff(want, s.told); diff != "" {
		t.Errorf("what the service was told (-want +got):\n%s", diff)
	}
}

// TestAServiceThatDoesNotAnswerChangesNothing: the run is as it was, and the warning keeps the address to itself.
func TestAServiceThatDoesNotAnswerChangesNothing(t *testing.T) {
	t.Parallel()
	d, target, _ := backends[0].fresh(t)
	d.Insert(t, standard()...)
	s := newService(t)
	address := s.URL + "/secret-of-the-check"
	s.Close()
	swept := decayctl(t, nil, "sweep", "--store", target, "--ttl", "90d", "--quiet", "--ping", address)
	if swept.exit != 0 || strings.Count(swept.stderr, "a notification was not delivered") != 2 {
		t.Errorf("%+v", swept)
	}
	if strings.Contains(swept.stderr+swept.stdout, "secret-of-the-check") {
		t.Errorf("the address is told: %+v", swept)
	}
	wrong := decayctl(t, nil, "sweep", "--store", target, "--ttl", "90d", "--ping", "hc-ping.com/secret-of-the-check")
	if wrong.exit != 2 || wrong.stderr != "decayctl: --ping: it must be an http:// or https:// address\n" {
		t.Errorf("%+v", wrong)
	}
}

// TestMetricsThatCannotBeWrittenChangeNothing: not the sweep, nor its exit code.
func TestMetricsThatCannotBeWrittenChangeNothing(t *testing.T) {
	t.Parallel()
	d, target, _ := backends[0].fresh(t)
	d.Insert(t, standard()...)
	foreign := filepath.Join(t.TempDir(), "foreign.prom")
	if err := os.WriteFile(foreign, []byte("node_load1 0.5\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{t.TempDir(), filepath.Join(t.TempDir(), "missing", "main.prom"), foreign} {
		swept := decayctl(t, nil, "sweep", "--store", target, "--ttl", "90d", "--quiet", "--metrics-file", path)
		if swept.exit != 0 || strings.Count(swept.stderr, "the metrics could not be written") != 1 {
			t.Errorf("%s: %+v", path, swept)
		}
	}
	if text, err := os.ReadFile(foreign); err != nil || !bytes.Equal(text, []byte("node_load1 0.5\n")) {
		t.Errorf("the file of another program has %q, %v", text, err)
	}
}
