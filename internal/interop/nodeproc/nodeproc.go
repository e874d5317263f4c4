// Package nodeproc runs real Stigmem nodes for the interop tests and the benchmark. internal/interop/install installs them
// into a folder. The package is no part of decayctl.
package nodeproc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Newest is the release that decayctl is tested against.
const Newest = "0.9.0a12"

// Patience is how long a node may take to start, to end, or to answer, on a busy machine.
const Patience = 60 * time.Second

// Settings of nodes.
const (
	NoAuth   = "STIGMEM_AUTH_REQUIRED=false"
	Unsigned = "STIGMEM_PLUGIN_SIGNING_REQUIRED=false" // the node accepts unsigned plugins, and finds those of the installation
)

// Installation is the folder that internal/interop/install installed the nodes into.
type Installation string

// Complete tells whether the installation has finished.
func (i Installation) Complete() bool {
	_, err := os.Stat(filepath.Join(string(i), "stamp"))
	return err == nil
}

// Command is a program of the node's virtual environment, with the sources of a release, that runs in an existing folder.
// (The installed wheel has no migrations.)
func (i Installation) Command(ctx context.Context, release, folder string, environ []string, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(string(i), "venv/bin", program), args...)
	cmd.Dir = folder
	path := filepath.Join(string(i), "releases", release, "src")
	if slices.Contains(environ, Unsigned) {
		path += string(filepath.ListSeparator) + filepath.Join(string(i), "plugins")
	}
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + cmd.Dir, "PYTHONPATH=" + path}, environ...)
	return cmd
}

// Node is a running node.
type Node struct {
	URL     string
	Environ []string // its settings, also for its command line

	cmd   *exec.Cmd
	stdin io.Closer
	file  *os.File // its log
	ended chan struct{}
}

// errTaken is the error if another process listens on the node's port.
var errTaken = errors.New("address already in use")

// Start starts a node of a release, without quotas, and waits until it answers. The node runs in an existing folder, and
// its log is there. It ends with Stop, or when this process ends. An error has the node's log.
func (i Installation) Start(release, folder string, settings ...string) (*Node, error) {
	// A port that is free may be another process's by the time the node has started.
	for range 5 {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		n := &Node{URL: "http://127.0.0.1:" + port}
		n.Environ = append([]string{
			"STIGMEM_HOST=127.0.0.1", "STIGMEM_PORT=" + port, "STIGMEM_NODE_URL=" + n.URL,
			// Tests and benchmarks would exceed the default quotas.
			"STIGMEM_RATE_LIMIT_WRITE_PER_HOUR=0", "STIGMEM_RATE_LIMIT_READ_PER_HOUR=0", "STIGMEM_RATE_LIMIT_DISABLED_ACK=1",
		}, settings...)
		if err := n.run(i, release, folder); err == nil {
			return n, nil
		} else if !errors.Is(err, errTaken) {
			return nil, err
		}
	}
	return nil, errors.New("five times the node's port was taken before it came")
}

func freePort() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, _ := strings.Cut(listener.Addr().String(), ":")
	return port, listener.Close()
}

// main is what the program stigmem-node does, but it also ends at the end of standard input: so the node ends however this
// process ends.
const main = `
import os, signal, sys, threading
from stigmem_node.main import run
threading.Thread(target=lambda: (sys.stdin.read(), os.kill(os.getpid(), signal.SIGTERM)), daemon=True).start()
run()`

func (n *Node) run(i Installation, release, folder string) (err error) {
	n.cmd = i.Command(context.Background(), release, folder, n.Environ, "python", "-c", main)
	if n.stdin, err = n.cmd.StdinPipe(); err != nil {
		return err
	}
	if n.file, err = os.CreateTemp(folder, "log"); err != nil {
		return err
	}
	n.cmd.Stdout, n.cmd.Stderr = n.file, n.file
	if err := n.cmd.Start(); err != nil {
		return err
	}
	n.ended = make(chan struct{})
	go func() {
		_ = n.cmd.Wait() // the log says how it ended
		close(n.ended)
	}()
	for end := time.Now().Add(Patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		select {
		case <-n.ended:
			if log := n.Log(); !strings.Contains(log, errTaken.Error()) {
				return errors.New("the node ended: " + log)
			}
			return errTaken
		default:
		}
		if answer, err := http.Get(n.URL + "/healthz"); err == nil && answer.Body.Close() == nil && answer.StatusCode == http.StatusOK {
			return nil
		}
	}
	return errors.Join(fmt.Errorf("the node does not answer within %s: %s", Patience, n.Log()), n.Stop())
}

// PID is the id of the node's process.
func (n *Node) PID() int { return n.cmd.Process.Pid }

// Stop ends the node by closing its standard input. If the node does not end within Patience, Stop kills it and returns an
// error.
func (n *Node) Stop() (err error) {
	_ = n.stdin.Close()
	select {
	case <-n.ended:
	case <-time.After(Patience):
		err = errors.New("the node does not end")
		_ = n.cmd.Process.Kill()
	}
	_ = n.file.Close()
	return err
}

// routine matches the lines that the node logs of each answered request and each fact.
var routine = regexp.MustCompile(`^INFO: .*" [1-4]\d\d |^\[stigmem\] DEPRECATED|^\{"billing"`)

// Log is the node's log without the lines of every fact and request, which would hide what went wrong.
func (n *Node) Log() string {
	content, _ := os.ReadFile(n.file.Name())
	lines := slices.DeleteFunc(strings.SplitAfter(string(content), "\n"), func(line string) bool {
		return routine.MatchString(line)
	})
	return strings.Join(lines, "")
}
