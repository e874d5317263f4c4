package dbfile

import (
	"context"
	"fmt"
	"time"

	"decayctl/internal/store"
)

// SQLite makes the WAL and the journal next to the name by which a database was opened. A process that opens the file by
// another name (a hard link, a mount of the single file) does not see the WAL, and its writes damage the database.

// nameUse is how a database file is named and used, as far as the system tells.
type nameUse struct {
	byOtherName bool // another process has the file open by another name
	byThisName  bool // another process has the file open by this name
	links       bool // the file has several hard links
	mounted     bool // the single file is a mount point
}

// While a process opens or closes a database, it holds its lock on the file, but for a moment not the one on the WAL index.
// So the locks are read several times.
const (
	nameLooks   = 20
	betweenLook = 25 * time.Millisecond
)

// CheckName fails with Unusable if another process has the file open by another name. otherNames is true if the file has
// other names and no process uses this one; a store that is to be written is refused then. SQLite must not have the file
// open in this process yet: closing the descriptor that reads locks would release SQLite's locks.
func (f *File) CheckName(ctx context.Context, writes bool) (otherNames bool, err error) {
	use, err := useOfName(f.Path)
	for look := 1; err == nil && use.byOtherName && look < nameLooks; look++ {
		select {
		case <-time.After(betweenLook):
		case <-ctx.Done():
			return false, ctx.Err()
		}
		use, err = useOfName(f.Path)
	}
	unusable := func(why, mend string) error {
		if use.mounted {
			mend = "mount its folder instead of the file, and use the node's own name"
		}
		return &store.Error{Kind: store.Unusable, Text: fmt.Sprintf("%q %s; %s", f.Path, why, mend)}
	}
	otherNames = (use.links || use.mounted) && !use.byThisName
	switch {
	case err != nil:
		return false, err
	case use.byOtherName:
		return false, unusable("is open in another process by another name (a hard link, or a mount of the single file), and the log of that process is not beside this name",
			"use the node's own name for the file")
	case otherNames && writes:
		return false, unusable("is one of several names of its file, and a log beside one name is not seen from another",
			"remove the other names (hard links), or, where the store is in WAL mode, run decayctl by the node's name while the node is running")
	}
	return otherNames, nil
}

// OtherNamesNote is the note for the operator about a store that was read by one of several names.
const OtherNamesNote = "the file has several names (hard links, or a mount of the single file); if a process left a log or journal beside another name, what is in it was not read"
