package hostport

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// serveTCP is a container's server: handle runs for each connection.
func serveTCP(t *testing.T, ip netip.Addr, port uint16, handle func(*net.TCPConn)) {
	t.Helper()
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, port)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.AcceptTCP()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				handle(c)
			}()
		}
	}()
}

func echoTCP(c *net.TCPConn) { _, _ = io.Copy(c, c) }

func dialTCP(t testing.TB, address string) *net.TCPConn {
	t.Helper()
	c, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

// exchange sends text, ends its direction and returns what comes back.
func exchange(t testing.TB, address, text string) string {
	t.Helper()
	c := dialTCP(t, address)
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestRelayTCPPaths(t *testing.T) {
	for _, tt := range []struct {
		name string
		req  spec.PortRequest
		cont netip.Addr
		dial string
	}{
		{"[::] to IPv4", only4(ask(8080, 8080, 90, any4, any6)), cont4, "[::1]:8080"},
		{"[::] to IPv4, global address", only4(ask(8080, 8080, 90, any4, any6)), cont4, "[fd00:99::1]:8080"},
		{"address to IPv4", only4(ask(8080, 8080, 90, host6)), cont4, "[fd00:99::1]:8080"},
		{"[::1] to IPv4", only4(ask(8080, 8080, 90, loopback6)), cont4, "[::1]:8080"},
		{"[::1] to IPv6", ask(8080, 8080, 90, loopback6), cont6, "[::1]:8080"},
		{"[::] to IPv6, from ::1", ask(8080, 8080, 90, any4, any6), cont6, "[::1]:8080"},
		{"0.0.0.0 to IPv6", only6(ask(8080, 8080, 90, any4, any6)), cont6, "127.0.0.1:8080"},
		{"by the daemon", byDaemon(ask(8080, 8080, 90, any4, any6)), cont4, "127.0.0.1:8080"},
		{"by the daemon, IPv6", byDaemon(ask(8080, 8080, 90, any4, any6)), cont6, "[fd00:99::1]:8080"},
		{"by the daemon, IPv4 alone", byDaemon(only4(ask(8080, 8080, 90, any4, any6))), cont4, "[fd00:99::1]:8080"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := manager(t)
			reserve(t, m, ownerA, tt.req)
			serveTCP(t, tt.cont, 90, echoTCP)
			if got := exchange(t, tt.dial, "hello"); got != "hello" {
				t.Errorf("got %q", got)
			}
		})
	}
}

// byDaemon asks for a port that NAT is not to serve.
func byDaemon(r spec.PortRequest) spec.PortRequest {
	r.ByDaemon = true
	return r
}

// What NAT serves is never answered here, whether its rules exist or not.
func TestReservingSocketsAreSilent(t *testing.T) {
	m := manager(t)
	serveTCP(t, cont4, 90, echoTCP)
	serveTCP(t, cont6, 90, echoTCP)
	reserve(t, m, ownerA, ask(8080, 8080, 90, any4, any6), ask(8081, 8081, 90, host6))
	for _, address := range []string{"127.0.0.1:8080", "[fd00:99::1]:8080", "[fd00:99::1]:8081"} {
		c, err := net.DialTimeout("tcp", address, 300*time.Millisecond)
		var timeout net.Error
		if err == nil {
			c.Close()
			t.Errorf("%s answers", address)
		} else if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("%s: %v, want no answer at all", address, err)
		}
	}
}

func TestRelayTCPBigBothWays(t *testing.T) {
	m := manager(t)
	reserve(t, m, ownerA, only4(ask(8080, 8080, 90, any6)))
	serveTCP(t, cont4, 90, echoTCP)
	data := make([]byte, 32<<20)
	_, _ = rand.Read(data)
	c := dialTCP(t, "[::1]:8080")
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(data)
		sent <- errors.Join(err, c.CloseWrite())
	}()
	h := sha256.New()
	n, err := io.Copy(h, c)
	if err = errors.Join(err, <-sent); err != nil {
		t.Fatal(err)
	}
	if want := sha256.Sum256(data); n != int64(len(data)) || !bytes.Equal(h.Sum(nil), want[:]) {
		t.Errorf("%d of %d bytes came back, or others", n, len(data))
	}
}

func TestRelayTCPHalfClose(t *testing.T) {
	m := manager(t)
	reserve(t, m, ownerA, only4(ask(8080, 8080, 90, any6)))
	serveTCP(t, cont4, 90, func(c *net.TCPConn) {
		// Ends its own direction first and still reads until the client's end.
		_, _ = io.WriteString(c, "bye")
		_ = c.CloseWrite()
		in, _ := io.ReadAll(c)
		if string(in) != "late" {
			t.Errorf("server read %q", in)
		}
	})
	c := dialTCP(t, "[::1]:8080")
	if out, err := io.ReadAll(c); err != nil || string(out) != "bye" {
		t.Fatalf("read %q, %v", out, err)
	}
	if _, err := io.WriteString(c, "late"); err != nil {
		t.Fatal(err)
	}
	c.Close()
	eventually(t, "connection ends", func() bool { return relayFiles(m) == 0 })
}

func relayFiles(m *Manager) int {
	m.fds.mu.Lock()
	defer m.fds.mu.Unlock()
	return m.fds.relay
}

func TestRelayTCPReset(t *testing.T) {
	m := manager(t)
	reserve(t, m, ownerA, only4(ask(8080, 8080, 90, any6)))
	read := make([]byte, 1)
	// The reset may come before connect has returned.
	first, err := net.Dial("tcp", "[::1]:8080")
	if err == nil {
		_, err = first.Read(read)
		first.Close()
	}
	if !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("without a server the client sees %v", err)
	}
	ended := make(chan error, 1)
	serveTCP(t, cont4, 90, func(c *net.TCPConn) {
		_, _ = io.WriteString(c, "x")
		_, err := io.Copy(io.Discard, c)
		ended <- err
	})
	c := dialTCP(t, "[::1]:8080")
	if _, err := c.Read(read); err != nil {
		t.Fatal(err)
	}
	_ = c.SetLinger(0)
	c.Close()
	if err := <-ended; !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("server sees %v for a client that reset", err)
	}
}

func TestRelayTCPMany(t *testing.T) {
	for name, change := range map[string]func(*limits){
		"default":           func(*limits) {},
		"2 at once a port":  func(l *limits) { l.conns = 2 },
		"3 at once in all":  func(l *limits) { l.relayFiles = 3 * connFiles },
		"files for 2 of it": func(l *limits) { l.files = l.headroom + 2 + 2*connFiles },
	} {
		t.Run(name, func(t *testing.T) {
			m := managerWith(t, change)
			reserve(t, m, ownerA, only4(ask(8080, 8081, 90, any6)))
			reserve(t, m, ownerB, only4(ask(8080, 8081, 90, any6)))
			serveTCP(t, cont4, 90, echoTCP)
			var clients sync.WaitGroup
			for i := range 100 {
				clients.Go(func() {
					c, err := net.DialTimeout("tcp", fmt.Sprintf("[::1]:%d", 8080+i%2), 20*time.Second)
					if err != nil {
						t.Error(err)
						return
					}
					defer c.Close()
					text := strings.Repeat(fmt.Sprint(i, ";"), 1000)
					_, _ = io.WriteString(c, text)
					_ = c.(*net.TCPConn).CloseWrite()
					if out, err := io.ReadAll(c); err != nil || string(out) != text {
						t.Errorf("connection %d: %d bytes, %v", i, len(out), err)
					}
				})
			}
			clients.Wait()
			eventually(t, "connections end", func() bool { return relayFiles(m) == 0 })
		})
	}
}

func TestRelayTCPFollowsRelease(t *testing.T) {
	m := manager(t)
	runs := reserve(t, m, ownerA, only4(ask(8080, 8080, 90, any6)))
	serveTCP(t, cont4, 90, echoTCP)
	serveTCP(t, cont4, 91, func(c *net.TCPConn) { _, _ = io.WriteString(c, "other") })
	read := make([]byte, 1)
	c := dialTCP(t, "[::1]:8080")
	_, _ = c.Write([]byte("x"))
	if _, err := io.ReadFull(c, read); err != nil {
		t.Fatal(err)
	}
	reserve(t, m, ownerA, only4(ask(8080, 8080, 91, any6)))
	if got := exchange(t, "[::1]:8080", ""); got != "other" {
		t.Errorf("redirected relay gives %q", got)
	}
	leave(t, m, ownerA, runs)
	if got := exchange(t, "[::1]:8080", "back"); got != "back" {
		t.Errorf("relay led back gives %q", got)
	}
	m.Trim(portsOf(ownerA, nil))
	if _, err := c.Read(read); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("after release the client sees %v", err)
	}
	if c, err := net.Dial("tcp", "[::1]:8080"); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("connect after release: %v, %v", c, err)
	}
}

// A relay that is not needed any more turns into a silent reservation, and
// back, without giving up the port.
func TestRelayTurnsIntoReservation(t *testing.T) {
	m := manager(t)
	serveTCP(t, cont4, 90, echoTCP)
	serveTCP(t, cont6, 90, echoTCP)
	relayed := only4(ask(8080, 8080, 90, host6))
	runs := reserve(t, m, ownerA, relayed)
	fd := m.book.find(ownerA, key{host6, 8080, spec.TCP}).fd
	reserve(t, m, ownerA, ask(8080, 8080, 90, host6))
	if _, err := net.DialTimeout("tcp", "[fd00:99::1]:8080", 200*time.Millisecond); err == nil {
		t.Error("answers, although NAT serves it")
	}
	leave(t, m, ownerA, runs)
	if got := exchange(t, "[fd00:99::1]:8080", "again"); got != "again" {
		t.Errorf("got %q", got)
	}
	if m.book.find(ownerA, key{host6, 8080, spec.TCP}).fd != fd {
		t.Error("the socket was replaced, so the port was free for a moment")
	}
}

func TestReserveAgainDuringTimeWait(t *testing.T) {
	m := manager(t)
	q := only4(ask(8080, 8080, 90, any6))
	reserve(t, m, ownerA, q)
	// The server ends first, so TIME_WAIT is at the relay's port.
	serveTCP(t, cont4, 90, func(c *net.TCPConn) { _, _ = io.WriteString(c, "bye") })
	c := dialTCP(t, "[::1]:8080")
	if out, err := io.ReadAll(c); err != nil || string(out) != "bye" {
		t.Fatalf("read %q, %v", out, err)
	}
	c.Close()
	eventually(t, "TIME_WAIT at port 8080", func() bool { return hasTimeWait(t, 8080) })
	m.Trim(portsOf(ownerA, nil))
	if !hasTimeWait(t, 8080) {
		t.Fatal("nothing is in TIME_WAIT")
	}
	reserve(t, m, ownerB, q)
}

func hasTimeWait(t *testing.T, port uint16) bool {
	t.Helper()
	text, err := os.ReadFile("/proc/thread-self/net/tcp6")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 3 && f[3] == "06" && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
			return true
		}
	}
	return false
}
