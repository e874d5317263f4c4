package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"decayctl/internal/store"
)

func (p *page) privileges(d store.Diagnosis) {
	role := ""
	if d.Role != "" {
		role = "role " + short(d.Role) + ": "
	}
	p.row("privileges", role+fmt.Sprintf("%d held, %d missing", len(d.HeldPrivileges), len(d.MissingPrivileges)))
	for _, missing := range d.MissingPrivileges {
		p.row("", "missing: "+short(missing))
	}
}

// indexes lists missing indexes with the statements that create them, for an administrator.
func (p *page) indexes(missing []store.MissingIndex) {
	if len(missing) == 0 {
		p.row("indexes", "none missing")
		return
	}
	p.row("indexes", counted(int64(len(missing)), "is missing", "are missing")+":")
	for _, i := range missing {
		p.row("", short(i.Table)+" ("+strings.Join(i.Columns, ", ")+"): "+i.Effect)
		p.row("", "  "+Clean(i.Statement))
	}
}

// cluster lists the tables that are not where a sweep needs them, with the statements that move them, for an administrator.
func (p *page) cluster(c *store.Cluster) {
	if c == nil {
		return
	}
	nodes := counted(int64(c.Workers), "worker node", "worker nodes")
	if len(c.Misplaced) == 0 {
		p.row("cluster", nodes+"; each table is where a sweep needs it")
	} else {
		p.row("cluster", nodes+"; no sweep is made until an administrator has run all statements, in this order:")
	}
	for _, m := range c.Misplaced {
		p.row("", short(m.Table)+" "+m.Problem)
		for _, statement := range m.Statements {
			p.row("", "  "+Clean(statement))
		}
	}
	if c.Unfinished > 0 {
		p.row("", counted(int64(c.Unfinished), "transaction is", "transactions are")+" prepared on a node and not finished; an undo waits for that")
	}
	if !c.Maintained {
		p.row("", "the Citus maintenance daemon does not run: after a failure no transaction is finished; look into the coordinator's log")
	}
}

func (p *page) tenantFacts(d store.Diagnosis) {
	label := "tenants"
	if len(d.Tenants) == 0 {
		p.row(label, "none has facts")
	}
	shown := d.Tenants[:min(shownGroups, len(d.Tenants))]
	for _, t := range shown {
		p.row(label, short(t.Tenant)+": "+counted(t.Facts, "fact", "facts"))
		label = ""
	}
	if more := int64(len(d.Tenants)-len(shown)) + d.OtherTenants; more > 0 {
		p.row("", "… "+humanize.Comma(more)+" more")
	}
}

// triggers lists triggers. The node makes none, and then there is no line.
func (p *page) triggers(found []string) {
	for i, trigger := range found {
		name := ""
		if i == 0 {
			name = "triggers"
		}
		p.row(name, short(trigger))
	}
	if len(found) > 0 {
		p.row("", "not the node's: a sweep checks whether they change what it writes, so that it could not be undone")
	}
}

// keyChecks says whether --no-fk-checks could be used.
func (p *page) keyChecks(k *store.KeyChecks) {
	if k == nil {
		return
	}
	switch {
	case len(k.Obstacles) > 0:
		p.row("foreign keys", "always checked; --no-fk-checks cannot be used because of:")
		for _, obstacle := range k.Obstacles {
			p.row("", short(obstacle))
		}
	case k.Permitted:
		p.row("foreign keys", "checked, unless a sweep has --no-fk-checks")
	case k.Grant != "":
		p.row("foreign keys", "always checked; for --no-fk-checks a superuser has to run:")
		p.row("", "  "+Clean(k.Grant))
	default:
		p.row("foreign keys", "always checked; --no-fk-checks needs a superuser, or PostgreSQL 15")
	}
	if k.Orphans > 0 {
		p.row("", counted(k.Orphans, "override, retraction or embedding state has", "overrides, retractions and embedding states have")+" no fact; docs/postgresql.md has the statements that remove them")
	}
}

func (p *page) clock(d store.Diagnosis) {
	switch {
	case d.Clock == nil:
		p.row("clock", "this host's")
	case d.Clock.Abs() < clockSlack:
		p.row("clock", "within "+clockSlack.String()+" of this host's")
	case *d.Clock > 0:
		p.row("clock", brief(*d.Clock)+" ahead of this host's; set one of them, ages are judged by this host's")
	default:
		p.row("clock", brief(-*d.Clock)+" behind this host's; set one of them, ages are judged by this host's")
	}
}

func (p *page) stamps(s store.Stamps) {
	if s == (store.Stamps{}) {
		p.row("timestamps", "all in the node's own form")
		return
	}
	p.row("timestamps", humanize.Comma(s.OddTimestamps)+" in another form, "+humanize.Comma(s.UnreadableTimestamps)+" unreadable (such facts have no age)")
	p.row("expiries", humanize.Comma(s.OddExpiries)+" in another form, "+humanize.Comma(s.UnreadableExpiries)+" unreadable (no rule touches such facts)")
}

func (p *page) left(left []LeftJob, now time.Time) {
	if len(left) == 0 {
		p.row("jobs", "none was left behind")
		return
	}
	p.row("jobs", counted(int64(len(left)), "was", "were")+" left behind:")
	for _, l := range left {
		p.row("", fmt.Sprintf("%s  %s, %s old  %s", ShortID(l.Job.ID), stateCell(l.Job), age(now, l.Job.Created), l.Command))
	}
}
