package nflog

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/firewall"
)

func four(proto byte, fragment uint16, options int, rest ...byte) []byte {
	p := make([]byte, 20+options)
	p[0], p[9] = 0x40|byte(len(p)/4), proto
	binary.BigEndian.PutUint16(p[6:], fragment)
	copy(p[12:], []byte{10, 0, 0, 2, 192, 0, 2, 9})
	return append(p, rest...)
}

func six(next byte, rest ...byte) []byte {
	p := make([]byte, 40)
	p[0], p[6] = 0x60, next
	from, to := netip.MustParseAddr("fd00::2").As16(), netip.MustParseAddr("2001:db8::9").As16()
	copy(p[8:], from[:])
	copy(p[24:], to[:])
	return append(p, rest...)
}

// TestDecode: addresses, protocol and ports are read as far as they are there, behind options
// and extension headers, and not from later fragments.
func TestDecode(t *testing.T) {
	ports := []byte{0x01, 0x00, 0x00, 0x50}
	hop := []byte{unix.IPPROTO_DSTOPTS, 0, 0, 0, 0, 0, 0, 0}
	options := append([]byte{unix.IPPROTO_UDP, 1}, make([]byte, 14)...)
	for name, c := range map[string]struct {
		kind   uint16
		packet []byte
		want   string
	}{
		"tcp":                 {unix.ETH_P_IP, four(unix.IPPROTO_TCP, 0, 0, ports...), "tcp 10.0.0.2:256 192.0.2.9:80"},
		"options":             {unix.ETH_P_IP, four(unix.IPPROTO_UDP, 0, 8, ports...), "udp 10.0.0.2:256 192.0.2.9:80"},
		"first fragment":      {unix.ETH_P_IP, four(unix.IPPROTO_UDP, 0x2000, 0, ports...), "udp 10.0.0.2:256 192.0.2.9:80"},
		"later fragment":      {unix.ETH_P_IP, four(unix.IPPROTO_UDP, 0x2001, 0, ports...), "udp 10.0.0.2:0 192.0.2.9:0"},
		"icmp":                {unix.ETH_P_IP, four(unix.IPPROTO_ICMP, 0, 0, ports...), "icmp 10.0.0.2:0 192.0.2.9:0"},
		"other":               {unix.ETH_P_IP, four(47, 0, 0, ports...), "47 10.0.0.2:0 192.0.2.9:0"},
		"cut":                 {unix.ETH_P_IP, four(unix.IPPROTO_TCP, 0, 0, 1, 0), "tcp 10.0.0.2:0 192.0.2.9:0"},
		"nothing":             {unix.ETH_P_IP, nil, " invalid AddrPort invalid AddrPort"},
		"no IP":               {unix.ETH_P_ARP, make([]byte, 60), " invalid AddrPort invalid AddrPort"},
		"sctp 6":              {unix.ETH_P_IPV6, six(unix.IPPROTO_SCTP, ports...), "sctp [fd00::2]:256 [2001:db8::9]:80"},
		"icmpv6":              {unix.ETH_P_IPV6, six(unix.IPPROTO_ICMPV6, ports...), "icmpv6 [fd00::2]:0 [2001:db8::9]:0"},
		"extensions":          {unix.ETH_P_IPV6, six(unix.IPPROTO_HOPOPTS, slices.Concat(hop, options, ports)...), "udp [fd00::2]:256 [2001:db8::9]:80"},
		"extension cut":       {unix.ETH_P_IPV6, six(unix.IPPROTO_HOPOPTS, hop[:4]...), "0 [fd00::2]:0 [2001:db8::9]:0"},
		"first fragment of 6": {unix.ETH_P_IPV6, six(unix.IPPROTO_FRAGMENT, slices.Concat([]byte{unix.IPPROTO_TCP, 0, 0, 1, 0, 0, 0, 0}, ports)...), "tcp [fd00::2]:256 [2001:db8::9]:80"},
		"later fragment of 6": {unix.ETH_P_IPV6, six(unix.IPPROTO_FRAGMENT, slices.Concat([]byte{unix.IPPROTO_TCP, 0, 0, 9, 0, 0, 0, 0}, ports)...), "tcp [fd00::2]:0 [2001:db8::9]:0"},
	} {
		var r firewall.Refused
		decode(&r, c.kind, c.packet)
		if got := r.Protocol + " " + r.From.String() + " " + r.To.String(); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// FuzzDecode: whatever comes, nothing is read past its end.
func FuzzDecode(f *testing.F) {
	f.Add(uint16(unix.ETH_P_IPV6), six(unix.IPPROTO_HOPOPTS, 0, 255))
	f.Add(uint16(unix.ETH_P_IP), four(6, 0, 40))
	f.Fuzz(func(_ *testing.T, kind uint16, packet []byte) {
		var r firewall.Refused
		decode(&r, kind, packet)
	})
}
