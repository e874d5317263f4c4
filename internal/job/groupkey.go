package job

import (
	"cmp"
	"strings"

	"decayctl/internal/fact"
)

// GroupKey is what facts are counted by in reports. Names are cut as by Clip.
type GroupKey struct{ Tenant, Scope, Relation string }

// GroupKeyOf is the key of a fact. Its texts may be parts of the fact's.
func GroupKeyOf(c *fact.Candidate) GroupKey {
	return GroupKey{Tenant: Clip(c.Tenant), Scope: Clip(c.Scope), Relation: Clip(c.Relation)}
}

// Compare orders keys by tenant, scope and relation.
func (k GroupKey) Compare(other GroupKey) int {
	return cmp.Or(cmp.Compare(k.Tenant, other.Tenant), cmp.Compare(k.Scope, other.Scope), cmp.Compare(k.Relation, other.Relation))
}

// Clone copies the texts: a part of a text would keep the whole range of facts in memory.
func (k GroupKey) Clone() GroupKey {
	return GroupKey{strings.Clone(k.Tenant), strings.Clone(k.Scope), strings.Clone(k.Relation)}
}
