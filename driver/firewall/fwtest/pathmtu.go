package fwtest

import (
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The way out takes packets of narrow bytes, and nobody says so: ICMP is filtered.
const (
	narrow    = 1400
	largePort = 8888
	large     = 100_000
	// hangs is how long somebody tries what cannot be: retransmissions come after 200 ms.
	hangs = time.Second
)

// pathMTU sends much by a way that is narrower than the links of both ends, and gets as much.
// Without rules it hangs; with them it arrives, since both ends know from the first packet on
// what the way takes. What does not pass a bridge of gangway is not touched.
func (s *suite) pathMTU(t *testing.T) {
	w := newWorld(t, s.opts, s.possible(setting{engine: engine29, policy: ""})[0])
	if err := w.host.nl.LinkSetMTU(w.host.link(t, "v-outside"), narrow); err != nil {
		t.Fatal(err)
	}
	const deaf = "table inet deaf {\n chain in {\n type filter hook input priority 0;\n icmp type destination-unreachable drop\n icmpv6 type packet-too-big drop\n }\n}\n"
	for _, name := range []string{"a1", "outside", "lan"} {
		w.nodes[name].sysctl(t, "ipv4/tcp_mtu_probing", "0")
		w.nodes[name].mustCommand(t, deaf, "nft", "-f", "-")
	}
	serveMuch(t, w.nodes["outside"])
	for _, f := range families {
		if _, err := w.much("a1", f, time.Now().Add(hangs)); err == nil {
			t.Errorf("%s: without rules large packets find their way, and the case shows nothing", f)
		}
	}
	s.backend(t, w.host).add(t, everything())
	for _, f := range families {
		mss, err := w.much("a1", f, time.Now().Add(patience))
		if err != nil || mss > narrow-40 {
			t.Errorf("%s: segments of %d by a way of %d, %v", f, mss, narrow, err)
		}
		// Between others nothing changes.
		if mss, err := w.much("lan", f, time.Now().Add(hangs)); err == nil || mss <= narrow {
			t.Errorf("%s: others send segments of %d, %v", f, mss, err)
		}
	}
}

// serveMuch takes much of each connection, and answers with as much.
func serveMuch(t *testing.T, n *node) {
	t.Helper()
	accepts(t, n, largePort, func(c net.Conn) {
		if _, err := io.CopyN(io.Discard, c, large); err == nil {
			_, _ = io.WriteString(c, strings.Repeat("x", large))
		}
		_ = c.Close()
	})
}

// much sends much to the outside, and gets as much back; it returns the largest segment that
// the node may send.
func (w *world) much(from string, f family, deadline time.Time) (mss int, err error) {
	c, err := dial(w.nodes[from], "tcp", netip.AddrPortFrom(addresses["outside"][f], largePort), deadline)
	if err != nil {
		return 0, err
	}
	defer c.Close()                            //nolint:errcheck // it has served
	raw, err := c.(*net.TCPConn).SyscallConn() //nolint:forcetypeassert // as dialled
	if err != nil {
		return 0, err
	}
	if err = raw.Control(func(fd uintptr) { mss, _ = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG) }); err != nil { //nolint:gosec // a descriptor
		return 0, err
	}
	if err = c.SetDeadline(deadline); err == nil {
		_, err = io.WriteString(c, strings.Repeat("y", large))
	}
	if err == nil {
		_, err = io.ReadFull(c, make([]byte, large))
	}
	return mss, err
}
