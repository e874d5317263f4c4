//go:build interop

// Package interop_test runs real Stigmem nodes and decayctl on the same fact stores. The node's own migrations make the
// tables. Facts are asserted and queried over HTTP.
// `make interop` installs the nodes and runs the tests.
package interop_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"decayctl/internal/interop/nodeproc"
)

const (
	newest  = nodeproc.Newest // the release that decayctl is proved against
	former  = "0.9.0a10"      // the last release that does not separate facts and jobs by tenant
	oldest  = "0.9.0a2"       // the first release whose stores decayctl sweeps
	tooOld  = "0.9.0a1"
	wheel   = "none" // the newest release's wheel alone, without its sources
	rootKey = "a-key-that-the-caller-made-up"

	patience = nodeproc.Patience
)

// Settings of nodes.
const (
	noAuth   = nodeproc.NoAuth
	allAsync = "STIGMEM_ASYNC_JOB_THRESHOLD=0" // the node makes a job for one fact
	unsigned = nodeproc.Unsigned
)

// Settings that let a node use its plugins. Those on PyPI are not signed.
var plugins = []string{
	unsigned, "STIGMEM_PLUGIN_UNSIGNED_ACK=i-understand-plugins-are-unsigned",
	"STIGMEM_TIME_TRAVEL_ENABLED=true", "STIGMEM_TIME_TRAVEL_ALLOW_FACT_QUERY_AS_OF=true", "STIGMEM_TIME_TRAVEL_ALLOW_RECALL_AS_OF=true",
	"STIGMEM_LAZY_INSTRUCTION_DISCOVERY_ENABLED=true", "STIGMEM_LAZY_INSTRUCTION_DISCOVERY_ALLOW_MANIFEST_PUBLISH=true",
	"STIGMEM_LAZY_INSTRUCTION_DISCOVERY_ALLOW_INSTRUCTION_RECALL=true",
	"STIGMEM_TOMBSTONES_ENABLED=true", "STIGMEM_TOMBSTONES_ALLOW_ADMIN_ROUTES=true", "STIGMEM_TOMBSTONES_ALLOW_RECALL_FILTER=true",
}

// node is a running node. It does not outlive the test.
type node struct {
	nodeproc.Client
	t   testing.TB
	log func() string
}

// installed is the folder that `make interop` installed the nodes into.
func installed(t testing.TB) nodeproc.Installation {
	t.Helper()
	folder := os.Getenv("INTEROP_NODE")
	if folder == "" {
		t.Fatal("INTEROP_NODE does not say where the nodes are; run these tests with: make interop")
	}
	return nodeproc.Installation(folder)
}

// python is a program of the node's virtual environment, with the sources of a release.
func python(ctx context.Context, t testing.TB, release string, environ []string, program string, args ...string) *exec.Cmd {
	t.Helper()
	return installed(t).Command(ctx, release, t.TempDir(), environ, program, args...)
}

// serve starts the newest node on a store, which the node migrates, and makes a key with the node's command.
func serve(t testing.TB, p *place, settings ...string) *node {
	t.Helper()
	return serveRelease(t, newest, p, settings...)
}

func serveRelease(t testing.TB, release string, p *place, settings ...string) *node {
	t.Helper()
	running, err := installed(t).Start(release, t.TempDir(), slices.Concat(p.environ, settings)...)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{Client: nodeproc.Client{URL: running.URL}, t: t, log: running.Log}
	t.Cleanup(func() {
		if err := running.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			text := n.log()
			t.Logf("the node's log:\n%s", text[max(0, len(text)-12_000):])
		}
	})
	if !slices.Contains(settings, noAuth) {
		n.Key = rootKey
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		out, err := python(ctx, t, release, running.Environ, "stigmem", "auth", "bootstrap-key", "--key", rootKey,
			"--permissions", "admin,write,read,federate,admin:federation").CombinedOutput()
		// A copy of a store already has the key of the original.
		if err != nil && !strings.Contains(string(out), "is not empty") {
			t.Fatalf("make a key: %v: %s", err, out)
		}
	}
	return n
}

// as is the node, used with a new key of an agent in a tenant. Only a node with an administrator's key can make keys.
func (n *node) as(agent, tenant string) *node {
	n.t.Helper()
	other := *n
	other.Key = fmt.Sprintf("%s-of-%s-has-a-long-key-that-is-its-own", agent, tenant)
	n.want(http.StatusCreated, http.MethodPost, "/v1/auth/keys", nil, object{
		"raw_key": other.Key, "entity_uri": agent, "permissions": []string{"admin", "read", "write"}, "tenant_id": tenant})
	return &other
}

// await repeats done until it is true.
func (n *node) await(what string, so func() bool) {
	n.t.Helper()
	for end := time.Now().Add(patience); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			n.t.Fatalf("%s: not within %s", what, patience)
		}
	}
}
