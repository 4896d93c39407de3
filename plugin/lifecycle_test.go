package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/integration/testkit"
)

func TestDomainErrors(t *testing.T) {
	d := ready(t, nil)
	d.domain.setHook(func(_ context.Context, op string) error { return fmt.Errorf("%s: no <room> left", op) })
	harmless := []string{"NetworkDriver.FreeNetwork", "NetworkDriver.EndpointOperInfo", "NetworkDriver.DiscoverNew", "NetworkDriver.DiscoverDelete"}
	for op, body := range samples() {
		if slices.Contains(harmless, op) {
			continue
		}
		// Never 404: the engine would take it for success.
		if msg := d.refused(t, op, body, 500); !strings.Contains(msg, "no <room> left") {
			t.Errorf("%s: %s", op, msg)
		}
	}
	d.domain.take()
}

func TestConflictsAreRetained(t *testing.T) {
	d := ready(t, nil)
	d.domain.setHook(func(_ context.Context, op string) error {
		if !strings.HasPrefix(op, "Create") {
			return nil
		}
		return fmt.Errorf("create: %w", &model.ConflictError{
			Subnets:   []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")},
			Addresses: []netip.Addr{netip.MustParseAddr("fd00::2")},
		})
	})
	d.refused(t, "NetworkDriver.CreateNetwork", samples()["NetworkDriver.CreateNetwork"], 500)
	d.refused(t, "NetworkDriver.CreateEndpoint", samples()["NetworkDriver.CreateEndpoint"], 500)
	var got []string
	for _, call := range d.domain.take() {
		if strings.HasPrefix(call, "Retain") {
			got = append(got, call)
		}
	}
	want := []string{"RetainPool 10.0.0.0/24 [10.0.0.1 10.0.0.9]", "RetainAddresses fd00::/64 [fd00::2]"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	d.domain.setHook(func(context.Context, string) error { return errors.New("no conflict") })
	d.refused(t, "NetworkDriver.CreateNetwork", samples()["NetworkDriver.CreateNetwork"], 500)
	d.refused(t, "NetworkDriver.CreateEndpoint", samples()["NetworkDriver.CreateEndpoint"], 500)
	if got := d.domain.take(); len(got) != 2 {
		t.Errorf("an error that is no conflict retained something: %v", got)
	}
}

func TestPanic(t *testing.T) {
	d := ready(t, nil)
	d.domain.setHook(func(context.Context, string) error { panic("boom") })
	msg := d.refused(t, "NetworkDriver.Join", samples()["NetworkDriver.Join"], 500)
	if !strings.Contains(msg, "NetworkDriver.Join: internal error (panic: boom)") {
		t.Errorf("answer: %s", msg)
	}
	testkit.Eventually(t, "the stack is in the log", func() bool {
		return strings.Contains(d.log.String(), "stack=") && strings.Contains(d.log.String(), "recorder_test.go")
	})
	d.domain.setHook(nil)
	if status, _ := d.call(t, "NetworkDriver.Join", samples()["NetworkDriver.Join"]); status != 200 {
		t.Error("the daemon does not go on after a panic")
	}
	if n := d.inFlight.Load(); n != 0 {
		t.Errorf("%d calls counted as under way", n)
	}
}

// TestDeadline: a call that heeds its context has all the time it needs to undo
// what it did; one that heeds nothing is no longer waited for.
func TestDeadline(t *testing.T) {
	d := ready(t, func(o *Options) { o.VerbTime, o.UndoTime = 30*time.Millisecond, testkit.Patience })
	d.domain.setHook(func(ctx context.Context, _ string) error {
		<-ctx.Done()
		return fmt.Errorf("wait for the kernel: %w", ctx.Err())
	})
	if msg := d.refused(t, "NetworkDriver.Join", samples()["NetworkDriver.Join"], 500); !strings.Contains(msg, "gave up after 30ms: wait for the kernel") {
		t.Errorf("call that heeds its context: %s", msg)
	}

	d = ready(t, func(o *Options) { o.VerbTime, o.UndoTime = 30*time.Millisecond, 30*time.Millisecond })
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	d.domain.setHook(func(context.Context, string) error { <-release; return nil })
	if msg := d.refused(t, "NetworkDriver.Leave", samples()["NetworkDriver.Leave"], 500); !strings.Contains(msg, "NetworkDriver.Leave does not end: gave up waiting after 60ms") {
		t.Errorf("call that heeds nothing: %s", msg)
	}
	if n := d.inFlight.Load(); n != 1 {
		t.Errorf("%d calls counted as under way, want the stuck one", n)
	}
}

// TestLateEnd: what becomes of a call that nobody waits for any more is in the
// log, a panic with its stack.
func TestLateEnd(t *testing.T) {
	d := ready(t, func(o *Options) { o.VerbTime, o.UndoTime = 5*time.Millisecond, 5*time.Millisecond })
	release := make(chan struct{})
	d.domain.setHook(func(context.Context, string) error { <-release; panic("boom") })
	d.refused(t, "NetworkDriver.Leave", samples()["NetworkDriver.Leave"], 500)
	if log := d.log.String(); strings.Contains(log, "boom") {
		t.Fatalf("the call ended too early: %s", log)
	}
	close(release)
	testkit.Eventually(t, "the panic is in the log", func() bool {
		log := d.log.String()
		return strings.Contains(log, "late=true") && strings.Contains(log, "panic: boom") && strings.Contains(log, "stack=")
	})
	if n := d.inFlight.Load(); n != 0 {
		t.Errorf("%d calls counted as under way", n)
	}
}

// TestClientGone: a call is not cut short by the end of its connection.
func TestClientGone(t *testing.T) {
	d := ready(t, nil)
	began, cut, result := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	d.domain.setHook(func(ctx context.Context, _ string) error {
		close(began)
		<-cut
		result <- ctx.Err()
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://x/NetworkDriver.Leave", strings.NewReader(samples()["NetworkDriver.Leave"]))
	if err != nil {
		t.Fatal(err)
	}
	go func() { <-began; cancel() }()
	if resp, err := d.client.Do(req); err == nil {
		resp.Body.Close()
		t.Fatal("the request was not cut")
	}
	close(cut)
	if err := <-result; err != nil {
		t.Errorf("the call's context ended with its connection: %v", err)
	}
}

// TestReadyGate: calls wait for the state, the engine's greeting does not, and
// reaches the address manager first.
func TestReadyGate(t *testing.T) {
	d := start(t, nil)
	for _, op := range bodiless() {
		if status, answer := d.call(t, op, ""); status != 200 {
			t.Errorf("%s before the state is restored: %d %s", op, status, answer)
		}
	}
	if calls := d.domain.take(); calls != nil {
		t.Errorf("reached the domain too early: %v", calls)
	}
	var wg sync.WaitGroup
	for op, body := range samples() {
		wg.Go(func() {
			if status, answer, err := testkit.Call(d.client, op, body); err != nil || status != 200 {
				t.Errorf("%s: %d %s %v", op, status, answer, err)
			}
		})
	}
	testkit.Eventually(t, "all calls wait", func() bool { return d.inFlight.Load() == int64(len(samples())) })
	d.Ready()
	d.Ready()
	wg.Wait()
	calls := d.domain.take()
	if len(calls) == 0 || calls[0] != "Greet" || slices.Contains(calls[1:], "Greet") {
		t.Errorf("calls: %v", calls)
	}
}

func TestNeverReady(t *testing.T) {
	d := start(t, func(o *Options) { o.VerbTime = 20 * time.Millisecond })
	if msg := d.refused(t, "NetworkDriver.Leave", samples()["NetworkDriver.Leave"], 500); !strings.Contains(msg, "still restoring") {
		t.Errorf("deadline: %s", msg)
	}
	d = start(t, nil)
	answer := make(chan string, 1)
	go func() {
		_, text, _ := testkit.Call(d.client, "NetworkDriver.Leave", samples()["NetworkDriver.Leave"])
		answer <- text
	}()
	testkit.Eventually(t, "the call waits", func() bool { return d.inFlight.Load() == 1 })
	d.stop()
	if text := <-answer; !strings.Contains(text, "gangway is stopping") {
		t.Errorf("stop: %s", text)
	}
	if err := d.wait(t); err != nil {
		t.Error(err)
	}
	if calls := d.domain.take(); calls != nil {
		t.Errorf("reached the domain: %v", calls)
	}
}

func TestConcurrent(t *testing.T) {
	d := ready(t, nil)
	const n = 50
	barrier := make(chan struct{})
	d.domain.setHook(func(context.Context, string) error { <-barrier; return nil })
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			body := fmt.Sprintf(`{"NetworkID":"n","EndpointID":"e%d"}`, i)
			if status, answer, err := testkit.Call(d.client, "NetworkDriver.DeleteEndpoint", body); err != nil || status != 200 {
				t.Errorf("%d %s %v", status, answer, err)
			}
		})
	}
	testkit.Eventually(t, "all calls run side by side", func() bool { return d.inFlight.Load() == n })
	close(barrier)
	wg.Wait()
	calls := d.domain.take()
	slices.Sort(calls)
	if len(slices.Compact(calls)) != n || d.served.Load() != n || d.failed.Load() != 0 {
		t.Errorf("%d calls, %d served, %d failed", len(calls), d.served.Load(), d.failed.Load())
	}
}

func TestShutdownDrains(t *testing.T) {
	d := ready(t, nil)
	began, finish := make(chan struct{}), make(chan struct{})
	d.domain.setHook(func(ctx context.Context, _ string) error { close(began); <-finish; return ctx.Err() })
	status := make(chan int, 1)
	go func() {
		code, _, _ := testkit.Call(d.client, "NetworkDriver.Join", samples()["NetworkDriver.Join"])
		status <- code
	}()
	<-began
	d.stop()
	testkit.Eventually(t, "the socket goes", func() bool { _, err := os.Lstat(d.sock.path); return errors.Is(err, os.ErrNotExist) })
	if _, err := net.Dial("unix", d.sock.path); err == nil {
		t.Error("connections are accepted after the stop")
	}
	close(finish)
	if code := <-status; code != 200 {
		t.Errorf("the call under way was answered %d", code)
	}
	if err := d.wait(t); err != nil {
		t.Errorf("orderly end: %v", err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(d.sock.path)); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
}

// TestShutdownTellsCalls: a call that waits is told in time to undo and answer.
func TestShutdownTellsCalls(t *testing.T) {
	d := ready(t, func(o *Options) { o.DrainTime = 2 * time.Second })
	began := make(chan struct{})
	d.domain.setHook(func(ctx context.Context, _ string) error {
		close(began)
		<-ctx.Done()
		return fmt.Errorf("wait for the kernel: %w", ctx.Err())
	})
	answer := make(chan string, 1)
	go func() {
		_, text, _ := testkit.Call(d.client, "NetworkDriver.Join", samples()["NetworkDriver.Join"])
		answer <- text
	}()
	<-began
	d.stop()
	if err := d.wait(t); err != nil {
		t.Errorf("end: %v", err)
	}
	if text := <-answer; !strings.Contains(text, "gangway is stopping") || !strings.Contains(text, "wait for the kernel") {
		t.Errorf("answer: %s", text)
	}
}

// TestShutdownIsBounded: a call that heeds nothing does not hold up the end.
func TestShutdownIsBounded(t *testing.T) {
	d := ready(t, func(o *Options) { o.DrainTime = 40 * time.Millisecond })
	began, release := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(release) })
	d.domain.setHook(func(context.Context, string) error { close(began); <-release; return nil })
	go testkit.Call(d.client, "NetworkDriver.Join", samples()["NetworkDriver.Join"])
	<-began
	d.stop()
	if err := d.wait(t); err == nil || !strings.Contains(err.Error(), "1 calls were still under way") {
		t.Errorf("end: %v", err)
	}
}

// TestSlowClients: a client that does not finish its request is not waited for.
func TestSlowClients(t *testing.T) {
	d := start(t, nil, func(s *Server) {
		s.http.ReadHeaderTimeout, s.http.ReadTimeout = 50*time.Millisecond, 100*time.Millisecond
	})
	d.Ready()
	for _, text := range []string{"", "POST /NetworkDri", "POST /NetworkDriver.Leave HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"NetworkID\":\"n\""} {
		c, err := net.Dial("unix", d.sock.path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
		if err := c.SetReadDeadline(time.Now().Add(testkit.Patience)); err != nil {
			t.Fatal(err)
		}
		if answer, err := io.ReadAll(c); err != nil {
			t.Errorf("after %q the connection stays open: %v, %q", text, err, answer)
		}
	}
	if calls := d.domain.take(); calls != nil {
		t.Errorf("reached the domain: %v", calls)
	}
	// An engine that stays idle between two requests is.
	if s := d.http; s.IdleTimeout < time.Hour || s.WriteTimeout < verbTime+undoTime {
		t.Errorf("timeouts: idle %s, write %s", s.IdleTimeout, s.WriteTimeout)
	}
}

func TestLog(t *testing.T) {
	d := ready(t, nil)
	long := strings.Repeat("a", 64)
	d.call(t, "NetworkDriver.Leave", `{"NetworkID":"n1","EndpointID":"`+long+`"}`)
	d.call(t, "IpamDriver.RequestAddress", samples()["IpamDriver.RequestAddress"])
	d.call(t, "NetworkDriver.EndpointOperInfo", samples()["NetworkDriver.EndpointOperInfo"])
	d.call(t, "NetworkDriver.Leave", `{}`)
	d.domain.setHook(func(context.Context, string) error { return errors.New("boom") })
	d.call(t, "NetworkDriver.Leave", samples()["NetworkDriver.Leave"])
	lines := strings.Split(strings.TrimSpace(d.log.String()), "\n")
	want := [][]string{
		{"level=info", "op=NetworkDriver.Leave", "net=n1", "ep=aaaaaaaaaaaa ", "dur="},
		{"level=info", "op=IpamDriver.RequestAddress", "pool=l/10.0.0.0/24", "addr=10.0.0.5/24"},
		{"level=debug", "op=NetworkDriver.EndpointOperInfo"},
		{"level=warning", "refused: request field NetworkID is missing"},
		{"level=error", "msg=boom", "op=NetworkDriver.Leave", "net=n1", "ep=e1"},
	}
	if len(lines) != len(want) {
		t.Fatalf("log has %d lines:\n%s", len(lines), strings.Join(lines, "\n"))
	}
	for i, words := range want {
		for _, w := range words {
			if !strings.Contains(lines[i]+" ", w) {
				t.Errorf("line %d lacks %q: %s", i, w, lines[i])
			}
		}
	}
}

func TestNotify(t *testing.T) {
	manager := make(supervisor, 1)
	// Nobody waits for the state: it is not restored in this test.
	d := start(t, func(o *Options) { o.Notify = manager.tell })
	manager.hears(t, "READY=1")
	d.stop()
	manager.hears(t, "STOPPING=1")
}

func TestNewNeedsItsParts(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("a server without domains was made")
	}
}
