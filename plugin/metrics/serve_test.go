package metrics

import (
	"bytes"
	"context"
	"fmt"
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
	done.Go(func() { m.Serve(ctx, at, log) })
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

// TestServeBounds: connections are bounded, and so is what a client may send.
func TestServeBounds(t *testing.T) {
	at := config.Listen{Network: "tcp", Address: freePort(t)}
	served(t, at, testkit.Quiet())
	reach(t, at)
	ask := func(patience time.Duration) (net.Conn, error) {
		c, err := net.Dial(at.Network, at.Address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_, err = io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: gangway\r\n\r\n")
		if err == nil {
			err = c.SetReadDeadline(time.Now().Add(patience))
		}
		if err == nil {
			_, err = io.ReadFull(c, make([]byte, 15))
		}
		return c, err
	}
	var open []net.Conn
	for len(open) < connections {
		c, err := ask(testkit.Patience)
		if err != nil {
			t.Fatalf("connection %d: %v", len(open)+1, err)
		}
		open = append(open, c)
	}
	// That nothing comes can only be waited for. Too short a wait hides a mistake, and
	// makes none.
	c, err := ask(100 * time.Millisecond)
	if !os.IsTimeout(err) {
		t.Errorf("connection %d: %v, want no answer", connections+1, err)
	}
	_ = open[0].Close()
	if err = c.SetReadDeadline(time.Now().Add(testkit.Patience)); err == nil {
		_, err = io.ReadFull(c, make([]byte, 15))
	}
	if err != nil {
		t.Errorf("after another has ended: %v", err)
	}
	req, err := http.NewRequest(http.MethodGet, "http://gangway/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = open[1].Close()
	req.Header.Set("X", strings.Repeat("x", 2*headerSize))
	resp, err := clientOf(at).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a long header: %s", resp.Status)
	}
}

// pipes is a listener whose connections are pipes, for a clock of the test's own.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// TestServeTimes: who sends no request, or pauses too long after one, is left.
func TestServeTimes(t *testing.T) {
	for sent, limit := range map[string]time.Duration{
		"": headerTime, "GET /metrics HT": headerTime, "GET / HTTP/1.1\r\nHost: g\r\n\r\n": idleTime,
	} {
		synctest.Test(t, func(t *testing.T) {
			l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
			ctx, stop := context.WithCancel(t.Context())
			var ended sync.WaitGroup
			m := newHost().metrics()
			ended.Go(func() { _ = m.serve(ctx, l, testkit.Quiet()) })
			client, server := net.Pipe()
			l.conns <- server
			start := time.Now()
			_, err := io.WriteString(client, sent)
			if err == nil {
				_, err = io.Copy(io.Discard, client)
			}
			if took := time.Since(start); err != nil || took != limit {
				t.Errorf("%q: ended after %s, want %s (%v)", sent, took, limit, err)
			}
			stop()
			ended.Wait()
		})
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
		ended.Go(func() { m.Serve(ctx, config.Listen{Network: "tcp", Address: "198.51.100.1:9323"}, entry) })
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
	path := filepath.Join(t.TempDir(), "m.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if taken, answers := listen(t.Context(), config.Listen{Network: "unix", Address: path}); answers == nil {
		_ = taken.Close()
		t.Error("a socket that answers is taken")
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = l.Close()
	if l, err = listen(t.Context(), config.Listen{Network: "unix", Address: path}); err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if err = os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err = listen(t.Context(), config.Listen{Network: "unix", Address: path}); err == nil {
		t.Error("a file is replaced")
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(fmt.Errorf("the file: %w", err))
	}
}
