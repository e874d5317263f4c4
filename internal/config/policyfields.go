package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"decayctl/internal/rule"
)

// policyField is a key of a policy file.
type policyField struct {
	name string
	node bool                                       // the node's specification has the field
	set  func(p *rule.Policy, val *yaml.Node) error // an error is what is wrong with the value
	same string                                     // the field with the same meaning in another form
}

var policyFields = []policyField{
	{name: "id", node: true, set: textField(func(p *rule.Policy) *string { return &p.ID }, "")},
	{name: "relation", node: true, set: textField(func(p *rule.Policy) *string { return &p.Relation }, "")},
	{name: "entity", set: textField(func(p *rule.Policy) *string { return &p.Entity }, "*")},
	{name: "source", set: textField(func(p *rule.Policy) *string { return &p.Source }, "*")},
	{name: "scope", node: true, set: textField(func(p *rule.Policy) *string { return &p.Scope }, "*")},
	{name: "tenant", set: textField(func(p *rule.Policy) *string { return &p.Tenant }, "*")},
	{name: "mode", node: true, set: textField(func(p *rule.Policy) *string { return (*string)(&p.Mode) }, "")},
	{name: "ttl", same: "ttl_s", set: durationField(setTTL)},
	{name: "ttl_s", node: true, same: "ttl", set: secondsField(setTTL)},
	{name: "half_life", same: "half_life_s", set: durationField(setHalfLife)},
	{name: "half_life_s", node: true, same: "half_life", set: secondsField(setHalfLife)},
	{name: "min_confidence", node: true, set: numberField(func(p *rule.Policy) *float64 { return &p.MinConfidence })},
	{name: "min_step", set: numberField(func(p *rule.Policy) *float64 { return &p.MinStep })},
	{name: "keep_last", set: keepLastField},
	{name: "exempt_relations", node: true, set: exemptField},
}

func setTTL(p *rule.Policy, ttl rule.TTL) { p.TTL = &ttl }

func setHalfLife(p *rule.Policy, ttl rule.TTL) { p.HalfLife = ttl }

// scalar is the text of a plain value with one of some tags. A number or a switch is not a name.
func scalar(val *yaml.Node, tags ...string) (string, error) {
	if val.Kind != yaml.ScalarNode {
		return "", errors.New("write one plain value, not a list, a group or an alias")
	}
	if strings.TrimSpace(val.Value) == "" || val.ShortTag() == "!!null" {
		return "", errors.New("it is empty; give it a value or leave it out")
	}
	if !slices.Contains(tags, val.ShortTag()) {
		return "", fmt.Errorf("write %s", map[string]string{"!!str": "text, in quotes", "!!int": "a whole number", "!!float": "a number"}[tags[0]])
	}
	return parseStored(val.Value)
}

// textField sets a field of text. The value that means any leaves it empty.
func textField(field func(*rule.Policy) *string, any string) func(*rule.Policy, *yaml.Node) error {
	return func(p *rule.Policy, val *yaml.Node) error {
		text, err := scalar(val, "!!str")
		if err == nil && text != any {
			*field(p) = text
		}
		return err
	}
}

func durationField(set func(*rule.Policy, rule.TTL)) func(*rule.Policy, *yaml.Node) error {
	return func(p *rule.Policy, val *yaml.Node) error {
		text, err := scalar(val, "!!str", "!!int", "!!float") // a number too, so that ParseSeconds reports the missing unit
		if err != nil {
			return err
		}
		seconds, err := rule.ParseSeconds(text)
		if err == nil && seconds == 0 {
			err = errors.New("write 1s or more")
		}
		if err == nil {
			set(p, rule.TTL(seconds))
		}
		return err
	}
}

func secondsField(set func(*rule.Policy, rule.TTL)) func(*rule.Policy, *yaml.Node) error {
	return func(p *rule.Policy, val *yaml.Node) error {
		text, err := scalar(val, "!!int", "!!float")
		if err != nil {
			return errors.New("write a whole number of seconds")
		}
		digits, negative, ok := nodeDigits(text)
		seconds, err := rule.ParseTTLSeconds(digits)
		if !ok || negative || err != nil || seconds == 0 {
			return errors.New("write a whole number of seconds, 1 or more")
		}
		set(p, seconds)
		return nil
	}
}

func numberField(field func(*rule.Policy) *float64) func(*rule.Policy, *yaml.Node) error {
	return func(p *rule.Policy, val *yaml.Node) error {
		text, err := scalar(val, "!!float", "!!int")
		if err != nil {
			return err
		}
		number, err := strconv.ParseFloat(text, 64)
		if err != nil || strings.ContainsAny(text, "xX_") {
			return errors.New("write a number from 0 to 1")
		}
		*field(p) = number
		return nil
	}
}

func keepLastField(p *rule.Policy, val *yaml.Node) error {
	text, err := scalar(val, "!!int")
	if err != nil {
		return err
	}
	if p.KeepLast, err = strconv.Atoi(text); err != nil || p.KeepLast < 1 {
		return fmt.Errorf("write a whole number from 1 to %d, or leave it out", rule.MaxKeepLast)
	}
	return nil
}

func exemptField(p *rule.Policy, val *yaml.Node) error {
	if val.Kind != yaml.SequenceNode {
		return errors.New("write a list of relations, as in  [memory:pinned]")
	}
	for _, node := range val.Content {
		relation, err := scalar(node, "!!str")
		if err != nil {
			return err
		}
		p.Exempt = append(p.Exempt, relation)
	}
	return nil
}
