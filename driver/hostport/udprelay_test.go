package hostport

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/driver/spec"
)

// serveUDP is a container's server: it answers each datagram with the sender's
// address and the datagram.
func serveUDP(t *testing.T, ip netip.Addr, port uint16) {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, port)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		buf := make([]byte, 1<<16)
		for {
			n, from, err := c.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			if n == 0 || n > 1000 {
				_, _ = c.WriteToUDPAddrPort(buf[:n], from)
				continue
			}
			_, _ = c.WriteToUDPAddrPort([]byte(from.String()+" "+string(buf[:n])), from)
		}
	}()
}

// dialUDPFrom gives a connected socket, which takes answers only from the very
// address that it sends to.
func dialUDPFrom(t *testing.T, local, remote string) *net.UDPConn {
	t.Helper()
	d := net.Dialer{}
	if local != "" {
		d.LocalAddr = net.UDPAddrFromAddrPort(netip.MustParseAddrPort(local))
	}
	c, err := d.Dial("udp", remote)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.UDPConn)
}

// ping sends text and returns the sender's address that the server saw.
func ping(t *testing.T, c *net.UDPConn, text string) string {
	t.Helper()
	buf := make([]byte, 1<<16)
	for range 20 {
		_, _ = c.Write([]byte(text))
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		n, err := c.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		from, back, _ := strings.Cut(string(buf[:n]), " ")
		if back != text {
			t.Fatalf("answer %q to %q", buf[:n], text)
		}
		return from
	}
	t.Fatalf("no answer from %s", c.RemoteAddr())
	return ""
}

func udpAsk(first, container uint16, hosts ...netip.Addr) spec.PortRequest {
	return proto(spec.UDP, ask(first, first, container, hosts...))
}

func TestRelayUDPAnswersFromAddressUsed(t *testing.T) {
	for _, tt := range []struct {
		name, local, remote string
		req                 spec.PortRequest
		cont                netip.Addr
	}{
		{"IPv6 wildcard, loopback", "", "[::1]:5300", only4(udpAsk(5300, 53, any6)), cont4},
		{"IPv6 wildcard, second address", "[fd00:99::1]:0", "[fd00:99::5]:5300", only4(udpAsk(5300, 53, any6)), cont4},
		{"IPv6 address", "", "[fd00:99::5]:5300", only4(udpAsk(5300, 53, other6)), cont4},
		{"IPv4 wildcard, second address", "127.0.0.1:0", "127.0.0.5:5300", only6(udpAsk(5300, 53, any4)), cont6},
		{"by the daemon", "127.0.0.1:0", "127.0.0.5:5300", byDaemon(udpAsk(5300, 53, any4, any6)), cont4},
		{"by the daemon, IPv6", "", "[fd00:99::5]:5300", byDaemon(udpAsk(5300, 53, any4, any6)), cont6},
		{"IPv6 container, ::1", "", "[::1]:5300", udpAsk(5300, 53, any6), cont6},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := manager(t)
			reserve(t, m, ownerA, tt.req)
			serveUDP(t, tt.cont, 53)
			ping(t, dialUDPFrom(t, tt.local, tt.remote), "hello")
		})
	}
}

func TestReservingUDPSocketsAreSilent(t *testing.T) {
	m := manager(t)
	reserve(t, m, ownerA, udpAsk(5300, 53, any4, any6))
	serveUDP(t, cont4, 53)
	serveUDP(t, cont6, 53)
	// 127.0.0.3 may be the last address of a subnet, as the filter sees it.
	for _, remote := range []string{"127.0.0.1:5300", "127.0.0.3:5300", "[fd00:99::1]:5300"} {
		c := dialUDPFrom(t, "", remote)
		_, _ = c.Write([]byte("hello"))
		_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		if n, err := c.Read(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %d, %v, want silence", remote, n, err)
		}
	}
}

func sessions(m *Manager) (n int) {
	m.relays.udp.mu.Lock()
	defer m.relays.udp.mu.Unlock()
	for u := range m.relays.udp.active {
		n += len(u.sessions)
	}
	return n
}

func TestRelayUDPSessions(t *testing.T) {
	m := manager(t)
	reserve(t, m, ownerA, only4(udpAsk(5300, 53, any6)))
	serveUDP(t, cont4, 53)
	a, b := dialUDPFrom(t, "", "[::1]:5300"), dialUDPFrom(t, "", "[::1]:5300")
	fromA, fromB := ping(t, a, "a"), ping(t, b, "b")
	if fromA == fromB {
		t.Error("two clients share a session")
	}
	if again := ping(t, a, "a"); again != fromA {
		t.Errorf("one client has two sessions, %s and %s", fromA, again)
	}
	if n := sessions(m); n != 2 {
		t.Errorf("%d sessions", n)
	}
	for _, size := range []int{0, 1200, 60000} {
		_, _ = a.Write(make([]byte, size))
		_ = a.SetReadDeadline(time.Now().Add(10 * time.Second))
		if n, err := a.Read(make([]byte, 1<<16)); n != size || err != nil {
			t.Errorf("datagram of %d bytes: %d, %v", size, n, err)
		}
	}
	reserve(t, m, ownerA, only4(udpAsk(5300, 54, any6)))
	serveUDP(t, cont4, 54)
	if n := sessions(m); n != 0 {
		t.Errorf("%d sessions after the port was led elsewhere", n)
	}
	ping(t, a, "a")
	m.Trim(portsOf(ownerA, nil))
	if n := sessions(m) + relayFiles(m); n != 0 {
		t.Errorf("%d left after release", n)
	}
}

func TestRelayUDPIdle(t *testing.T) {
	m := managerWith(t, func(l *limits) { l.idle = 200 * time.Millisecond })
	reserve(t, m, ownerA, only4(udpAsk(5300, 53, any6)))
	serveUDP(t, cont4, 53)
	c := dialUDPFrom(t, "", "[::1]:5300")
	ping(t, c, "a")
	eventually(t, "idle session ends", func() bool { return sessions(m) == 0 && relayFiles(m) == 0 })
	ping(t, c, "b")
}

func TestRelayUDPServerComesLater(t *testing.T) {
	m := manager(t)
	reserve(t, m, ownerA, only4(udpAsk(5300, 53, any6)))
	c := dialUDPFrom(t, "", "[::1]:5300")
	// Those of them that are passed on late are answered as well.
	for range 3 {
		_, _ = c.Write([]byte("a"))
	}
	eventually(t, "session starts", func() bool { return sessions(m) == 1 })
	serveUDP(t, cont4, 53)
	ping(t, c, "a")
}

func TestRelayUDPEvictsOldest(t *testing.T) {
	for name, change := range map[string]func(*limits){
		"of the port": func(l *limits) { l.sessions = 3 },
		// Of twelve a port may have six, and a client three of these.
		"of all": func(l *limits) { l.relayFiles = 12 },
	} {
		t.Run(name, func(t *testing.T) {
			m := managerWith(t, change)
			reserve(t, m, ownerA, only4(udpAsk(5310, 53, any6)), only4(udpAsk(5311, 53, any6)))
			serveUDP(t, cont4, 53)
			var clients []*net.UDPConn
			var from []string
			for range 3 {
				c := dialUDPFrom(t, "", "[::1]:5310")
				clients, from = append(clients, c), append(from, ping(t, c, "x"))
			}
			ping(t, clients[0], "x")
			// Client 1 is the oldest now; it goes for a fourth one, which none
			// does for one on another port.
			ping(t, dialUDPFrom(t, "", "[::1]:5310"), "x")
			ping(t, dialUDPFrom(t, "", "[::1]:5311"), "x")
			if n := sessions(m); n != 4 {
				t.Errorf("%d sessions", n)
			}
			for _, i := range []int{0, 2} {
				if again := ping(t, clients[i], "x"); again != from[i] {
					t.Errorf("client %d lost its session", i)
				}
			}
		})
	}
}
