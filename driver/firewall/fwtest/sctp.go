package fwtest

import (
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/rawip"
)

// serveSCTP answers every INIT to the port, until the end of the test.
func serveSCTP(t *testing.T, n *node, port uint16) {
	t.Helper()
	for _, any := range [...]netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		var c *net.IPConn
		n.must(t, func() (err error) {
			c, err = net.ListenIP(rawip.NetworkSCTP(any), &net.IPAddr{IP: any.AsSlice()})
			return err
		})
		t.Cleanup(func() { _ = c.Close() })
		go func() {
			_ = rawip.ServeSCTP(c, port, func(client netip.AddrPort) string { return identity(n.name, port, client.Addr()) })
		}()
	}
}

// lastID tells echo requests and associations apart: all of them live in one
// process.
var lastID atomic.Uint32

func nextID() uint16 { return uint16(20000 + lastID.Add(1)%40000) }

// askSCTP sends an INIT and returns the line of the INIT ACK.
func askSCTP(n *node, to netip.AddrPort, deadline time.Time) (string, error) {
	c, err := dialRaw(n, rawip.NetworkSCTP(to.Addr()), to.Addr(), deadline)
	if err != nil {
		return "", err
	}
	defer c.Close() //nolint:errcheck // the answer is what counts
	return rawip.AskSCTP(c, nextID(), to.Port())
}

// dialRaw opens a raw socket of the node that hears one address only.
func dialRaw(n *node, network string, to netip.Addr, deadline time.Time) (*net.IPConn, error) {
	var c *net.IPConn
	err := n.do(func() (err error) {
		c, err = net.DialIP(network, nil, &net.IPAddr{IP: to.AsSlice()})
		return err
	})
	if err != nil {
		return nil, err
	}
	return c, c.SetDeadline(deadline)
}
