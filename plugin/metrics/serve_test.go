package metrics

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/integration/testkit"
)

// served serves the metrics of a host until the test's end.
func served(t *testing.T, at config.Listen, log *logrus.Entry) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var done sync.WaitGroup
	m := newHost().metrics()
	done.Go(func() { m.Serve(ctx, at, nil, log) })
	t.Cleanup(func() { stop(); done.Wait() })
}

// freePort is an address on loopback that nobody uses.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func clientOf(at config.Listen) *http.Client {
	return &http.Client{Timeout: testkit.Patience, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, at.Network, at.Address)
		},
	}}
}

// reach waits until the address answers.
func reach(t *testing.T, at config.Listen) {
	t.Helper()
	testkit.Eventually(t, "somebody listens", func() bool {
		c, err := net.Dial(at.Network, at.Address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// TestServe: nothing but metrics is there, and only to be read.
func TestServe(t *testing.T) {
	for _, at := range []config.Listen{{Network: "tcp", Address: freePort(t)}, {Network: "unix", Address: filepath.Join(t.TempDir(), "m.sock")}} {
		served(t, at, testkit.Quiet())
		reach(t, at)
		c := clientOf(at)
		for _, want := range []struct {
			method, path string
			status       int
			text         string
		}{
			{http.MethodGet, "/metrics", 200, "gangway_networks 1\n"},
			{http.MethodGet, "/metrics?name=x", 200, "gangway_networks 1\n"},
			{http.MethodPost, "/metrics", 405, "read with GET"},
			{http.MethodDelete, "/metrics", 405, "read with GET"},
			{http.MethodGet, "/", 404, "metrics are at /metrics"},
			{http.MethodGet, "/metrics/", 404, "metrics are at /metrics"},
			{http.MethodGet, "/gangway/v1/status", 404, "metrics are at /metrics"},
			{http.MethodPost, "/Plugin.Activate", 404, "metrics are at /metrics"},
			{http.MethodPost, "/NetworkDriver.DeleteNetwork", 404, "metrics are at /metrics"},
			{http.MethodGet, "/debug/pprof/", 404, "metrics are at /metrics"},
		} {
			req, err := http.NewRequest(want.method, "http://gangway"+want.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != want.status || !strings.Contains(string(text), want.text) {
				t.Errorf("%s %s %s: %d %.200s", at, want.method, want.path, resp.StatusCode, text)
			}
		}
		c.CloseIdleConnections()
		if at.Network == "unix" {
			if info, err := os.Stat(at.Address); err != nil || info.Mode() != os.ModeSocket|0o600 {
				t.Errorf("socket: %v, %v", info.Mode(), err)
			}
		}
	}
}

// TestServeAgain: an address that somebody else has is told once, and taken when it is
// free. A socket of a daemon that was killed is replaced, one that answers is not.
func TestServeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		entry := logrus.NewEntry(&logrus.Logger{Out: &log, Formatter: &logrus.TextFormatter{}, Level: logrus.InfoLevel})
		ctx, stop := context.WithCancel(t.Context())
		var ended sync.WaitGroup
		m := newHost().metrics()
		ended.Go(func() { m.Serve(ctx, config.Listen{Network: "tcp", Address: "198.51.100.1:9323"}, nil, entry) })
		time.Sleep(10 * retryTime)
		if text := m.Unserved(); !strings.HasPrefix(text, "metrics are not served at 198.51.100.1:9323: ") {
			t.Errorf("unserved: %q", text)
		}
		stop()
		ended.Wait()
		if n := strings.Count(log.String(), "metrics are not served at 198.51.100.1:9323; this is tried again"); n != 1 {
			t.Errorf("told %d times:\n%s", n, log.String())
		}
	})
}
