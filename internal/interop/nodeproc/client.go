package nodeproc

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Client asks a node.
type Client struct {
	URL string
	Key string // "" if the node wants none
}

// transport keeps connections for less than the 5 s after which a node closes them: it would answer the next
// request by a reset.
var transport = http.Client{Transport: &http.Transport{IdleConnTimeout: 2 * time.Second, MaxIdleConnsPerHost: 16}}

// Ask sends a request and returns the status and what was answered: an object, or nothing. Errors of the
// node may be plain text, which is the object's "text".
func (c Client) Ask(ctx context.Context, method, path string, query url.Values, body any) (status int, answer map[string]any, err error) {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.URL+path+"?"+query.Encode(), content)
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	if path == "/v1/facts" {
		// The node knows a fact by its content, so it may be sent again on another connection where the node has
		// ended this one.
		request.Header.Set("Idempotency-Key", "content")
	}
	if c.Key != "" {
		request.Header.Set("Authorization", "Bearer "+c.Key)
	}
	response, err := transport.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, nil, err
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		answer = map[string]any{"text": string(text)}
	}
	return response.StatusCode, answer, nil
}
