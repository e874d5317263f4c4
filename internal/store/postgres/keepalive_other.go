//go:build !linux

package postgres

import (
	"net"
	"time"
)

// limitUnanswered leaves it to the system, which has no such option.
func limitUnanswered(*net.TCPConn, time.Duration) {}
