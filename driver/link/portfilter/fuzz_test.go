package portfilter

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
)

// claim is what a frame says of its sender.
type claim struct {
	// used are the addresses that it uses or disputes, remembered those that
	// neighbours or routers take down as its.
	used, remembered []netip.Addr
	// router says that it is a router's, or of a kind that could be anything, and
	// answer that clients of DHCP on the host read it.
	router, answer bool
}

// claims reads a frame. It follows the headers as a receiver does, and shares
// nothing with the program.
func claims(f []byte) (c claim) {
	if len(f) < 14 {
		return c
	}
	switch int(f[12])<<8 | int(f[13]) {
	case 0x0800:
		c.used = addressAt(f, 26, 4)
		c.answer = answer4of(f)
	case 0x0806:
		c.used = addressAt(f, 28, 4)
		if !linkLocalPair(f) {
			c.remembered = c.used
		}
	case 0x8100, 0x88a8, 0x9100:
		c.router = true
	case 0x86dd:
		c.used = addressAt(f, 22, 16)
		c.answer = answer6of(f)
		c.message(f)
	}
	return c
}

// message reads the ICMPv6 message that nobody has passed on, if there is one.
func (c *claim) message(f []byte) {
	header, at, _ := headers6(f)
	if header != 58 || len(f) <= at || f[21] != 255 {
		return
	}
	switch f[at] {
	case 134, 137:
		c.router = true
	case 133:
		c.remembered = slices.Clone(c.used)
	case 135:
		c.remembered = slices.Clone(c.used)
		if c.used[0].IsUnspecified() {
			c.used = append(c.used, addressAt(f, at+8, 16)...)
		}
	case 136:
		c.remembered = append(slices.Clone(c.used), addressAt(f, at+8, 16)...)
	}
}

func addressAt(f []byte, at, size int) []netip.Addr {
	if a, ok := netip.AddrFromSlice(f[min(at, len(f)):min(at+size, len(f))]); ok {
		return []netip.Addr{a}
	}
	return nil
}

func linkLocalPair(f []byte) bool {
	return len(f) >= 42 && bytes.Equal(f[28:30], []byte{169, 254}) && bytes.Equal(f[38:40], []byte{169, 254})
}

// headers6 finds what a packet of IPv6 carries, the first fragment of it, and how
// many headers are before that. The header is -1 for a later fragment.
func headers6(f []byte) (header, at, passed int) {
	if len(f) < 54 {
		return -1, 0, 0
	}
	header, at = int(f[20]), 54
	for slices.Contains([]int{0, 43, 44, 51, 60, 135, 139, 140}, header) && len(f) >= at+8 {
		size := 8 + 8*int(f[at+1])
		switch header {
		case 44:
			size = 8
			if f[at+2] != 0 || f[at+3]&0xf8 != 0 {
				return -1, 0, 0
			}
		case 51:
			size = 8 + 4*int(f[at+1])
		}
		header, at, passed = int(f[at]), at+size, passed+1
	}
	return header, at, passed
}

func portAt(f []byte, at, port int) bool {
	return len(f) >= at+2 && int(f[at])<<8|int(f[at+1]) == port
}

// answer4of says whether a client of DHCP reads the packet: one that looks at
// fixed places, or one behind the kernel.
func answer4of(f []byte) bool {
	return len(f) >= 38 && f[23] == 17 && f[20]&0x1f == 0 && f[21] == 0 && (portAt(f, 36, 68) || portAt(f, 14+4*int(f[14]&15)+2, 68))
}

// answer6of is the same for IPv6. What is behind more than one header counts if
// it is for a link-local address.
func answer6of(f []byte) bool {
	header, at, passed := headers6(f)
	simple := passed == 0 || passed == 1 && f[20] != 51
	return header == 17 && portAt(f, at+2, 546) && (simple || f[38] == 0xfe && f[39]&0xc0 == 0x80)
}

func mayUse(p Port, a netip.Addr) bool {
	if slices.Contains(p.Addresses, a) || a.IsUnspecified() {
		return true
	}
	if b := a.As16(); a.Is6() && netip.MustParsePrefix("fe80::/64").Contains(a) && b[11] == 0xff && b[12] == 0xfe {
		return a == linkLocal(p.MAC)
	}
	return !slices.ContainsFunc(p.Reserved, func(s netip.Prefix) bool { return s.Contains(a) })
}

// mayClaim says of which addresses neighbours may remember that they are the
// container's: sixteen beside its own.
func mayClaim(p Port, a netip.Addr) bool {
	low := a.Is6() && netip.MustParsePrefix("fe80::/124").Contains(a)
	return mayUse(p, a) && (slices.Contains(p.Addresses, a) || a.IsUnspecified() || a == linkLocal(p.MAC) || low)
}

// FuzzFrames: whatever a container sends, no claim to another's address passes,
// and nothing that neighbours remember it by but its own; whatever it sends in its
// own name does, as long as it is no message about the link itself.
func FuzzFrames(f *testing.F) {
	for _, tests := range judgements() {
		for _, tt := range tests {
			f.Add(tt.frame, uint8(24), uint8(64))
		}
	}
	f.Add([]byte(nil), uint8(24), uint8(64))
	f.Fuzz(func(t *testing.T, frame []byte, bits4, bits6 uint8) {
		for _, p := range []Port{container(), isolated()} {
			// Link-local subnets have a test of their own.
			p.Reserved = []netip.Prefix{netip.PrefixFrom(own4, int(bits4)%33).Masked(), netip.PrefixFrom(own6, 8+int(bits6)%121).Masked()}
			list := assemble(t, p)
			if judge(t, list, frame) {
				mustBeOwn(t, p, frame)
			}
			for name, own := range map[string][]byte{
				"IPv4": ip4Frame(own4), "IPv6": ip6Frame(own6, 17, 64, nil), "ICMPv6": ip6Frame(linkLocal(mac), icmp6, 64, nil),
				"other": ether(bridgeMAC, mac, 0x88b5),
			} {
				own = append(own, frame...)
				if c := claims(own); !c.answer && !judge(t, list, own) {
					t.Errorf("own traffic is dropped: %s, %x", name, frame)
				}
			}
		}
	})
}

// mustBeOwn looks at a frame that passes.
func mustBeOwn(t *testing.T, p Port, frame []byte) {
	t.Helper()
	c := claims(frame)
	if c.router || c.answer || slices.ContainsFunc(c.used, func(a netip.Addr) bool { return !mayUse(p, a) }) ||
		slices.ContainsFunc(c.remembered, func(a netip.Addr) bool { return !mayClaim(p, a) }) {
		t.Errorf("passes: %x claims %+v", frame, c)
	}
	if bytes.HasPrefix(frame, []byte{1, 0x80, 0xc2, 0, 0}) && frame[5] < 16 {
		t.Errorf("reaches the host by the port itself: %x", frame)
	}
	if p.HostOnly && !bytes.HasPrefix(frame, bridgeMAC) && frame[0]&1 == 0 {
		t.Errorf("reaches a neighbour: %x", frame)
	}
}

// TestLinkLocalSubnets: in a network of link-local addresses the container has
// its own, and the one that its kernel makes.
func TestLinkLocalSubnets(t *testing.T) {
	router4, other4, me4 := netip.MustParseAddr("169.254.170.1"), netip.MustParseAddr("169.254.9.9"), netip.MustParseAddr("169.254.170.2")
	router6, me6 := netip.MustParseAddr("fe80::1"), netip.MustParseAddr("fe80::2")
	p := Port{MAC: mac, Addresses: []netip.Addr{me4, me6}, Reserved: []netip.Prefix{netip.PrefixFrom(me4, 24).Masked(), netip.PrefixFrom(me6, 64).Masked()}}
	list := assemble(t, p)
	for name, tt := range map[string]judgement{
		"asks":                     {ether(everybody, mac, typeARP, arpOf(1, mac, me4, router4)), true},
		"asks in the gateway's":    {ether(everybody, mac, typeARP, arpOf(1, mac, router4, me4)), false},
		"asks in any other's":      {ether(everybody, mac, typeARP, arpOf(1, mac, other4, router4)), false},
		"sends":                    {ip4Frame(me4), true},
		"sends as the gateway":     {ip4Frame(router4), false},
		"solicits":                 {ndFrame(me6, 135, router6), true},
		"solicits from its MAC's":  {ndFrame(linkLocal(mac), 135, router6), true},
		"solicits as the gateway":  {ndFrame(router6, 135, me6), false},
		"solicits from a low one":  {ndFrame(netip.MustParseAddr("fe80::7"), 135, router6), false},
		"solicits from another's":  {ndFrame(linkLocal(otherMAC), 135, router6), false},
		"advertises":               {ndFrame(me6, 136, me6), true},
		"advertises its MAC's":     {ndFrame(me6, 136, linkLocal(mac)), true},
		"advertises the gateway":   {ndFrame(me6, 136, router6), false},
		"asks before it uses that": {ndFrame(none6, 135, linkLocal(mac)), true},
	} {
		if got := judge(t, list, tt.frame); got != tt.passes {
			t.Errorf("%s: passes %t, want %t: %x", name, got, tt.passes, tt.frame)
		}
	}
}
