//go:build !unix

package cli

// streamID is "", since this system has no systemd.
func streamID(any) string { return "" }
