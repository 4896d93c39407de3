package hostport

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// asked notes what relays ask, and answers what it is told to.
type asked struct {
	mu    sync.Mutex
	open  bool
	calls []client
}

func (a *asked) Admits(link int, to netip.Addr, group bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls = append(a.calls, client{link: link, local: to, group: group})
	return a.open
}

func (a *asked) set(open bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open, a.calls = open, nil
}

func (a *asked) first(t *testing.T) client {
	t.Helper()
	eventually(t, "the origin is asked", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.calls) > 0
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calls[0]
}

// linkLocal6 is on lo.
const linkLocal6 = "fe80::99"

func addLinkLocal(t *testing.T) {
	t.Helper()
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	a, err := netlink.ParseAddr(linkLocal6 + "/64")
	if err != nil {
		t.Fatal(err)
	}
	addToLoopback(t, lo, a)
}

// Every relay asks by which link a client came, and serves nobody who is not
// admitted: TCP is reset, a datagram not passed on.
func TestRelayAsksOrigin(t *testing.T) {
	origin := &asked{}
	addAddresses(t)
	addLinkLocal(t)
	m := newManager(quiet(), defaultLimits(10000), origin)
	defer m.Close()
	reserve(t, m, ownerA,
		only4(ask(8080, 8080, 90, any6)), only6(ask(8080, 8080, 90, loopback4)),
		ask(8081, 8081, 90, host6), only4(ask(8082, 8082, 90, any4, any6)),
		only4(udpAsk(8080, 90, any6)), only6(udpAsk(8080, 90, loopback4)), udpAsk(8082, 90, any4, any6))
	for _, ip := range []netip.Addr{cont4, cont6} {
		serveTCP(t, ip, 90, echoTCP)
		serveUDP(t, ip, 90)
	}
	for _, c := range []struct {
		addr string
		to   netip.Addr
	}{
		{"[::1]:8080", cont4}, {"[fd00:99::5]:8080", cont4}, {"127.0.0.1:8080", cont6},
		{"[::1]:8082", cont4}, {"[" + linkLocal6 + "%lo]:8082", cont4},
	} {
		origin.set(false)
		// The reset may come before connect has returned.
		conn, err := net.DialTimeout("tcp", c.addr, 10*time.Second)
		if err == nil {
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			_, err = conn.Read(make([]byte, 1))
			conn.Close()
		}
		if !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("tcp %s, not admitted: %v, want a reset", c.addr, err)
		}
		if got := origin.first(t); got != (client{link: 1, local: c.to}) {
			t.Errorf("tcp %s asked for %+v, want lo and %s", c.addr, got, c.to)
		}
		origin.set(true)
		if got := exchange(t, c.addr, "x"); got != "x" {
			t.Errorf("tcp %s, admitted: %q", c.addr, got)
		}
	}
	for addr, to := range map[string]netip.Addr{
		"[::1]:8080": cont4, "127.0.0.1:8080": cont6, "[::1]:8082": cont6, "[" + linkLocal6 + "%lo]:8082": cont6,
	} {
		origin.set(false)
		conn := dialUDPFrom(t, "", addr)
		_, _ = conn.Write([]byte("x"))
		if got := origin.first(t); got != (client{link: 1, local: to}) {
			t.Errorf("udp %s asked for %+v, want lo and %s", addr, got, to)
		}
		_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if n, err := conn.Read(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) || sessions(m) != 0 {
			t.Errorf("udp %s, not admitted: %d, %v, %d sessions", addr, n, err, sessions(m))
		}
		origin.set(true)
		ping(t, conn, "x")
		m.Trim(portsOf(ownerB, nil))
		endSessions(m)
	}
}

func endSessions(m *Manager) {
	all := m.relays.udp
	all.mu.Lock()
	defer all.mu.Unlock()
	for u := range all.active {
		all.drop(u)
	}
}

// A link-local client is relayed to, at every address that a port is published on,
// with NAT or without.
func TestRelayLinkLocal(t *testing.T) {
	m := manager(t)
	addLinkLocal(t)
	serveTCP(t, cont6, 90, echoTCP)
	serveUDP(t, cont6, 90)
	reserve(t, m, ownerA, ask(8080, 8080, 90, any4, any6), udpAsk(8080, 90, any4, any6), ask(8081, 8081, 90, host6), udpAsk(8081, 90, host6))
	local := &net.TCPAddr{IP: net.ParseIP(linkLocal6), Zone: "lo"}
	for _, addr := range []string{"[" + linkLocal6 + "%lo]:8080", "[fd00:99::1]:8081"} {
		d := net.Dialer{LocalAddr: local, Timeout: 10 * time.Second}
		c, err := d.Dial("tcp", addr)
		if err != nil {
			t.Errorf("%s: %v", addr, err)
			continue
		}
		_, _ = c.Write([]byte("x"))
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		if n, err := c.Read(make([]byte, 1)); n != 1 {
			t.Errorf("%s: %v", addr, err)
		}
		c.Close()
		ping(t, dialUDPFrom(t, "["+linkLocal6+"%lo]:0", addr), "x")
	}
	// With another source it is NAT's, which is not there.
	c := dialUDPFrom(t, "[fd00:99::5]:0", "[fd00:99::1]:8081")
	_, _ = c.Write([]byte("x"))
	ping(t, dialUDPFrom(t, "["+linkLocal6+"%lo]:0", "[fd00:99::1]:8081"), "y")
	_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := c.Read(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a global client is relayed to: %d, %v", n, err)
	}
}

// A broadcast reaches the container, whichever way its port is held, and the answer
// comes from an address of the host.
func TestRelayBroadcast(t *testing.T) {
	for name, want := range map[string]spec.PortRequest{
		"one family":                    udpAsk(5300, 53, any4),
		"both families":                 udpAsk(5300, 53, any4, any6),
		"both, container with one":      only4(udpAsk(5300, 53, any4, any6)),
		"a container without IPv4":      only6(udpAsk(5300, 53, any4)),
		"both families, the other way":  udpAsk(5300, 53, any6, any4),
		"two, of which one is led away": udpAsk(5300, 53, any4, any6),
	} {
		t.Run(name, func(t *testing.T) {
			origin := &asked{open: true}
			addAddresses(t)
			m := newManager(quiet(), defaultLimits(10000), origin)
			defer m.Close()
			runs := reserve(t, m, ownerA, want)
			if name == "two, of which one is led away" {
				m.Trim(portsOf(ownerA, runs[:1]))
			}
			to := cont4
			if !want.Container4.IsValid() {
				to = cont6
			}
			serveUDP(t, to, 53)
			c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 9)})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err = c.WriteTo([]byte("hello"), &net.UDPAddr{IP: net.IPv4(127, 255, 255, 255), Port: 5300}); err != nil {
				t.Fatal(err)
			}
			_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
			n, from, err := c.ReadFromUDPAddrPort(make([]byte, 100))
			if err != nil || n == 0 || from != netip.MustParseAddrPort("127.0.0.1:5300") {
				t.Errorf("answer from %s: %d bytes, %v", from, n, err)
			}
			if got := origin.first(t); got != (client{link: 1, local: to, group: true}) {
				t.Errorf("asked for %+v", got)
			}
		})
	}
}

// slowOrigin does not answer before it is released.
type slowOrigin struct {
	asked, release chan struct{}
}

func (o slowOrigin) Admits(int, netip.Addr, bool) bool {
	o.asked <- struct{}{}
	<-o.release
	return true
}

// TestSlowOrigin: a kernel that does not say by which link a client of UDP came keeps
// nobody waiting who publishes, moves or takes back ports. A client whose port has moved
// meanwhile is not served.
func TestSlowOrigin(t *testing.T) {
	addAddresses(t)
	o := slowOrigin{make(chan struct{}, 8), make(chan struct{})}
	m := newManager(quiet(), defaultLimits(raiseFileLimit(quiet())), o)
	release := sync.OnceFunc(func() { close(o.release) })
	t.Cleanup(func() { release(); _ = m.Close() })
	runs := reserve(t, m, ownerA, proto(spec.UDP, only4(ask(8080, 8080, 90, any6))))
	conn := dialUDPFrom(t, "", "[::1]:8080")
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	<-o.asked
	done := make(chan struct{})
	go func() {
		defer close(done)
		moved := portsOf(ownerA, runs)
		moved.Runs[0].ContainerFirst = 91
		if _, unheld, err := m.Hold(context.Background(), moved); err != nil || len(unheld) > 0 {
			t.Error(unheld, err)
		}
		reserve(t, m, ownerB, proto(spec.UDP, only4(ask(8081, 8081, 90, any6))))
		m.Trim(portsOf(ownerB, nil))
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("ports wait for the kernel's answer about a client")
	}
	release()
	eventually(t, "the client has been answered about", func() bool { return len(o.asked) == 0 })
	if n := sessions(m); n != 0 {
		t.Errorf("%d sessions to a port that has moved", n)
	}
}
