package fwtest

import (
	"net/netip"
	"testing"

	"github.com/gangway-net/gangway/integration/rawip"
)

// untracked are IPv6 packets that belong to no tracked flow, by what they carry: whoever makes his own packets sends them
// at will, and nothing translates them.
func untracked(from, to netip.AddrPort) map[string][]byte {
	const (
		header            = 40
		tcpFlags          = header + 13
		tcpSum, udpSum    = header + 16, header + 6
		icmpSum           = header + 2
		solicitation      = 135
		reset, impossible = 0x04, 0x03
	)
	flags := func(to byte, p []byte) []byte { return changed(p, tcpFlags, to, tcpSum) }
	all := map[string][]byte{
		"a segment with SYN and FIN":  flags(impossible, rawip.Opening(from, to, 1, "a segment with SYN and FIN")),
		"an RST that nobody expects":  flags(reset, rawip.Opening(from, to, 1, "an RST that nobody expects")),
		"a datagram with a wrong sum": rawip.Datagram(from, to, "a datagram with a wrong sum"),
		"an error about nothing":      rawip.Unreachable(from.Addr(), to.Addr(), rawip.Datagram(netip.AddrPortFrom(to.Addr(), 7), from, "an error about nothing")),
		"a reply to nothing":          rawip.EchoReply(from.Addr(), to.Addr(), 7, "a reply to nothing"),
		"a solicitation":              changed(rawip.EchoRequest(from.Addr(), to.Addr(), 0, "a solicitation"), header, solicitation, icmpSum),
	}
	all["a datagram with a wrong sum"][udpSum] ^= 1
	return all
}

// changed sets a byte of a packet, and its checksum as that wants it (RFC 1624).
func changed(p []byte, at int, to byte, sum int) []byte {
	word := func(at int) uint32 { return uint32(p[at])<<8 | uint32(p[at+1]) }
	was := word(at &^ 1)
	p[at] = to
	s := (word(sum) ^ 0xffff) + (was ^ 0xffff) + word(at&^1)
	s = s>>16 + s&0xffff
	s = ^(s>>16 + s&0xffff)
	p[sum], p[sum+1] = byte(s>>8), byte(s)
	return p
}

// sendUntracked shows that nothing of that leaves A, with a prefix and without. Each packet has a twin from B, of which all
// goes out by its own address.
func (w *world) sendUntracked(t *testing.T, day string) {
	t.Helper()
	ears, wires := map[string]*capture{"outside": listen(t, w.nodes["outside"])}, w.wires(t)
	for by, all := range map[string]bool{"a1": false, "b1": true} {
		packets := untracked(netip.AddrPortFrom(addresses[by][v6], 4444), netip.AddrPortFrom(addresses["outside"][v6], 9))
		for name, p := range packets {
			if err := wires[by].send(p); err != nil {
				t.Fatalf("%s by %s: %v", name, by, err)
			}
		}
		seen := w.heard(t, ears, "end of what "+by+" sends")["outside"]
		for name := range packets {
			if got := len(carrying(seen, name)); (got > 0) != all {
				t.Errorf("prefix of %q: %s by %s arrives %d times", day, name, by, got)
			}
		}
	}
}
