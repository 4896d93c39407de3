package fwtest

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"
)

// SCTP is spoken over raw sockets, and only as far as the first exchange of an
// association (RFC 9260: INIT, INIT ACK). That shows what NAT and filters do,
// and needs no SCTP in the kernel: SCTP cases run everywhere. The identity
// line travels in the INIT ACK's state cookie.
const (
	sctpProtocol   = 132
	sctpInit       = 1
	sctpInitAck    = 2
	sctpCookie     = 7
	sctpHeader     = 12
	sctpInitLength = 20 // chunk header and fixed part
	sctpMin        = sctpHeader + sctpInitLength
)

// rawNetwork names raw sockets of a protocol in the family of an address.
func rawNetwork(a netip.Addr, proto4, proto6 string) string {
	if a.Is4() {
		return "ip4:" + proto4
	}
	return "ip6:" + proto6
}

// sctpPacket builds one packet with an INIT or INIT ACK chunk.
func sctpPacket(src, dst uint16, tag uint32, kind byte, cookie string) []byte {
	b := make([]byte, sctpMin, 256)
	binary.BigEndian.PutUint16(b[0:], src)
	binary.BigEndian.PutUint16(b[2:], dst)
	binary.BigEndian.PutUint32(b[4:], tag)
	chunk := b[sctpHeader:]
	chunk[0] = kind
	binary.BigEndian.PutUint32(chunk[4:], 0x67770001)  // initiate tag
	binary.BigEndian.PutUint32(chunk[8:], 65536)       // receiver window
	binary.BigEndian.PutUint32(chunk[12:], 0x00010001) // one stream each way
	binary.BigEndian.PutUint32(chunk[16:], 1)          // first TSN
	if cookie != "" {
		b = binary.BigEndian.AppendUint16(b, sctpCookie)
		b = binary.BigEndian.AppendUint16(b, uint16(4+len(cookie)))
		b = append(b, cookie...)
	}
	binary.BigEndian.PutUint16(b[sctpHeader+2:], uint16(len(b)-sctpHeader))
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// serveSCTP answers every INIT to the port, until the end of the test.
func serveSCTP(t *testing.T, n *node, port uint16) {
	t.Helper()
	for _, any := range [...]netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		var c *net.IPConn
		n.must(t, func() (err error) {
			c, err = net.ListenIP(rawNetwork(any, "132", "132"), &net.IPAddr{IP: any.AsSlice()})
			return err
		})
		t.Cleanup(func() { _ = c.Close() })
		go answerSCTP(c, n.name, port)
	}
}

func answerSCTP(c *net.IPConn, name string, port uint16) {
	buf := make([]byte, 256)
	for {
		got, from, err := c.ReadFromIP(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || got < sctpMin || buf[sctpHeader] != sctpInit || binary.BigEndian.Uint16(buf[2:]) != port {
			continue
		}
		client, _ := netip.AddrFromSlice(from.IP)
		tag := binary.BigEndian.Uint32(buf[sctpHeader+4:])
		answer := sctpPacket(port, binary.BigEndian.Uint16(buf[0:]), tag, sctpInitAck, identity(name, port, client))
		_, _ = c.WriteToIP(answer, from)
	}
}

// lastID tells echo requests and associations apart: all of them live in one
// process.
var lastID atomic.Uint32

func nextID() uint16 { return uint16(20000 + lastID.Add(1)%40000) }

// askSCTP sends an INIT and returns the cookie of the INIT ACK.
func askSCTP(n *node, to netip.AddrPort, deadline time.Time) (string, error) {
	c, err := dialRaw(n, rawNetwork(to.Addr(), "132", "132"), to.Addr(), deadline)
	if err != nil {
		return "", err
	}
	defer c.Close() //nolint:errcheck // the answer is what counts
	own := nextID()
	if _, err := c.Write(sctpPacket(own, to.Port(), 0, sctpInit, "")); err != nil {
		return "", err
	}
	buf := make([]byte, 256)
	for {
		got, _, err := c.ReadFromIP(buf)
		if err != nil {
			return "", err
		}
		if got < sctpMin+4 || buf[sctpHeader] != sctpInitAck || binary.BigEndian.Uint16(buf[2:]) != own {
			continue
		}
		param := buf[sctpMin:got]
		length := int(binary.BigEndian.Uint16(param[2:]))
		if binary.BigEndian.Uint16(param) != sctpCookie || length < 4 || length > len(param) {
			return "", errors.New("INIT ACK without a state cookie")
		}
		return string(param[4:length]), nil
	}
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
