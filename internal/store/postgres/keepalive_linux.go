package postgres

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// limitUnanswered closes a connection if data stays without an answer for too long. If the system does not know the option,
// the connection is as good as without.
func limitUnanswered(conn *net.TCPConn, limit time.Duration) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(limit.Milliseconds()))
	})
}
