package store

import (
	"cmp"
	"slices"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/job"
)

// JobsAtOnce is how many jobs are read in one transaction, and kept in memory. A job may have counts of
// a thousand tenants.
const JobsAtOnce = 200

// JobKey is a job's place in a list.
type JobKey struct {
	ID      string
	Node    bool // made by the node
	Created time.Time
}

// NewJobKey makes a key from what a database holds. A stamp that cannot be read counts as the oldest.
func NewJobKey(id, created string, node bool) JobKey {
	k := JobKey{ID: id, Node: node}
	k.Created, _ = fact.ParseInstant(created)
	return k
}

// SortJobs puts the newest first, and leaves what a list asks for. Databases can only compare stamps as text.
func SortJobs(keys []JobKey, p ListParams) []JobKey {
	slices.SortFunc(keys, func(a, b JobKey) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID))
	})
	if p.Limit > 0 {
		keys = keys[:min(len(keys), p.Limit)]
	}
	return keys
}

// ListJobs hands over the jobs of some keys. read reads those of one part, in any order, some of which may
// be gone by now, or in a state that is not asked for any more.
func ListJobs(keys []JobKey, p ListParams, read func(own, node []string) ([]job.Job, error), use func(job.Job) error) error {
	for part := range slices.Chunk(keys, JobsAtOnce) {
		var own, node []string
		place := map[string]int{}
		for i, k := range part {
			place[k.ID] = i
			if k.Node {
				node = append(node, k.ID)
			} else {
				own = append(own, k.ID)
			}
		}
		found, err := read(own, node)
		if err != nil {
			return err
		}
		slices.SortFunc(found, func(a, b job.Job) int { return cmp.Compare(place[a.ID], place[b.ID]) })
		for _, j := range found {
			if len(p.States) > 0 && !slices.Contains(p.States, j.State) {
				continue
			}
			if err := use(j); err != nil {
				return err
			}
		}
	}
	return nil
}

// PrefixEnd is the least text behind all ids that begin with a prefix, byte by byte; "" where it is not as
// simple as the ids that decayctl and the node make.
func PrefixEnd(prefix string) string {
	last := len(prefix) - 1
	if last < 0 || prefix[last] >= 0x7e {
		return ""
	}
	return prefix[:last] + string(rune(prefix[last]+1))
}
