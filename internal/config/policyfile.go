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

// parsePolicyFile finds the list of policies in a file: the whole document, or the value of its key policies.
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

// policyDocument parses a file as JSON if it is JSON, else as YAML.
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

// jsonNode parses a JSON document into a node of YAML, with lines and repeated keys. A parser of YAML does not accept
// all JSON: not the escapes \/ and \ud83d\ude00, which Python writes for every emoji, nor tabs, nor a line end before a
// colon. The error is that of encoding/json.
func jsonNode(data []byte) (*yaml.Node, error) {
	var whole json.RawMessage
	if err := json.Unmarshal(data, &whole); err != nil { // this limits the depth too
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	return (&jsonReader{Decoder: decoder, data: data, line: 1}).value()
}

type jsonReader struct {
	*json.Decoder
	data []byte
	line int // of the last token, which has no line end in it
	seen int // bytes of data in which lines were counted
}

// value parses the next value. nil is the end of a list or an object.
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
	return nil, errors.New("not JSON") // not reached: there are no other tokens
}

// all parses the values of a list or an object.
func (r *jsonReader) all(in *yaml.Node) (*yaml.Node, error) {
	for {
		each, err := r.value()
		if err != nil || each == nil {
			return in, err
		}
		in.Content = append(in.Content, each)
	}
}
