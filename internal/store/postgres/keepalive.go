package postgres

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"decayctl/internal/store"
)

// lostAfter is how long a connection may be dead before this process notices, unless the address says otherwise. Without a limit
// of its own, the system would try to send for a quarter of an hour.
const lostAfter = 30 * time.Second

// keepalive is how a connection finds out that the server's host does not answer any more.
type keepalive struct {
	net.KeepAliveConfig               // while this process waits for the server
	unanswered          time.Duration // how long sent data may be without an answer, on Linux; 0 is as the system has it
}

// takeKeepalive takes libpq's parameters for keepalives out of the parameters of an address. The driver does not know them.
func takeKeepalive(parameters map[string]string) (k keepalive, err error) {
	k.Enable, k.Idle, k.Interval, k.Count, k.unanswered = true, lostAfter/3, lostAfter/6, 4, lostAfter
	for _, each := range []struct {
		name string
		set  func(n int)
	}{
		{"keepalives", func(n int) { k.Enable = n != 0 }},
		{"keepalives_idle", func(n int) { k.Idle = time.Duration(asSystem(n)) * time.Second }},
		{"keepalives_interval", func(n int) { k.Interval = time.Duration(asSystem(n)) * time.Second }},
		{"keepalives_count", func(n int) { k.Count = asSystem(n) }},
		{"tcp_user_timeout", func(n int) { k.unanswered = time.Duration(n) * time.Millisecond }},
	} {
		value, given := parameters[each.name]
		if !given {
			continue
		}
		delete(parameters, each.name)
		n, err := strconv.ParseInt(value, 10, 32)
		if err != nil || n < 0 {
			return k, &store.Error{Kind: store.Unusable, Text: fmt.Sprintf("the PostgreSQL connection string has %s=%q, which is no number from 0 on", each.name, value)}
		}
		each.set(int(n))
	}
	return k, nil
}

// asSystem is a number for net.KeepAliveConfig. For libpq, 0 leaves it to the system; for package net, a negative number does.
func asSystem(n int) int {
	if n == 0 {
		return -1
	}
	return n
}

// dial connects to a server. The driver's context has connect_timeout.
func (k keepalive) dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := net.Dialer{KeepAliveConfig: k.KeepAliveConfig, KeepAlive: -1}
	conn, err := dialer.DialContext(ctx, network, address)
	if tcp, ok := conn.(*net.TCPConn); ok && k.unanswered > 0 {
		limitUnanswered(tcp, k.unanswered)
	}
	return conn, err
}
