package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"decayctl/internal/store"
)

// writeCost is null if it is not known, or too small to matter.
type writeCost struct {
	Facts     int64   `json:"facts"`
	LogBytes  int64   `json:"log_bytes"`
	DiskBytes int64   `json:"disk_bytes"`
	Seconds   int64   `json:"seconds"`
	LogWith   logWith `json:"log_bytes_with"`

	MaxWALSize *int64   `json:"max_wal_size"`
	Keeps      []string `json:"log_kept_by"`
}

// logWith is the log with other settings. null is a setting that is so already, gains little, or is refused.
type logWith struct {
	MaxWALSize     *int64 `json:"max_wal_size"`
	WALCompression *int64 `json:"wal_compression"`
	NoFKChecks     *int64 `json:"no_fk_checks"`
}

func writeCostOf(c *store.WriteCost) *writeCost {
	if c == nil {
		return nil
	}
	orNull := func(bytes int64) *int64 {
		if bytes == 0 {
			return nil
		}
		return &bytes
	}
	return &writeCost{
		c.Facts, c.Log, c.Disk, int64(c.Time.Seconds()), logWith{orNull(c.LogLarger), orNull(c.LogCompressed), orNull(c.LogWithoutKeys)},
		orNull(c.LargerSize), append([]string{}, c.Keeps...),
	}
}

// CostNotes say what it will cost to write facts, and what would make it cheaper.
func CostNotes(c *store.WriteCost) []string {
	if c == nil {
		return nil
	}
	// In units of 1024, as PostgreSQL counts in max_wal_size and pg_size_pretty.
	size := func(bytes int64) string {
		return strings.Replace(humanize.IBytes(uint64(max(0, bytes))), "iB", "B", 1) //nolint:gosec // not below 0
	}
	notes := []string{fmt.Sprintf(
		"writing %s facts takes about %s of write-ahead log, %s of disk, and %s with --workers 2 --pace 1; by default four times as long",
		humanize.Comma(c.Facts), size(c.Log), size(c.Disk), about(c.Time))}
	var with []string
	if c.LogLarger > 0 {
		with = append(with, fmt.Sprintf("%s with max_wal_size = %dGB", size(c.LogLarger), c.LargerSize>>30))
	}
	if c.LogCompressed > 0 {
		with = append(with, size(c.LogCompressed)+" with wal_compression")
	}
	if c.LogWithoutKeys > 0 {
		with = append(with, size(c.LogWithoutKeys)+" with --no-fk-checks")
	}
	if len(with) > 0 {
		notes = append(notes, "the log would be about "+strings.Join(with, ", "))
	}
	if len(c.Keeps) > 0 {
		notes = append(notes, "what keeps the log on the disk for longer: "+strings.Join(c.Keeps, ", "))
	}
	return notes
}

// about is a time of which only the order is known.
func about(d time.Duration) string {
	if d < 2*time.Minute {
		return fmt.Sprintf("%d seconds", int(d.Seconds())+1)
	}
	return fmt.Sprintf("%.0f minutes", d.Minutes())
}
