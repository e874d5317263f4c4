//go:build !unix

package dbfile

import "os"

const (
	Lockless = ""
	maxPath  = 1 << 15 // of this system itself
)

// Files of this system get their rights from their folder.
func owner(os.FileInfo) string         { return "" }
func mayMakeFilesOf(os.FileInfo) bool  { return true }
func sameOwner(_, _ os.FileInfo) bool  { return true }
func giveTo(string, os.FileInfo)       {}
func opensAlike(_, _ os.FileInfo) bool { return true }
func ownerMayWrite(os.FileInfo) bool   { return true }
