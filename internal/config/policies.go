package config

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"decayctl/internal/rule"
)

// PolicyOrigin is where the values of one policy come from.
type PolicyOrigin struct {
	Place  string            // of the policy: a file with its line, or a variable
	Fields map[string]string // by the field's name in a policy file; other fields have their default
}

// From is where a field of the policy was set, in either of its forms; "" is the default.
func (o PolicyOrigin) From(field string) string {
	if at, given := o.Fields[field]; given {
		return at
	}
	return o.Fields[field+"_s"]
}

// noPolicies is the value that switches off the policies of a weaker place.
const noPolicies = "off"

// policies reads the policies and the origins of their values. Only commands with the flag do: a missing file must not
// prevent the resume of a job, which has its own policies.
func (s *settings) policies(has bool) ([]rule.Policy, map[string]PolicyOrigin) {
	from := s.origins["policies"]
	if !has || from.layer == 0 {
		return nil, nil
	}
	if from.layer == byFile && s.inline != nil {
		return s.readPolicies(policyReader{place: s.inlineFile, byLine: true}, s.inline)
	}
	text := value(s, "policies", parseText)
	switch {
	case s.err != nil, text == noPolicies:
		return nil, nil
	case from.layer == byNode || from.layer == byDotenv:
		return s.nodePolicies(from.name, text)
	}
	name, data, err := s.readNamed("policies", "")
	if err != nil {
		s.err = err
		return nil, nil
	}
	root, err := parsePolicyFile(clean(name), data)
	if err != nil {
		s.err = err
		return nil, nil
	}
	return s.readPolicies(policyReader{place: clean(name), byLine: true}, root)
}

// nodePolicies parses the node's variable: a JSON array with the fields of the node's specification only.
func (s *settings) nodePolicies(place, text string) ([]rule.Policy, map[string]PolicyOrigin) {
	list, err := jsonNode([]byte(text))
	var syntax *json.SyntaxError
	switch {
	case !utf8.ValidString(text): // encoding/json would change such text
		s.fail("%s is not UTF-8 text; write an array of policies", place)
		return nil, nil
	case errors.As(err, &syntax):
		s.fail("%s is not valid JSON at character %d: %s; write an array of policies", place, syntax.Offset, syntax)
		return nil, nil
	case err != nil:
		s.fail("%s is not valid JSON: %s; write an array of policies", place, err)
		return nil, nil
	}
	return s.readPolicies(policyReader{place: place, byLine: strings.Contains(text, "\n"), node: true}, list)
}

// policyReader parses a list of policies from one place.
type policyReader struct {
	place  string
	byLine bool // errors name lines
	node   bool // the node's variable, with the specified fields only
}

func (r policyReader) at(line int) string {
	if !r.byLine {
		return r.place
	}
	if !r.node {
		return r.place + ":" + strconv.Itoa(line)
	}
	return r.place + ", line " + strconv.Itoa(line)
}

func (s *settings) readPolicies(r policyReader, list *yaml.Node) ([]rule.Policy, map[string]PolicyOrigin) {
	if list.Kind != yaml.SequenceNode && r.node {
		s.fail("%s: not a list of policies; write a JSON array of them", r.at(list.Line))
		return nil, nil
	}
	if list.Kind != yaml.SequenceNode {
		s.fail("%s: not a list of policies; begin each with a dash, as in  - id: heartbeats", r.at(list.Line))
		return nil, nil
	}
	var policies []rule.Policy
	origins := map[string]PolicyOrigin{}
	for _, node := range list.Content {
		p, origin, err := r.read(node)
		if err == nil {
			if before, again := origins[p.ID]; again {
				err = errorf("%s: the id %s is taken by the policy of %s; give each policy its own", r.at(node.Line), quote(p.ID), before.Place)
			}
		}
		if err != nil {
			if s.err == nil {
				s.err = err
			}
			return nil, nil
		}
		policies, origins[p.ID] = append(policies, p), origin
	}
	rule.Order(policies)
	return policies, origins
}

// read parses one policy.
func (r policyReader) read(node *yaml.Node) (p rule.Policy, origin PolicyOrigin, err error) {
	if node.Kind != yaml.MappingNode {
		return p, origin, errorf("%s: not a policy; write its fields, as in  id: heartbeats", r.at(node.Line))
	}
	origin = PolicyOrigin{Place: r.at(node.Line), Fields: map[string]string{}}
	lines := map[string]int{}
	stepped := false
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, val := node.Content[i], node.Content[i+1]
		field, err := r.field(key)
		if err != nil {
			return p, origin, err
		}
		if _, again := lines[field.name]; again {
			return p, origin, errorf("%s: %s is set twice; keep one", r.at(key.Line), field.name)
		}
		if val.ShortTag() == "!!null" && r.node { // many programs write a missing field so
			continue
		}
		if _, both := lines[field.same]; both {
			return p, origin, errorf("%s: %s and %s say the same; keep one", r.at(key.Line), field.same, field.name)
		}
		lines[field.name], origin.Fields[field.name] = key.Line, r.at(key.Line)
		if err := field.set(&p, val); err != nil {
			return p, origin, errorf("%s: %s is %s: %s", r.at(val.Line), field.name, shown(val), err)
		}
		stepped = stepped || field.name == "min_step"
	}
	if r.node && p.Mode == rule.ModeExpire {
		return p, origin, errorf("%s: the node's specification has no mode expire; write retract, or write the policies into a file for --policies", r.at(lines["mode"]))
	}
	if !stepped && p.HalfLife > 0 {
		p.MinStep = rule.DefaultMinStep
	}
	var fault *rule.Fault
	if err := p.Check(); errors.As(err, &fault) {
		return p, origin, r.fault(fault, p, node.Line, lines)
	}
	return p, origin, nil
}

func (r policyReader) field(key *yaml.Node) (policyField, error) {
	if key.Kind != yaml.ScalarNode {
		return policyField{}, errorf("%s: not the name of a field; write it plainly, not as an alias", r.at(key.Line))
	}
	var names []string
	for _, field := range policyFields {
		if field.name == key.Value && (field.node || !r.node) {
			return field, nil
		}
		if field.node || !r.node {
			names = append(names, field.name)
		}
	}
	if r.node && slices.ContainsFunc(policyFields, func(f policyField) bool { return f.name == key.Value }) {
		return policyField{}, errorf("%s: the node's specification has no field %s; write the policies into a file for --policies, or leave it out", r.at(key.Line), key.Value)
	}
	return policyField{}, errorf("%s: a policy has no field %s; did you mean %s?", r.at(key.Line), plainName(key.Value), nearest(key.Value, names))
}

// fault adds to a *rule.Fault the line of its field, and the name by which the field was given.
func (r policyReader) fault(fault *rule.Fault, p rule.Policy, line int, lines map[string]int) error {
	name := fault.Field
	for _, field := range []string{name, name + "_s"} {
		if at, given := lines[field]; given {
			name, line = field, at
		}
	}
	which := "the policy"
	if p.ID != "" && fault.Field != "id" {
		which = "policy " + quote(p.ID)
	}
	return errorf("%s: %s: %s: %s", r.at(line), which, name, fault.Text)
}

// shown is a value for an error.
func shown(val *yaml.Node) string {
	if val.Kind != yaml.ScalarNode {
		return "no plain value"
	}
	return quote(val.Value)
}
