package hostport

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/gangway-net/gangway/driver/spec"
)

// clientAddresses are on lo, each in a network of its own.
func clientAddresses(t *testing.T, n int) (all []string) {
	t.Helper()
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		a := fmt.Sprintf("fd00:98:0:%d::1", i+1)
		addr, err := netlink.ParseAddr(a + "/128")
		if err != nil {
			t.Fatal(err)
		}
		addr.Flags = 0x02 // IFA_F_NODAD
		if err := netlink.AddrReplace(lo, addr); err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	return all
}

// connect asks an echo server by a relay from an address, and keeps the connection.
func connect(t *testing.T, from string, port uint16) error {
	t.Helper()
	d := net.Dialer{Timeout: 20 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", netip.AddrPortFrom(host6, port).String())
	if err != nil {
		return err
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err = c.Write([]byte("x")); err == nil {
		_, err = io.ReadFull(c, make([]byte, 1))
	}
	return err
}

// fill opens connections until one is refused, or the port has all it may have.
func fill(t *testing.T, m *Manager, from string, port uint16) (n int) {
	t.Helper()
	l := m.book.find(ownerA, key{any6, port, spec.TCP}).relay.(*tcpRelay)
	for {
		l.mu.Lock()
		have := l.conns
		l.mu.Unlock()
		if ok, _ := m.fds.fits(connFiles, have, m.relays.l.conns, nil); !ok {
			return n
		}
		if err := connect(t, from, port); err != nil {
			return n
		}
		n++
	}
}

func TestRelayShares(t *testing.T) {
	const first, last = 8080, 8083
	for name, change := range map[string]func(*limits){
		"of all":        func(l *limits) { l.relayFiles = 60 * connFiles },
		"of open files": func(l *limits) { l.files = l.headroom + last - first + 1 + 60*connFiles },
		"of a port":     func(l *limits) { l.conns = 8 },
	} {
		t.Run(name, func(t *testing.T) {
			m := managerWith(t, change)
			var want []spec.PortRequest
			for p := uint16(first); p <= last; p++ {
				want = append(want, only4(ask(p, p, 90, any6)))
			}
			reserve(t, m, ownerA, want...)
			serveTCP(t, cont4, 90, echoTCP)
			clients := clientAddresses(t, 6)
			had := 0
			for p := uint16(first); p <= last; p++ {
				n := fill(t, m, clients[0], p)
				if n < 2 && p == first {
					t.Errorf("one client has %d connections", n)
				}
				had += n
			}
			if had > 30 && name != "of a port" {
				t.Errorf("one client has %d connections, all that there are", had)
			}
			for p := uint16(first); p <= last; p++ {
				if err := connect(t, clients[1], p); err != nil {
					t.Errorf("port %d after one client took what it gets everywhere: %v", p, err)
				}
			}
			for _, c := range clients[2:] {
				fill(t, m, c, first)
			}
			if err := connect(t, clients[1], last); err != nil {
				t.Errorf("another port than one whose clients took what it may have: %v", err)
			}
		})
	}
}

// A client that floods a UDP port with source ports ends its own sessions, not those
// of others.
func TestRelayUDPShare(t *testing.T) {
	m := managerWith(t, func(l *limits) { l.sessions = 8 })
	reserve(t, m, ownerA, only4(udpAsk(5300, 53, any6)))
	serveUDP(t, cont4, 53)
	clients := clientAddresses(t, 2)
	other := dialUDPFrom(t, "["+clients[1]+"]:0", "[fd00:99::1]:5300")
	session := ping(t, other, "a")
	for range 20 {
		ping(t, dialUDPFrom(t, "["+clients[0]+"]:0", "[fd00:99::1]:5300"), "b")
	}
	if n := sessions(m); n != 5 {
		t.Errorf("%d sessions, want 4 of the flood and one", n)
	}
	if again := ping(t, other, "a"); again != session {
		t.Error("a flood of another client ended the session")
	}
}
