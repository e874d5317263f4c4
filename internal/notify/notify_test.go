package notify_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"decayctl/internal/notify"
)

const secret = "5c3b6c0e-secret"

func at(t *testing.T, server *httptest.Server, path string) *url.URL {
	t.Helper()
	u, err := url.Parse(server.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestAServiceGetsTheText(t *testing.T) {
	t.Parallel()
	var method, path, body string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		method, path, body = r.Method, r.URL.Path, string(text)
	}))
	defer server.Close()
	if err := notify.Post(context.Background(), at(t, server, "/"+secret+"/fail"), "sweep failed"); err != nil {
		t.Fatal(err)
	}
	if method != http.MethodPost || path != "/"+secret+"/fail" || body != "sweep failed" {
		t.Errorf("the service got %s %s with %q", method, path, body)
	}
}

func TestAnErrorDoesNotTellThePath(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"refused":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
		"redirected": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/"+secret, http.StatusFound) },
		"malformed": func(w http.ResponseWriter, r *http.Request) {
			connection, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_, _ = io.WriteString(connection, "HTTP/1.1 "+r.URL.Path+" x\r\n\r\n")
				_ = connection.Close()
			}
		},
		"repeated": func(w http.ResponseWriter, r *http.Request) {
			connection, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_, _ = io.WriteString(connection, "HTTP/1.1 404 no check "+r.URL.Path+"\r\nContent-Length: 0\r\n\r\n")
				_ = connection.Close()
			}
		},
		"cut off": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		server := httptest.NewServer(answer)
		err := notify.Post(context.Background(), at(t, server, "/"+secret), "text")
		server.Close()
		if err == nil {
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error tells the path: %v", name, err)
		}
	}
}

func TestACertificateOfAnUnknownAuthorityIsRefused(t *testing.T) {
	t.Parallel()
	reached := false
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	server.Config.ErrorLog = nil
	defer server.Close()
	if err := notify.Post(context.Background(), at(t, server, "/"+secret), "text"); err == nil || reached {
		t.Errorf("the text was sent: %v, %v", reached, err)
	}
}
