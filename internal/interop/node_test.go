//go:build interop

// Package interop_test puts real Stigmem nodes and decayctl on the same fact stores: stores that the
// node's own migrations made, facts that were asserted over HTTP, and a node that is asked afterwards.
// `make interop` installs the nodes and runs the tests.
package interop_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	newest  = "0.9.0a12" // the release that decayctl is proved against
	former  = "0.9.0a10" // the last release before facts and jobs were kept apart by tenant
	oldest  = "0.9.0a2"  // the first release whose stores decayctl sweeps
	tooOld  = "0.9.0a1"
	wheel   = "none" // no sources in front of the newest release's wheel
	rootKey = "a-key-that-the-caller-made-up"

	// patience is how long a node may take for anything, on a busy machine.
	patience = 60 * time.Second
)

// Settings of nodes.
const (
	noAuth   = "STIGMEM_AUTH_REQUIRED=false"
	allAsync = "STIGMEM_ASYNC_JOB_THRESHOLD=0" // one fact is enough for a job
	unsigned = "STIGMEM_PLUGIN_SIGNING_REQUIRED=false"
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
	t   testing.TB
	url string
	key string // "" where it wants none
	log func() string
}

// installed is the folder that `make interop` installed the nodes into.
func installed(t testing.TB) string {
	t.Helper()
	folder := os.Getenv("INTEROP_NODE")
	if folder == "" {
		t.Fatal("INTEROP_NODE does not say where the nodes are; run these tests with: make interop")
	}
	return folder
}

// python is a program of the node's virtual environment, with the sources of a release. (The installed
// wheel has no migrations beside it.)
func python(ctx context.Context, t testing.TB, release string, environ []string, program string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(ctx, filepath.Join(installed(t), "venv/bin", program), args...)
	cmd.Dir = t.TempDir()
	path := filepath.Join(installed(t), "releases", release, "src")
	if slices.Contains(environ, unsigned) {
		path += string(filepath.ListSeparator) + filepath.Join(installed(t), "plugins")
	}
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + cmd.Dir, "PYTHONPATH=" + path}, environ...)
	return cmd
}

// serve starts the newest node on a store, which it migrates, and makes a key the node's way.
func serve(t testing.TB, p *place, settings ...string) *node {
	t.Helper()
	return serveRelease(t, newest, p, settings...)
}

func serveRelease(t testing.TB, release string, p *place, settings ...string) *node {
	t.Helper()
	n := &node{t: t}
	var environ []string
	// A port that is free may be somebody else's by the time the node has started.
	for err, tries := errTaken, 0; errors.Is(err, errTaken); tries++ {
		if tries == 5 {
			t.Fatal("five times the node's port was taken before it came")
		}
		port := freePort(t)
		n.url = "http://127.0.0.1:" + port
		environ = slices.Concat([]string{
			"STIGMEM_HOST=127.0.0.1", "STIGMEM_PORT=" + port, "STIGMEM_NODE_URL=" + n.url,
			// Quotas, which the tests are too quick for.
			"STIGMEM_RATE_LIMIT_WRITE_PER_HOUR=0", "STIGMEM_RATE_LIMIT_READ_PER_HOUR=0", "STIGMEM_RATE_LIMIT_DISABLED_ACK=1",
		}, p.environ, settings)
		if err = n.run(release, environ); err != nil && !errors.Is(err, errTaken) {
			t.Fatal(err)
		}
	}
	if !slices.Contains(settings, noAuth) {
		n.key = rootKey
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		out, err := python(ctx, t, release, environ, "stigmem", "auth", "bootstrap-key", "--key", rootKey,
			"--permissions", "admin,write,read,federate,admin:federation").CombinedOutput()
		// A copy of a store has the key of the original.
		if err != nil && !strings.Contains(string(out), "is not empty") {
			t.Fatalf("make a key: %v: %s", err, out)
		}
	}
	return n
}

// as is the node with a key of its own, of an agent in a tenant. Only an administrator's node can make one.
func (n *node) as(agent, tenant string) *node {
	n.t.Helper()
	other := *n
	other.key = fmt.Sprintf("%s-of-%s-has-a-long-key-that-is-its-own", agent, tenant)
	n.want(http.StatusCreated, http.MethodPost, "/v1/auth/keys", nil, object{
		"raw_key": other.key, "entity_uri": agent, "permissions": []string{"admin", "read", "write"}, "tenant_id": tenant})
	return &other
}

func freePort(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(listener.Addr().String(), ":")
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	return port
}

// errTaken says that somebody else listens on the node's port.
var errTaken = errors.New("address already in use")

// main is what the program stigmem-node does. However the test process ends, the end of the standard
// input ends the node.
const main = `
import os, signal, sys, threading
from stigmem_node.main import run
threading.Thread(target=lambda: (sys.stdin.read(), os.kill(os.getpid(), signal.SIGTERM)), daemon=True).start()
run()`

// routine is what the node logs of a request that it answered, and of each fact.
var routine = regexp.MustCompile(`^INFO: .*" [1-4]\d\d |^\[stigmem\] DEPRECATED|^\{"billing"`)

// run starts the node and waits until it answers.
func (n *node) run(release string, environ []string) error {
	n.t.Helper()
	cmd := python(context.Background(), n.t, release, environ, "python", "-c", main)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	path := filepath.Join(cmd.Dir, "log")
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = file, file
	n.log = func() string {
		content, _ := os.ReadFile(path)
		// What the node says of every fact and request would leave no room for what went wrong.
		lines := slices.DeleteFunc(strings.SplitAfter(string(content), "\n"), func(line string) bool {
			return routine.MatchString(line)
		})
		return strings.Join(lines, "")
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(ended)
	}()
	n.t.Cleanup(func() {
		_ = stdin.Close()
		select {
		case <-ended:
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			n.t.Error("the node does not end")
		}
		_ = file.Close()
		if n.t.Failed() {
			text := n.log()
			n.t.Logf("the node's log:\n%s", text[max(0, len(text)-12_000):])
		}
	})
	err = nil
	n.await("the node starts", func() bool {
		select {
		case <-ended:
			if err = errors.New("the node ended: " + n.log()); strings.Contains(err.Error(), errTaken.Error()) {
				err = errTaken
			}
			return true
		default:
		}
		answer, err := http.Get(n.url + "/healthz")
		if err != nil {
			return false
		}
		return answer.Body.Close() == nil && answer.StatusCode == http.StatusOK
	})
	return err
}

// await asks again until something is so.
func (n *node) await(what string, so func() bool) {
	n.t.Helper()
	for end := time.Now().Add(patience); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			n.t.Fatalf("%s: not within %s", what, patience)
		}
	}
}
