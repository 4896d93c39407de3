// Package testkit holds the few things that the tests of most packages need: a
// log that nobody reads, waiting for a condition, and calls to a daemon on its
// socket.
//
// Invariant: nothing here knows a package of the project, so that the tests of
// each of them can use it. It makes nothing that outlives a test.
package testkit

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
)

// Patience is how long a test waits for what must happen.
const Patience = time.Minute

// Quiet is a log that nobody reads.
func Quiet() *logrus.Entry {
	logger := logrus.New()
	logger.SetOutput(io.Discard)
	return logrus.NewEntry(logger)
}

// Eventually polls a condition, and ends the test if it does not come true
// within Patience.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never happens: %s", what)
		}
	}
}

// UnixClient is an HTTP client of the socket at path. It keeps its connections,
// as an engine does, and waits for an answer until the limit; 0 stands for none.
func UnixClient(path string, limit time.Duration) *http.Client {
	return &http.Client{Timeout: limit, Transport: &http.Transport{
		MaxIdleConnsPerHost: 64,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}
}

// Call sends a body as the engine does, op being "NetworkDriver.Join" for
// example, and returns the answer's status and text. A refusal is no error.
func Call(client *http.Client, op, body string) (status int, answer string, err error) {
	req, err := http.NewRequest(http.MethodPost, "http://plugin.moby.localhost/"+op, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Accept", "application/vnd.docker.plugins.v1.2+json")
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close() //nolint:errcheck // the answer is what counts
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, strings.TrimSpace(string(text)), err
}
