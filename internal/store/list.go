package store

import (
	"cmp"
	"slices"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/job"
)

// JobsAtOnce is how many jobs are read in one transaction and kept in memory. The counts of one job may name a
// thousand tenants.
const JobsAtOnce = 200

// JobKey is what a list is sorted by.
type JobKey struct {
	ID      string
	Node    bool // the node made the job
	Created time.Time
}

// NewJobKey makes a key of columns. A stamp that cannot be read counts as the oldest.
func NewJobKey(id, created string, node bool) JobKey {
	k := JobKey{ID: id, Node: node}
	k.Created, _ = fact.ParseInstant(created)
	return k
}

// SortJobs puts the newest job first and applies p.Limit. It is not done in SQL, which compares stamps as text.
func SortJobs(keys []JobKey, p ListParams) []JobKey {
	slices.SortFunc(keys, func(a, b JobKey) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID))
	})
	if p.Limit > 0 {
		keys = keys[:min(len(keys), p.Limit)]
	}
	return keys
}

// ListJobs hands over the jobs of some keys, in their order. read reads the jobs of one part, in any order. A job that
// was removed since, or is in another state by now, is left out.
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

// PrefixEnd is the least text that sorts, byte by byte, after all ids that begin with a prefix. It is "" if the prefix
// ends with a character that ids of decayctl and the node do not have.
func PrefixEnd(prefix string) string {
	last := len(prefix) - 1
	if last < 0 || prefix[last] >= 0x7e {
		return ""
	}
	return prefix[:last] + string(rune(prefix[last]+1))
}
