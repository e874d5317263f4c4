package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// parsePolicyFile finds the list of policies in a file: the document itself, or under the key policies.
func parsePolicyFile(file string, data []byte) (*yaml.Node, error) {
	root, err := policyDocument(file, data)
	if err != nil {
		return nil, err
	}
	if root.Kind != yaml.MappingNode {
		return root, nil
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		if key := root.Content[i]; key.Value != "policies" || i > 0 {
			return nil, errorf("%s:%d: %s is no part of a policy file; write a list of policies, or one key policies with that list", file, key.Line, plainName(key.Value))
		}
	}
	if len(root.Content) == 0 {
		return nil, errorf("%s:%d: no policies; write a list of them", file, root.Line)
	}
	return root.Content[1], nil
}

// policyDocument reads a file as JSON if it is that, and else as YAML.
func policyDocument(file string, data []byte) (*yaml.Node, error) {
	if root, err := jsonNode(bytes.TrimPrefix(data, []byte("\ufeff"))); err == nil && utf8.Valid(data) {
		return root, nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, more yaml.Node
	err := decoder.Decode(&document)
	if errors.Is(err, io.EOF) {
		return nil, errorf("%s is empty; write a list of policies, or name no file", file)
	}
	if err == nil && !errors.Is(decoder.Decode(&more), io.EOF) {
		return nil, errorf("%s holds more than one YAML document; keep one", file)
	}
	if err != nil {
		return nil, errorf("%s is not valid YAML or JSON: %s", file, clean(strings.TrimPrefix(err.Error(), "yaml: ")))
	}
	return document.Content[0], nil
}

// jsonNode reads a JSON document as YAML's reader would give it, with lines, and with keys given twice. As
// YAML, JSON cannot be read in general: its escapes \/ and \ud83d\ude00, which Python writes for every emoji,
// its tabs, and a line end before a colon are none there. The error is encoding/json's own.
func jsonNode(data []byte) (*yaml.Node, error) {
	var whole json.RawMessage
	if err := json.Unmarshal(data, &whole); err != nil { // bounds the depth, too
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	return (&jsonReader{Decoder: decoder, data: data, line: 1}).value()
}

type jsonReader struct {
	*json.Decoder
	data []byte
	line int // in which the last token ended, and began: no token goes over a line end
	seen int // bytes of data that line counts
}

// value reads the next value; nil is the end of a list or a group.
func (r *jsonReader) value() (*yaml.Node, error) {
	token, err := r.Token()
	if err != nil {
		return nil, err
	}
	upTo := int(r.InputOffset())
	r.line += bytes.Count(r.data[r.seen:upTo], []byte("\n"))
	r.seen = upTo
	scalar := func(tag, text string) (*yaml.Node, error) {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: text, Line: r.line}, nil
	}
	switch token := token.(type) {
	case string:
		return scalar("!!str", token)
	case json.Number:
		if strings.ContainsAny(token.String(), ".eE") {
			return scalar("!!float", token.String())
		}
		return scalar("!!int", token.String())
	case bool:
		return scalar("!!bool", map[bool]string{true: "true", false: "false"}[token])
	case json.Delim:
		switch token {
		case '[':
			return r.all(&yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Line: r.line})
		case '{':
			return r.all(&yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: r.line})
		}
		return nil, nil //nolint:nilnil // the end
	case nil:
		return scalar("!!null", "null")
	}
	return nil, errors.New("not JSON") // not reached: these are all tokens there are
}

// all reads what is in a list or a group.
func (r *jsonReader) all(in *yaml.Node) (*yaml.Node, error) {
	for {
		each, err := r.value()
		if err != nil || each == nil {
			return in, err
		}
		in.Content = append(in.Content, each)
	}
}
