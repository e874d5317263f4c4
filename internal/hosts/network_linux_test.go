package hosts_test

import (
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"decayctl/internal/skiptest"
)

// host is a host of a test's own network: a thread with a host name, a network stack and an address of its own. Processes
// that the thread starts belong to the host. The kernel removes it when its last process and its thread have ended.
type host struct {
	name    string
	address string
	thread  int
	todo    chan func()
	network *network
}

// network is hosts that reach each other through a switch. No other host, and no process of the machine, reaches them.
type network struct {
	cable *host // the switch
	hosts int
}

// newNetwork makes a network that ends with the test. It skips the test if the process may not make namespaces.
func newNetwork(t *testing.T) *network {
	t.Helper()
	skiptest.Programs(t, "ip") // Debian: iproute2
	n := &network{cable: newHost(t, "switch")}
	n.cable.ip(t, "link add bridge type bridge", "link set bridge up")
	return n
}

func newHost(t *testing.T, name string) *host {
	t.Helper()
	h := &host{name: name, todo: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine, and other goroutines never get it
		err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWUTS)
		if err == nil {
			err = unix.Sethostname([]byte(name))
		}
		h.thread = unix.Gettid()
		ready <- err
		for work := range h.todo {
			work()
		}
	}()
	t.Cleanup(func() { close(h.todo) })
	if err := <-ready; err != nil {
		skiptest.Skip(t, "no network of the test's own: ", err, "; namespaces need root, or CAP_SYS_ADMIN")
	}
	h.ip(t, "link set lo up")
	return h
}

// add connects a new host to the switch.
func (n *network) add(t *testing.T, name string) *host {
	t.Helper()
	h := newHost(t, name)
	n.hosts++
	h.network, h.address = n, fmt.Sprintf("10.77.0.%d", n.hosts)
	n.cable.ip(t,
		fmt.Sprintf("link add name %s type veth peer name eth0 netns %d", name, h.thread),
		"link set dev "+name+" master bridge up")
	h.ip(t, "address add "+h.address+"/24 dev eth0", "link set eth0 up")
	return h
}

// cut has the switch drop all that the host sends and gets, and tells neither side.
func (h *host) cut(t *testing.T) {
	t.Helper()
	h.network.cable.ip(t, "link set dev "+h.name+" nomaster")
}

// reconnect undoes cut.
func (h *host) reconnect(t *testing.T) {
	t.Helper()
	h.network.cable.ip(t, "link set dev "+h.name+" master bridge up")
}

// run does work on the host: what it starts and listens to is there. work may end the test.
func (h *host) run(t *testing.T, work func()) {
	t.Helper()
	done := make(chan struct{})
	h.todo <- func() {
		defer close(done)
		work()
	}
	<-done
	switch {
	case t.Skipped():
		t.SkipNow()
	case t.Failed():
		t.FailNow()
	}
}

func (h *host) ip(t *testing.T, commands ...string) {
	t.Helper()
	for _, command := range commands {
		h.run(t, func() {
			t.Helper()
			if out, err := exec.CommandContext(t.Context(), "ip", strings.Fields(command)...).CombinedOutput(); err != nil {
				t.Errorf("ip %s: %v: %s", command, err, out)
			}
		})
	}
}
