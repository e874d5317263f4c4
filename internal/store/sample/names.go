package sample

import (
	"strconv"
	"strings"
)

// Lists to draw from. A frequent value occurs several times.
var (
	scopes      = strings.Fields("local local local local local company company company team public")
	sources     = strings.Fields("agent:planner agent:planner agent:coder user:17 user:42 import:wiki stigmem://acme/agent/4")
	peers       = strings.Fields("stigmem://peer-b.example stigmem://peer-c.example")
	confidences = []float64{1, 1, 0.95, 0.9, 0.9, 0.9, 0.85, 0.8, 0.8, 0.75, 0.7, 0.7, 0.6, 0.5, 0.5, 0.4, 0.35, 0.3, 0.1, 0.05}
)

const (
	defaultTenant = "default"
	otherTenant   = "acme-eu"
	smallTenant   = "lab"
)

// relation is one kind of fact. A # in a value stands for a number.
type relation struct {
	name   string
	kind   string // value_type
	values []string
}

var relations = []relation{
	{"memory:context", "text", []string{"Discussed the # open tickets before the release", "Prefers short answers, at most # lines", "Is on leave until week #"}},
	{"memory:context", "text", []string{"Asked # times how to rotate the signing key", "Moved to desk #"}},
	{"memory:summary", "text", []string{"# conversations about billing, all settled", "Onboarding finished in # days"}},
	{"memory:preference", "string", []string{"dark mode", "metric units", "weekly digest"}},
	{"roadmap:status", "string", []string{"planned", "in progress", "shipped in 2.#", "dropped"}},
	{"roadmap:due", "datetime", nil},
	{"roadmap:owner", "ref", nil},
	{"user:preference", "string", []string{"language=de", "language=en", "theme=#"}},
	{"user:timezone", "string", []string{"Europe/Berlin", "America/Chicago", "Asia/Tokyo"}},
	{"user:role", "string", []string{"maintainer", "reviewer", "on call"}},
	{"user:manager", "ref", nil},
	{"intent:goal", "text", []string{"Close # stale issues this week", "Cut the build below # minutes"}},
	{"intent:handoff", "ref", nil},
	{"project:status", "string", []string{"green", "yellow", "red"}},
	{"project:budget", "number", nil},
	{"project:lead", "ref", nil},
	{"company:headcount", "number", nil},
	{"company:note", "text", []string{"Contract # renewed", "Café Zürich is the contact for order #"}},
	{"agent:online", "boolean", nil},
	{"agent:last_error", "null", nil},
	{"task:blocked_by", "ref", nil},
	{"task:priority", "number", nil},
	{"doc:cites", "ref", nil},
	{"garden:note", "text", []string{"Reviewed # facts", "Nothing new in section #"}},
	{instructionStyle, "text", []string{"Answer in # sentences", "Cite a source for every claim"}},
	{"device:battery", "number", nil},
	{"device:enabled", "boolean", nil},
}

// instructionStyle is the relation whose facts are read as instructions.
const instructionStyle = "instruction:style"

// entityName is the name of the i-th entity of a sample.
func entityName(i int) string {
	n := strconv.Itoa(i)
	switch i % 10 {
	case 4:
		return "stigmem://acme/agent/" + n
	case 5:
		if i == 5 {
			return "company:acme"
		}
		return "company:client-" + n
	case 6:
		return "project:atlas-" + n
	case 7:
		return "urn:acme:device:" + n
	case 8:
		return "https://wiki.acme.example/page/" + n
	case 9:
		return "user:" + n
	default:
		return "stigmem://acme/user/" + n
	}
}

// value is a value for a fact of relation r.
func (g *generator) value(r relation) string {
	switch r.kind {
	case "number":
		return strconv.Itoa(g.rand.IntN(1000))
	case "boolean":
		return strconv.FormatBool(g.chance(0.5))
	case "datetime":
		return g.o.AsOf.AddDate(0, 0, g.rand.IntN(300)).UTC().Format("2006-01-02T15:04:05Z")
	case "ref":
		name := entityName(g.entityIndex())
		for !g.mix.odd && !followable(name) {
			name = entityName(g.entityIndex())
		}
		return name
	case "null":
		return "null"
	default:
		return strings.ReplaceAll(pick(g, r.values), "#", strconv.Itoa(g.rand.IntN(100)))
	}
}

// named gives a fact its entity, relation and value. Some names are those that sweeps leave alone, and two attack a terminal.
func (g *generator) named(d *draft) {
	d.index = g.entityIndex()
	d.entity = entityName(d.index)
	r := pick(g, relations)
	trust, received, conflicts, imported, structural := g.mix.names()
	switch roll := g.rand.Float64(); {
	case g.mix.odd && d.k == 17:
		d.entity, d.index = "user:\x1b[2J\x1b]0;owned\x07\u202egro.elpmaxe", -1
	case g.mix.odd && d.k == 4711:
		d.entity, d.index = "user:'; DROP TABLE facts; --", -1
		r = relation{"memory:\"note\"\r\n\x1b[31m,\u2066x\u009b1m\\", "text", []string{"<script>alert(#)</script>\x1b[8m"}}
	case roll < trust:
		d.entity, d.index = "stigmem:node:"+g.uuid(), -1
		r = relation{"stigmem:trust_level", "string", []string{"verified", "pending"}}
	case roll < received:
		r = relation{"stigmem:received_from", "string", peers}
	case roll < conflicts:
		d.entity, d.index = "stigmem:conflict:"+g.uuid(), -1
		r = relation{"stigmem:conflict_status", "string", []string{"unresolved", "resolved"}}
	case roll < imported:
		r = relation{"STIGMEM:Imported_By", "string", peers}
	case roll < structural:
		r = relation{pick(g, []string{"rel:part_of", "rel:supersedes", "rel:depends_on"}), "ref", nil}
	case d.peer != nil && roll < 0.3:
		// The node converts what is asserted to it to lower case, but not what peers send.
		d.entity, d.index = "stigmem://Peer-B/User/"+strconv.Itoa(d.index), -1
	}
	d.relation, d.kind, d.value = r.name, r.kind, g.value(r)
}
