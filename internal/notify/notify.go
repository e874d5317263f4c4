// Package notify tells a monitoring service the result of a run, over HTTP. No other package sends data to an address
// other than the store's.
package notify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Timeout limits the wait for an answer, since decayctl exits only after it.
const Timeout = 5 * time.Second

// Post sends a text to an address as text/plain. A redirect counts as a failure, because a POST is not repeated at another
// address. Errors name the host only: the path of such an address is often its secret.
func Post(ctx context.Context, u *url.URL, text string) error {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), strings.NewReader(text))
	if err != nil {
		return fmt.Errorf("%s: the address cannot be used", u.Host)
	}
	request.Header.Set("Content-Type", "text/plain; charset=utf-8")
	request.Header.Set("User-Agent", "decayctl")
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) { // the text of url.Error has the whole address
			err = failed.Err
		}
		if len(u.Path) > 1 && strings.Contains(err.Error(), u.Path) { // a proxy may answer with it
			return fmt.Errorf("%s: the answer cannot be read", u.Host)
		}
		return fmt.Errorf("%s: %w", u.Host, err)
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<16)) // so that the service sees that its answer was read
	if response.StatusCode >= http.StatusMultipleChoices {
		// The text of the status line is left out, since a service may repeat the path in it.
		return fmt.Errorf("%s: answered %d %s", u.Host, response.StatusCode, http.StatusText(response.StatusCode))
	}
	return nil
}
