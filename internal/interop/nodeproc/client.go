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

// Client sends requests to a node.
type Client struct {
	URL string
	Key string // "" if the node wants none
}

// transport closes idle connections before the node does, after 5 s: a request on a connection that the node closes is
// answered with a reset.
var transport = http.Client{Transport: &http.Transport{IdleConnTimeout: 2 * time.Second, MaxIdleConnsPerHost: 16}}

// Ask sends a request. It returns the status and the answer, which is an object or empty. A plain text answer, as of some
// errors, becomes the object's "text".
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
		// If the node has closed the connection, the request is sent on another one. A repeated fact is harmless, since
		// the node identifies facts by content.
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
