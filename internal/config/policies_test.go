package config

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"decayctl/internal/rule"
)

const policyFile = `# What this team keeps, and for how long.
policies:
  - id: heartbeats
    relation: agent:heartbeat
    mode: expire
    ttl: 1h
  - {id: context, relation: "memory:*", scope: team, mode: confidence, half_life: 30d, min_confidence: 0.2}
  - id: roadmap
    relation: roadmap:status
    entity: project:*
    source: "*"
    tenant: acme
    mode: retract
    ttl_s: 86400
    keep_last: 3
    exempt_relations: [roadmap:owner, "roadmap:due*"]
  - id: rest
    relation: "*"
    scope: "*"
    mode: dry_run
    ttl: 90d
    half_life_s: 60
    min_step: 0
`

func TestPolicies(t *testing.T) {
	t.Parallel()
	cfg := mustLoad(t, given{args: []string{"--policies=p.yaml"}, more: map[string]string{"p.yaml": policyFile}})
	const want = `policy {"id":"heartbeats","relation":"agent:heartbeat","mode":"expire","ttl":"1h"}, ` +
		`policy {"id":"roadmap","relation":"roadmap:status","entity":"project:*","tenant":"acme","mode":"retract","ttl":"1d","keep_last":3,"exempt_relations":["roadmap:owner","roadmap:due*"]}, ` +
		`policy {"id":"context","relation":"memory:*","scope":"team","mode":"confidence","half_life":"30d","min_confidence":0.2,"min_step":0.01}, ` +
		`policy {"id":"rest","relation":"*","mode":"dry_run","ttl":"90d","half_life":"1m"}`
	if got := cfg.Selection.Rules.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if at := cfg.Origins.Policy["roadmap"]; at.Place != "p.yaml:8" || at.Fields["ttl_s"] != "p.yaml:14" || at.Fields["scope"] != "" {
		t.Errorf("%+v", at)
	}
	if again, err := rule.ParseSet(cfg.Selection.Rules.String()); err != nil || again.Fingerprint() != cfg.Selection.Rules.Fingerprint() {
		t.Errorf("reads back as %s, %v", again, err)
	}
	one := mustLoad(t, given{args: []string{"--policies=p.yaml", "--policy=context", "--ttl=1d", "--min-confidence=0.4"}, more: map[string]string{"p.yaml": policyFile}})
	if one.Selection.Rules.Only != "context" || one.Selection.Rules.TTL != nil || one.Selection.Rules.Floor != nil || len(one.Selection.Rules.Policies) != 4 {
		t.Errorf("%+v", one.Selection.Rules)
	}
}

// A file that has gone concerns only those who judge by it.
func TestPoliciesUnread(t *testing.T) {
	t.Parallel()
	src := given{env: []string{"DECAYCTL_POLICIES=gone.yaml"}}.source(t, t.TempDir())
	if _, err := Load(src, testNow); err == nil || err.Error() != `DECAYCTL_POLICIES is "gone.yaml": no such file or directory` {
		t.Errorf("got %v", err)
	}
	src.Flags = pflag.NewFlagSet("decayctl", pflag.ContinueOnError)
	AddGlobalFlags(src.Flags)
	if _, err := Load(src, testNow); err != nil {
		t.Errorf("a command that judges nothing: %v", err)
	}
}

// Every way to get a policy wrong, with file, line and what to do.
func TestPolicyErrors(t *testing.T) {
	t.Parallel()
	const ok = "- id: a\n  relation: x\n  mode: expire\n"
	for text, want := range map[string]string{
		"":                                      "p.yaml is empty; write a list of policies",
		"a: [":                                  "p.yaml is not valid YAML or JSON: ",
		"--- []\n--- []":                        "p.yaml holds more than one YAML document",
		"{}":                                    "p.yaml:1: no policies",
		"polices: []":                           "p.yaml:1: polices is no part of a policy file",
		"policies: []\nttl: 90d":                "p.yaml:2: ttl is no part of a policy file",
		"policies: 7":                           "p.yaml:1: not a list of policies",
		"- 7":                                   "p.yaml:1: not a policy",
		ok + "  ttl: 1d\n  halflife: 2d":        "p.yaml:5: a policy has no field halflife; did you mean half_life?",
		ok + "  ttl: 1d\n  ttl: 2d":             "p.yaml:5: ttl is set twice; keep one",
		ok + "  ttl: 1d\n  ttl_s: 5":            "p.yaml:5: ttl and ttl_s say the same; keep one",
		ok + "  ttl: 90":                        `p.yaml:4: ttl is "90": a duration needs a unit`,
		ok + "  ttl: 0":                         `p.yaml:4: ttl is "0": write 1s or more`,
		ok + "  ttl_s: 90d":                     `p.yaml:4: ttl_s is "90d": write a whole number of seconds`,
		ok + "  ttl_s: 1.5":                     `p.yaml:4: ttl_s is "1.5": write a whole number of seconds, 1 or more`,
		ok + "  ttl: [1d]":                      "p.yaml:4: ttl is no plain value: write one plain value",
		ok + "  ttl:":                           `p.yaml:4: ttl is "": it is empty`,
		ok:                                      `p.yaml:3: policy "a": mode: expire needs a ttl`,
		ok + "  ttl: 1d\n  half_life: 1d":       `p.yaml:5: policy "a": half_life: it contradicts the mode expire`,
		ok + "  ttl: 1d\n  min_confidence: 0.1": `p.yaml:5: policy "a": min_confidence: it is where fading stops`,
		ok + "  ttl: 1d\n  min_step: 0.01":      `p.yaml:5: policy "a": min_step: it says nothing without a half_life`,
		"- id: &mode a\n  *mode : expire":       "p.yaml:2: not the name of a field; write it plainly",
		`[{"id": "a",` + "\n" + `"relation": "\ud83d", "mode": "expire", "ttl": "1d"}]`: `p.yaml:2: policy "a": relation: a pattern holds bytes`,
		"[{\"id\": \"a\", \"relation\": \"\xff\"}]":                                     "p.yaml is not valid YAML or JSON: ",
		strings.Repeat("#", 17<<20):                                                     "p.yaml: larger than 16 MiB, so it is no such file",
		ok + "  ttl: 1d\n  min_step: 0.1":                                               `p.yaml:5: policy "a": min_step: it says nothing without a half_life`,
		ok + "  ttl: 1d\n  min_confidence: 2":                                           `p.yaml:5: policy "a": min_confidence: write a number from 0 to 1`,
		ok + "  ttl: 1d\n  min_confidence: .nan":                                        "p.yaml:5: min_confidence",
		ok + "  ttl: 1d\n  keep_last: 0":                                                `p.yaml:5: keep_last is "0": write a whole number from 1 to 1000`,
		ok + "  ttl: 1d\n  keep_last: 1001":                                             `p.yaml:5: policy "a": keep_last: write a whole number from 1 to 1000`,
		ok + "  ttl: 1d\n  scope: world":                                                `p.yaml:5: policy "a": scope: write one of local, team, company, public`,
		ok + "  ttl: 1d\n  exempt_relations: x":                                         `p.yaml:5: exempt_relations is "x": write a list of relations`,
		ok + "  ttl: 1d\n" + ok + "  ttl: 2d":                                           `p.yaml:5: the id "a" is taken by the policy of p.yaml:1`,
		"- relation: x\n  mode: expire\n  ttl: 1d":                                      "p.yaml:1: the policy: id: it is missing",
		"- id: a\n  mode: expire\n  ttl: 1d":                                            `p.yaml:1: policy "a": relation: it is missing; write * for every relation`,
		"- id: a\n  relation: x\n  ttl: 1d":                                             `p.yaml:1: policy "a": mode: it is missing; write one of expire, retract, confidence, dry_run`,
		"- id: a\n  relation: x\n  mode: delete\n  ttl: 1d":                             `p.yaml:3: policy "a": mode: write one of`,
		"- id: a\n  relation: x\n  mode: confidence":                                    `p.yaml:3: policy "a": mode: confidence needs a half_life`,
		"- id: a\n  relation: x\n  mode: dry_run":                                       `p.yaml:3: policy "a": mode: dry_run needs a ttl or a half_life`,
		"- id: 7\n  relation: x\n  mode: dry_run":                                       `p.yaml:1: id is "7": write text, in quotes`,
		"- id: \"a\\e\"\n  relation: x\n  mode: expire\n":                               "p.yaml:1: the policy: id: write 100 visible characters at most",
		"- id: a\n  relation: x\n  mode: confidence\n  half_life: 1d\n  ttl: 1d":        `p.yaml:5: policy "a": ttl: it contradicts the mode confidence`,
	} {
		_, _, err := load(t, given{args: []string{"--policies=p.yaml"}, more: map[string]string{"p.yaml": text + "\n"}})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s…", text, err, want)
		}
	}
	// The file's own list, and the node's variable, say where too.
	node := func(text string) given { return given{env: []string{"STIGMEM_DECAY_POLICIES=" + text}} }
	for _, test := range []struct {
		given given
		want  string
	}{
		{yml("ttl: 1d\npolicies:\n- id: a\n  colour: red"), "decayctl.yaml:4: a policy has no field colour; did you mean "},
		{node("[{]"), "STIGMEM_DECAY_POLICIES is not valid JSON at character 3"},
		{node("{}"), "STIGMEM_DECAY_POLICIES: not a list of policies; write a JSON array of them"},
		{node(strings.Repeat("[", 20_000)), "STIGMEM_DECAY_POLICIES is not valid JSON at character 10001: "},
		{node(`[{"id": "a", "ttl": "1d"}]`), "STIGMEM_DECAY_POLICIES: the node's specification has no field ttl; write the policies into a file for --policies"},
		{node(`[{"id": "a", "relaton": "1d"}]`), "STIGMEM_DECAY_POLICIES: a policy has no field relaton; did you mean relation?"},
		{node("[\n{\"id\": \"a\",\n\"id\": \"a\"}]"), "STIGMEM_DECAY_POLICIES, line 3: id is set twice; keep one"},
		{node(`[{"id": "a", "relation": "*", "mode": "expire", "ttl_s": 60}]`), "STIGMEM_DECAY_POLICIES: the node's specification has no mode expire; write retract, or "},
		{node(""), "STIGMEM_DECAY_POLICIES is empty"},
		{arg("--policy=a"), `--policy is "a", and there is no such policy; there are no policies; name their file with --policies`},
		{given{args: []string{"--policy=b"}, file: "policies: [{id: a, relation: x, mode: expire, ttl: 1d}]"}, `--policy is "b", and there is no such policy; the policies are a`},
		{arg("--policies=."), `--policies is ".": is a directory`},
	} {
		if _, _, err := load(t, test.given); err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%+v\ngot  %v\nwant %s…", test.given, err, test.want)
		}
	}
}

// Fields that a program writes as null are not given.
func TestNodePolicies(t *testing.T) {
	t.Parallel()
	cfg := mustLoad(t, given{env: []string{`stigmem_decay_policies=[{"id":"m","relation":"memory:*","scope":"*","mode":"confidence","ttl_s":null,"half_life_s":3600,"min_confidence":0,"exempt_relations":[]}]`}})
	const want = `policy {"id":"m","relation":"memory:*","mode":"confidence","half_life":"1h","min_step":0.01}`
	if got := cfg.Selection.Rules.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if !slices.Contains(cfg.Selection.Rules.Names(), "policy:m") {
		t.Errorf("%v", cfg.Selection.Rules.Names())
	}
}

// JSON is read as JSON: it has forms that YAML has not. Python writes emojis as two escapes.
func TestPoliciesInJSON(t *testing.T) {
	t.Parallel()
	text := "[\n\t{\"id\"\n:\"\\ud83d\\ude00\", \"relation\": \"a\\/\u2028\x7f\\u0041*\",\r\n\"mode\": \"retract\", \"ttl_s\": 60.0}]"
	const want = `policy {"id":"😀","relation":"a/\u2028\u007fA*","mode":"retract","ttl":"1m"}`
	for name, given := range map[string]given{
		"variable":  {env: []string{"STIGMEM_DECAY_POLICIES=" + text}},
		"file":      {args: []string{"--policies=p.json"}, more: map[string]string{"p.json": text}},
		"with mark": {args: []string{"--policies=p.json"}, more: map[string]string{"p.json": "\ufeff" + text}},
		"under key": {args: []string{"--policies=p.json"}, more: map[string]string{"p.json": `{"policies": ` + text + `}`}},
	} {
		cfg := mustLoad(t, given)
		if got := cfg.Selection.Rules.String(); strings.ReplaceAll(got, "\x7f", `\u007f`) != want {
			t.Errorf("%s: got  %s\nwant %s", name, got, want)
		}
		if at := cfg.Origins.Policy["😀"].Fields["ttl_s"]; !strings.HasSuffix(at, "4") {
			t.Errorf("%s: ttl_s at %s", name, at)
		}
	}
}
