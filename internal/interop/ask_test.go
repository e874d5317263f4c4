//go:build interop

package interop_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// object is a JSON object.
type object = map[string]any

// ask sends a request. It returns the status and the answer, which is an object or empty.
func (n *node) ask(method, path string, query url.Values, body any) (status int, answer object, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return n.Ask(ctx, method, path, query, body)
}

// want sends a request, and fails the test if it is not answered with the status.
func (n *node) want(status int, method, path string, query url.Values, body any) object {
	n.t.Helper()
	got, answer, err := n.ask(method, path, query, body)
	if err != nil {
		n.t.Fatalf("%s %s: %v", method, path, err)
	}
	if got != status {
		n.t.Fatalf("%s %s?%s: status %d, want %d: %v", method, path, query.Encode(), got, status, answer)
	}
	return answer
}

func (n *node) get(path string, query url.Values) object {
	n.t.Helper()
	return n.want(http.StatusOK, http.MethodGet, path, query, nil)
}

func (n *node) post(path string, query url.Values, body any) object {
	n.t.Helper()
	return n.want(http.StatusOK, http.MethodPost, path, query, body)
}

// said is a fact to assert.
type said struct {
	entity, relation, value string
	kind                    string // of the value; "" is string
	confidence              float64
	scope                   string // "" is local
	until                   string // "" is no expiry
}

func (s said) request() object {
	request := object{
		"entity": s.entity, "relation": s.relation, "source": "agent:interop",
		"value": object{"type": or(s.kind, "string"), "v": s.value}, "confidence": s.confidence, "scope": or(s.scope, "local"),
	}
	if s.until != "" {
		request["valid_until"] = s.until
	}
	return request
}

// assert asserts a fact to the node, and returns its id.
func (n *node) assert(s said) string {
	n.t.Helper()
	return n.want(http.StatusCreated, http.MethodPost, "/v1/facts", nil, s.request())["id"].(string)
}

// The facts of the node's own tests.
var (
	alice    = said{entity: "user:alice", relation: "test:role", value: "admin", confidence: 0.9}
	bob      = said{entity: "user:bob", relation: "test:role", value: "guest", confidence: 0.5}
	contrary = said{entity: "user:alice", relation: "test:role", value: "viewer", confidence: 0.3}
)

func (s said) in(scope string) said { s.scope = scope; return s }

func (s said) expiring(in time.Duration) said {
	s.until = time.Now().Add(in).UTC().Format("2006-01-02T15:04:05.000000-07:00")
	return s
}

// facts lists the answer of GET /v1/facts without system facts, as "entity value confidence".
func (n *node) facts(query url.Values) []string {
	n.t.Helper()
	found := []string{}
	for _, each := range n.get("/v1/facts", with(query, "limit", "500"))["facts"].([]any) {
		f := each.(object)
		if !system(f) {
			found = append(found, fmt.Sprint(f["entity"], " ", f["value"].(object)["v"], " ", f["confidence"]))
		}
	}
	slices.Sort(found)
	return found
}

// synthesis is the answer of GET /v1/scopes/{scope}/synthesize, and its facts in the form of facts, in the order of the
// answer.
func (n *node) synthesis(scope string, query url.Values) (whole object, listed []string) {
	n.t.Helper()
	whole = n.get("/v1/scopes/"+scope+"/synthesize", query)
	listed = []string{}
	for _, each := range whole["facts"].([]any) {
		if f := each.(object); !system(f) {
			listed = append(listed, fmt.Sprint(f["entity"], " ", f["value"].(object)["v"], " ", f["confidence"]))
		}
	}
	return whole, listed
}

// system tells whether a fact is a system fact.
func system(f object) bool {
	own := func(name any) bool {
		text := name.(string)
		return strings.HasPrefix(text, "stigmem:") && !strings.HasPrefix(text, "stigmem://")
	}
	return own(f["entity"]) || own(f["relation"])
}

// with adds parameters to a query.
func with(query url.Values, pairs ...string) url.Values {
	all := url.Values{}
	for name, values := range query {
		all[name] = values
	}
	for pair := range slices.Chunk(pairs, 2) {
		all.Set(pair[0], pair[1])
	}
	return all
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
