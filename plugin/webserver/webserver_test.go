package webserver

import (
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

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/integration/testkit"
)

// fine answers everything.
func fine() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "fine") })
}

// served serves on an address of loopback until the test's end, and returns it.
func served(t *testing.T) string {
	t.Helper()
	l, err := Listen(t.Context(), config.Listen{Network: "tcp", Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { _ = Serve(ctx, l, fine(), testkit.Quiet()) })
	t.Cleanup(func() { stop(); done.Wait() })
	return l.Addr().String()
}

// TestServeBounds: connections are bounded, and so is what a client may send.
func TestServeBounds(t *testing.T) {
	at := served(t)
	ask := func(patience time.Duration) (net.Conn, error) {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: gangway\r\n\r\n")
		if err == nil {
			err = c.SetReadDeadline(time.Now().Add(patience))
		}
		if err == nil {
			_, err = io.ReadFull(c, make([]byte, 15))
		}
		return c, err
	}
	var open []net.Conn
	for len(open) < Connections {
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
		t.Errorf("connection %d: %v, want no answer", Connections+1, err)
	}
	_ = open[0].Close()
	if err = c.SetReadDeadline(time.Now().Add(testkit.Patience)); err == nil {
		_, err = io.ReadFull(c, make([]byte, 15))
	}
	if err != nil {
		t.Errorf("after another has ended: %v", err)
	}
	req, err := http.NewRequest(http.MethodGet, "http://"+at, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = open[1].Close()
	req.Header.Set("X", strings.Repeat("x", 2*headerSize))
	resp, err := http.DefaultClient.Do(req)
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
		"": headerTime, "GET / HT": headerTime, "GET / HTTP/1.1\r\nHost: g\r\n\r\n": idleTime,
	} {
		synctest.Test(t, func(t *testing.T) {
			l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
			ctx, stop := context.WithCancel(t.Context())
			var ended sync.WaitGroup
			ended.Go(func() { _ = Serve(ctx, l, fine(), testkit.Quiet()) })
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

// TestListen: a socket is root's. One of a process that was killed is replaced, one that
// answers is not, nor is a file.
func TestListen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if taken, answers := Listen(t.Context(), config.Listen{Network: "unix", Address: path}); answers == nil {
		_ = taken.Close()
		t.Error("a socket that answers is taken")
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = l.Close()
	if l, err = Listen(t.Context(), config.Listen{Network: "unix", Address: path}); err != nil {
		t.Fatal(err)
	}
	if info, failed := os.Stat(path); failed != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("socket: %v, %v", info, failed)
	}
	_ = l.Close()
	if err = os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err = Listen(t.Context(), config.Listen{Network: "unix", Address: path}); err == nil {
		t.Error("a file is replaced")
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(fmt.Errorf("the file: %w", err))
	}
}
