package sweep

import (
	"cmp"
	"container/list"
	"context"
	"crypto/sha256"
	"slices"
	"time"

	"decayctl/internal/fact"
	"decayctl/internal/rule"
	"decayctl/internal/store"
)

// keepLast knows which facts keep_last of a policy keeps: the newest of their group. It looks groups up when they are
// needed, and forgets the least recently used. So a group of a million facts is not read again for each of its ranges.
// It belongs to one goroutine.
type keepLast struct {
	engine *Engine
	judge  *rule.Judge
	stamp  string // of the job's own overrides; "" if there is no job

	known map[store.Group]*list.Element // of *ranking, see shortOf
	used  list.List                     // the most recently used first
	ids   int                           // in all rankings
	text  int                           // bytes of these and of their groups
}

// ranking is the ids that are kept of a group, by policy.
type ranking struct {
	group store.Group // see shortOf
	kept  map[string]map[idKey]bool
}

// idKey stands for an id, or another text, and is never long: the key of a long text is its beginning and a hash. Keys are
// ordered as bytes.
type idKey string

const longID = 512

func keyOf(id string) idKey {
	if len(id) <= longID {
		return idKey(id)
	}
	hash := sha256.Sum256([]byte(id))
	return idKey(id[:longID] + string(hash[:]))
}

// shortOf is the key of a group, whose names are never long.
func shortOf(g store.Group) store.Group {
	for _, name := range []*string{&g.Entity, &g.Relation, &g.Scope, &g.Tenant} {
		*name = string(keyOf(*name))
	}
	return g
}

const (
	groupsAtOnce = 500
	textAtOnce   = 1 << 20 // bytes of their names
	knownIDs     = 200_000 // in memory, beyond those asked for at once
	knownGroups  = 50_000
	knownText    = 16 << 20 // bytes of both
)

func newKeepLast(e *Engine, j *rule.Judge, p Params) *keepLast {
	n := &keepLast{engine: e, judge: j, known: map[store.Group]*list.Element{}}
	if !p.Stamp.IsZero() {
		n.stamp = fact.FormatSecond(p.Stamp)
	}
	return n
}

// rankQuery is a fact whose verdict depends on its rank in its group.
type rankQuery struct {
	fact        *fact.Candidate
	act, shadow string // ids of the policies whose keep_last may keep it; "" is none
}

// mark sets Newest and NewestShadow of facts, and reads the groups that it does not know from the store.
func (n *keepLast) mark(ctx context.Context, facts []rankQuery) error {
	byGroup := map[store.Group][]rankQuery{}
	var unknown []store.Group
	for _, f := range facts {
		full := store.GroupOf(f.fact)
		g := shortOf(full)
		if at, known := n.known[g]; known {
			n.used.MoveToFront(at)
			f.set(at.Value.(*ranking)) //nolint:forcetypeassert // nothing else is put in
			continue
		}
		if byGroup[g] == nil {
			unknown = append(unknown, full)
		}
		byGroup[g] = append(byGroup[g], f)
	}
	for len(unknown) > 0 {
		chunk := unknown[:atOnce(unknown)]
		unknown = unknown[len(chunk):]
		found, err := n.rank(ctx, chunk)
		if err != nil {
			return err
		}
		for g, r := range found {
			for _, f := range byGroup[g] {
				f.set(r)
			}
			n.remember(r)
		}
	}
	return nil
}

// atOnce is how many groups one call of the store may have: their names are bounded too.
func atOnce(groups []store.Group) (n int) {
	for text := 0; n < min(len(groups), groupsAtOnce) && text <= textAtOnce; n++ {
		text += groups[n].Text()
	}
	return n
}

func (f rankQuery) set(r *ranking) {
	f.fact.Newest, f.fact.NewestShadow = r.keeps(f.act, f.fact.ID), r.keeps(f.shadow, f.fact.ID)
}

// keeps tells whether a policy keeps a fact. If the store found no fact of the group, although there is this one, its rank
// is unknown, and the fact lives. SQLite allows names that are blobs, which equal no text.
func (r *ranking) keeps(policy, id string) bool {
	ids, found := r.kept[policy]
	return policy != "" && (!found || ids[keyOf(id)])
}

func (n *keepLast) remember(r *ranking) {
	n.known[r.group] = n.used.PushFront(r)
	ids, text := r.size()
	n.ids, n.text = n.ids+ids, n.text+text
	for n.ids > knownIDs || n.text > knownText || n.used.Len() > knownGroups {
		last := n.used.Remove(n.used.Back()).(*ranking) //nolint:forcetypeassert // nothing else is put in
		ids, text := last.size()
		n.ids, n.text = n.ids-ids, n.text-text
		delete(n.known, last.group)
	}
}

func (r *ranking) size() (ids, text int) {
	text = r.group.Text()
	for _, kept := range r.kept {
		ids += len(kept)
		for id := range kept {
			text += len(id)
		}
	}
	return ids, text
}

// rank reads groups and ranks their facts. A policy ranks the live facts that it decides on, or would: the newest first,
// facts without a readable stamp last, and by id if stamps are equal.
func (n *keepLast) rank(ctx context.Context, groups []store.Group) (map[store.Group]*ranking, error) {
	type key struct {
		store.Group
		policy string
	}
	var tops map[key]*topN
	err := n.engine.retry(ctx, func() error {
		tops = map[key]*topN{}
		return n.engine.Store.Groups(ctx, groups, func(c fact.Candidate) {
			live := n.judge.Live(&c)
			if !live && !n.ended(&c) {
				return
			}
			act, shadow := n.judge.Policy(&c)
			if !live {
				act = nil
			}
			for _, p := range []*rule.Policy{act, shadow} {
				if p == nil || p.KeepLast == 0 {
					continue
				}
				at := key{shortOf(store.GroupOf(&c)), p.ID}
				if tops[at] == nil {
					tops[at] = &topN{size: p.KeepLast}
				}
				tops[at].add(&c)
			}
		})
	})
	found := map[store.Group]*ranking{}
	for _, each := range groups {
		g := shortOf(each)
		found[g] = &ranking{group: g, kept: map[string]map[idKey]bool{}}
	}
	for at, t := range tops {
		ids := map[idKey]bool{}
		for _, each := range t.facts {
			ids[each.id] = true
		}
		found[at.Group].kept[at.policy] = ids
	}
	return found, err
}

// ended tells whether the job itself has expired a fact that was live when the job began. A policy in mode dry_run ranks
// such facts too: else its counts would depend on how far the job had come when the group was read. A policy that acts
// ranks only live facts.
func (n *keepLast) ended(c *fact.Candidate) bool {
	o := c.Override
	return n.stamp != "" && o != nil && o.UpdatedAt == n.stamp && o.UpdatedBy != nil && *o.UpdatedBy == store.Actor
}

// topN is the newest facts so far, the newest first, at most size.
type topN struct {
	size  int
	facts []dated
}

type dated struct {
	id       idKey
	stamp    time.Time
	readable bool
}

// add keeps a fact if it is among the newest so far. Facts may come in any order. Which of two facts with the same stamp is
// kept must not depend on that order: databases sort ids by different collations.
func (t *topN) add(c *fact.Candidate) {
	stamp, err := fact.ParseInstant(c.Timestamp)
	each := dated{keyOf(c.ID), stamp, err == nil}
	at, _ := slices.BinarySearchFunc(t.facts, each, dated.compare)
	if at >= t.size {
		return
	}
	t.facts = slices.Insert(t.facts, at, each)
	t.facts = t.facts[:min(len(t.facts), t.size)]
}

// compare puts newer facts first and facts without a readable stamp last. Facts with equal stamps are in the byte order of
// their ids.
func (s dated) compare(other dated) int {
	if s.readable != other.readable {
		return cmp.Compare(order(other.readable), order(s.readable))
	}
	if newer := other.stamp.Compare(s.stamp); s.readable && newer != 0 {
		return newer
	}
	return cmp.Compare(s.id, other.id)
}

func order(readable bool) int {
	if readable {
		return 1
	}
	return 0
}
