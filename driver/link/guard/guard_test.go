package guard

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/bpf"

	"github.com/gangway-net/gangway/integration/golden"
)

// assemble returns the program for userspace.
func assemble(t testing.TB, p Port) []bpf.Instruction {
	t.Helper()
	code, err := Program(p)
	if err != nil {
		t.Fatal(err)
	}
	raw := make([]bpf.RawInstruction, 0, len(code))
	for _, i := range code {
		raw = append(raw, bpf.RawInstruction{Op: i.Code, Jt: i.Jt, Jf: i.Jf, K: i.K})
	}
	list, whole := bpf.Disassemble(raw)
	if !whole {
		t.Fatal("the program has instructions that the library does not know")
	}
	return list
}

// judge runs a program. Anything but the two answers is a read past the end.
func judge(t testing.TB, list []bpf.Instruction, frame []byte) (passes bool) {
	t.Helper()
	vm, err := bpf.NewVM(list)
	if err != nil {
		t.Fatal(err)
	}
	verdict, err := vm.Run(frame)
	if err != nil {
		t.Fatal(err)
	}
	if verdict != actUnspec && verdict != actShot {
		t.Fatalf("%x: verdict %d", frame, verdict)
	}
	return verdict == actUnspec
}

// judgement is a frame that the container sends, and whether it passes.
type judgement struct {
	frame  []byte
	passes bool
}

func judgements4() map[string]judgement {
	return map[string]judgement{
		"IPv4 from its own address": {ip4Frame(own4), true},
		"from nowhere, as DHCP":     {ip4Frame(none4), true},
		"from link-local":           {ip4Frame(link4), true},
		"passed on":                 {ip4Frame(far4), true},
		"from the gateway's":        {ip4Frame(gate4), false},
		"from a neighbour's":        {ip4Frame(near4), false},
		"from nobody's":             {ip4Frame(netip.MustParseAddr("10.9.0.255")), false},
		"just outside":              {ip4Frame(netip.MustParseAddr("10.9.1.0")), true},
		"another MAC":               {ether(bridgeMAC, otherMAC, typeIPv4, packet4(own4)), false},
		"the bridge's MAC":          {ether(otherMAC, bridgeMAC, typeIPv4, packet4(own4)), false},
		"MAC differs at its end":    {ether(bridgeMAC, net.HardwareAddr{2, 0x42, 10, 9, 0, 9}, 0x88b5), false},
		"a packet cut short":        {ip4Frame(own4)[:network+19], false},
		"a frame cut short":         {ip4Frame(own4)[:13], false},
		"another protocol":          {ether(otherMAC, mac, 0x88b5, []byte("hello")), true},

		"ARP asks":                       {arpFrame(1, mac, own4), true},
		"ARP answers":                    {arpFrame(2, mac, own4), true},
		"ARP probe":                      {arpFrame(1, mac, none4), true},
		"ARP for link-local":             {arpFrame(2, mac, link4), true},
		"ARP answers for the gateway":    {arpFrame(2, mac, gate4), false},
		"gratuitous ARP for a neighbour": {arpFrame(1, mac, near4), false},
		"ARP in another's name":          {arpFrame(2, otherMAC, own4), false},
		"ARP cut short":                  {arpFrame(2, mac, own4)[:arpEnd-1], false},
		"ARP of another format":          {ether(everybody, mac, typeARP, []byte{0, 1, 8, 0, 8, 4}, arpOf(1, mac, own4, gate4)[6:]), false},

		"a second tag":      {ether(everybody, mac, 0x8100, []byte{0, 0, 8, 6}, arpOf(2, mac, gate4, own4)), false},
		"a provider's tag":  {ether(everybody, mac, 0x88a8, []byte{0, 0, 8, 6}, arpOf(2, mac, own4, own4)), false},
		"an old provider's": {ether(everybody, mac, 0x9100, []byte{0, 0, 8, 6}, arpOf(2, mac, own4, own4)), false},
	}
}

func judgements6() map[string]judgement {
	const ra, redirect, ns, na, rs = 134, 137, 135, 136, 133
	ll, otherLL, bridgeLL := linkLocal(mac), linkLocal(otherMAC), linkLocal(bridgeMAC)
	udp := make([]byte, 8)
	return map[string]judgement{
		"IPv6 from its own":   {ip6Frame(own6, 17, 64, udp), true},
		"its link-local":      {ip6Frame(ll, 17, 64, udp), true},
		"chosen link-local":   {ip6Frame(link6, 17, 64, udp), true},
		"IPv6 from nowhere":   {ip6Frame(none6, 17, 64, udp), true},
		"IPv6 passed on":      {ip6Frame(far6, 17, 64, udp), true},
		"IPv6 gateway":        {ip6Frame(gate6, 17, 64, udp), false},
		"IPv6 neighbour":      {ip6Frame(near6, 17, 64, udp), false},
		"neighbour's own LL":  {ip6Frame(otherLL, 17, 64, udp), false},
		"bridge's own LL":     {ip6Frame(bridgeLL, 17, 64, udp), false},
		"IPv6 cut short":      {ip6Frame(own6, 17, 64, nil)[:ip6End-1], false},
		"just outside, IPv6":  {ip6Frame(netip.MustParseAddr("fd09:0:0:1::2"), 17, 64, udp), true},
		"first words alike":   {ip6Frame(netip.MustParseAddr("fd09::1:0:2"), 17, 64, udp), false},
		"solicits":            {ndFrame(own6, ns, gate6), true},
		"solicits from LL":    {ndFrame(ll, ns, gate6), true},
		"asks before use":     {ndFrame(none6, ns, own6), true},
		"asks before use, LL": {ndFrame(none6, ns, ll), true},
		"disputes an address": {ndFrame(none6, ns, near6), false},
		"disputes a LL":       {ndFrame(none6, ns, otherLL), false},
		"advertises":          {ndFrame(own6, na, own6), true},
		"advertises its LL":   {ndFrame(own6, na, ll), true},
		"advertises another":  {ndFrame(own6, na, link6), true},
		"for the gateway":     {ndFrame(own6, na, gate6), false},
		"for the bridge":      {ndFrame(own6, na, bridgeLL), false},
		"for a neighbour":     {ndFrame(ll, na, near6), false},
		"target cut short":    {ndFrame(own6, na, own6)[:ndTargetEnd-1], false},
		"message cut short":   {ndFrame(own6, na, own6)[:ip6End+3], false},
		"router":              {ndFrame(ll, ra, own6), false},
		"redirect":            {ndFrame(ll, redirect, own6), false},
		"asks for routers":    {ndFrame(ll, rs, own6), true},
		"RA not believed":     {ip6Frame(ll, icmp6, 64, nd(ra, own6)), true},
		"ping, far":           {ip6Frame(own6, icmp6, 255, nd(128, own6)), true},

		"RA behind hop-by-hop":          {ip6Frame(ll, 0, 255, behind(icmp6, nd(ra, own6))), false},
		"RA behind destination options": {ip6Frame(ll, 60, 255, behind(icmp6, nd(ra, own6))), false},
		"RA in a fragment":              {ip6Frame(ll, fragment, 255, behind(icmp6, nd(ra, own6))), false},
		"RA behind both":                {ip6Frame(ll, fragment, 255, behind(60, behind(icmp6, nd(ra, own6)))), false},
		"fragment of a fragment":        {ip6Frame(ll, fragment, 255, behind(fragment, behind(icmp6, nd(ra, own6)))), false},
		"fragment cut short":            {ip6Frame(ll, fragment, 255, nil), false},
		"multicast DNS in fragments":    {ip6Frame(ll, fragment, 255, behind(17, udp)), true},
		"report of multicast":           {ip6Frame(ll, 0, 1, behind(icmp6, nd(143, own6))), true},
	}
}

func TestProgram(t *testing.T) {
	list := assemble(t, container())
	for _, tests := range []map[string]judgement{judgements4(), judgements6()} {
		for name, tt := range tests {
			if got := judge(t, list, tt.frame); got != tt.passes {
				t.Errorf("%s: passes %t, want %t: %x", name, got, tt.passes, tt.frame)
			}
		}
	}
}

// TestLinkLocalSubnet: the network's subnet is the one of which the kernel gives
// each interface an address, too.
func TestLinkLocalSubnet(t *testing.T) {
	p := container()
	p.Addresses[1] = netip.MustParseAddr("fe80::2")
	p.Reserved[1] = netip.MustParsePrefix("fe80::/64")
	list := assemble(t, p)
	udp := make([]byte, 8)
	for name, tt := range map[string]judgement{
		"its own":                 {ip6Frame(p.Addresses[1], 17, 64, udp), true},
		"the kernel's":            {ip6Frame(linkLocal(mac), 17, 64, udp), true},
		"passed on":               {ip6Frame(far6, 17, 64, udp), true},
		"from nowhere":            {ip6Frame(none6, 17, 64, udp), true},
		"outside of the subnet":   {ip6Frame(netip.MustParseAddr("fe80:0:0:1::2"), 17, 64, udp), true},
		"the gateway's":           {ip6Frame(netip.MustParseAddr("fe80::1"), 17, 64, udp), false},
		"a neighbour's":           {ip6Frame(netip.MustParseAddr("fe80::3"), 17, 64, udp), false},
		"a chosen one":            {ip6Frame(link6, 17, 64, udp), false},
		"a neighbour's kernel's":  {ip6Frame(linkLocal(otherMAC), 17, 64, udp), false},
		"the bridge's kernel's":   {ip6Frame(linkLocal(bridgeMAC), 17, 64, udp), false},
		"advertises its own":      {ndFrame(p.Addresses[1], 136, p.Addresses[1]), true},
		"advertises the kernel's": {ndFrame(linkLocal(mac), 136, linkLocal(mac)), true},
		"asks before use":         {ndFrame(none6, 135, linkLocal(mac)), true},
		"for the gateway":         {ndFrame(p.Addresses[1], 136, netip.MustParseAddr("fe80::1")), false},
		"for a neighbour":         {ndFrame(linkLocal(mac), 136, linkLocal(otherMAC)), false},
		"disputes a neighbour's":  {ndFrame(none6, 135, netip.MustParseAddr("fe80::3")), false},
	} {
		if got := judge(t, list, tt.frame); got != tt.passes {
			t.Errorf("%s: passes %t, want %t: %x", name, got, tt.passes, tt.frame)
		}
	}
}

func TestHostOnly(t *testing.T) {
	to := func(dst net.HardwareAddr, frame []byte) []byte { return join(dst, frame[6:]) }
	group := net.HardwareAddr{0x33, 0x33, 0xff, 0, 0, 1}
	tests := map[string]struct {
		frame []byte
		// passes for a container that may use its own addresses only, and free for
		// one that may claim to be anyone.
		passes, free bool
	}{
		"IPv4 to the host":               {ip4Frame(own4), true, true},
		"another's address, to the host": {ip4Frame(near4), false, true},
		"IPv4 to a neighbour":            {to(otherMAC, ip4Frame(own4)), false, false},
		"IPv4 to all":                    {to(everybody, ip4Frame(own4)), false, false},
		"IPv4 multicast":                 {to(net.HardwareAddr{1, 0, 0x5e, 0, 0, 1}, ip4Frame(own4)), false, false},
		"IPv6 to a neighbour":            {to(otherMAC, ip6Frame(own6, 17, 64, make([]byte, 8))), false, false},
		"IPv6 multicast":                 {to(allNodes, ip6Frame(own6, 17, 64, make([]byte, 8))), false, false},
		"ping of all":                    {to(allNodes, ip6Frame(own6, icmp6, 255, nd(128, own6))), false, false},
		"another protocol":               {ether(otherMAC, mac, 0x88b5, []byte("hello")), false, false},
		"another protocol, to all":       {ether(everybody, mac, 0x88b5, []byte("hello")), false, false},
		"another protocol, to the host":  {ether(bridgeMAC, mac, 0x88b5, []byte("hello")), true, true},
		"ARP to all":                     {arpFrame(1, mac, own4), true, true},
		"ARP to a neighbour":             {to(otherMAC, arpFrame(1, mac, own4)), false, false},
		"ARP for the gateway":            {arpFrame(2, mac, gate4), false, true},
		"solicits":                       {to(group, ndFrame(own6, 135, gate6)), true, true},
		"advertises":                     {ndFrame(own6, 136, own6), true, true},
		"advertises to a neighbour":      {to(otherMAC, ndFrame(own6, 136, own6)), false, false},
		"for the gateway":                {ndFrame(own6, 136, gate6), false, true},
		"no hop limit of ND":             {to(group, ip6Frame(own6, icmp6, 64, nd(135, gate6))), false, false},
		"router":                         {ndFrame(linkLocal(mac), 134, own6), false, false},
		"report of multicast":            {to(group, ip6Frame(own6, 0, 1, behind(icmp6, nd(143, own6)))), false, false},
		"cut short":                      {ndFrame(own6, 136, own6)[:ip6End+3], false, false},
		"half of the host's MAC":         {to(join(otherMAC[:4], bridgeMAC[4:]), ip4Frame(own4)), false, false},
		"the other half":                 {to(join(bridgeMAC[:4], otherMAC[4:]), ip4Frame(own4)), false, false},
		"nothing":                        {nil, false, false},
	}
	strict, free := isolated(), isolated()
	free.Reserved = nil
	for name, tt := range tests {
		if got := judge(t, assemble(t, strict), tt.frame); got != tt.passes {
			t.Errorf("%s: passes %t, want %t: %x", name, got, tt.passes, tt.frame)
		}
		if got := judge(t, assemble(t, free), tt.frame); got != tt.free {
			t.Errorf("%s without Reserved: passes %t, want %t: %x", name, got, tt.free, tt.frame)
		}
	}
}

// TestSubnets: a prefix may have any length, and an address outside of it is the
// container's all the same.
func TestSubnets(t *testing.T) {
	for bits := range 129 {
		p := container()
		p.Reserved = []netip.Prefix{netip.PrefixFrom(own6, bits).Masked()}
		list := assemble(t, p)
		if !judge(t, list, ip6Frame(own6, 17, 64, nil)) || !judge(t, list, ip4Frame(near4)) {
			t.Errorf("%s: own traffic is dropped", p.Reserved[0])
		}
		for bit := range 128 {
			b := own6.As16()
			b[bit/8] ^= 0x80 >> (bit % 8)
			if got := judge(t, list, ip6Frame(netip.AddrFrom16(b), 17, 64, nil)); got != (bit < bits) {
				t.Errorf("%s: from %s passes: %t", p.Reserved[0], netip.AddrFrom16(b), got)
			}
		}
	}
	for bits := range 33 {
		p := container()
		p.Reserved = []netip.Prefix{netip.PrefixFrom(own4, bits).Masked()}
		list := assemble(t, p)
		for bit := range 32 {
			b := own4.As4()
			b[bit/8] ^= 0x80 >> (bit % 8)
			if got := judge(t, list, ip4Frame(netip.AddrFrom4(b))); got != (bit < bits) {
				t.Errorf("%s: from %s passes: %t", p.Reserved[0], netip.AddrFrom4(b), got)
			}
		}
	}
	p := container()
	p.Addresses = []netip.Addr{far4, far6}
	list := assemble(t, p)
	for _, frame := range [][]byte{ip4Frame(own4), ip6Frame(own6, 17, 64, nil)} {
		if judge(t, list, frame) {
			t.Errorf("an address that is nobody's passes: %x", frame)
		}
	}
	if !judge(t, list, ip4Frame(far4)) || !judge(t, list, ip6Frame(far6, 17, 64, nil)) {
		t.Error("an address outside of the subnets is dropped")
	}
}

func TestRefused(t *testing.T) {
	for name, change := range map[string]func(*Port){
		"no MAC":        func(p *Port) { p.MAC = nil },
		"no bridge":     func(p *Port) { p.Bridge = nil },
		"second subnet": func(p *Port) { p.Reserved = append(p.Reserved, p.Reserved[0]) },
		"no subnet":     func(p *Port) { p.Reserved[0] = netip.Prefix{} },
	} {
		p := isolated()
		change(&p)
		if code, err := Program(p); err == nil || code != nil {
			t.Errorf("%s: %d instructions, error %v", name, len(code), err)
		}
	}
	if code, err := Program(Port{}); err != nil || code != nil {
		t.Errorf("nothing to filter: %d instructions, error %v", len(code), err)
	}
}

// TestGolden has a reader see what the kernel gets.
func TestGolden(t *testing.T) {
	ip4, free := container(), isolated()
	ip4.Addresses, ip4.Reserved = ip4.Addresses[:1], ip4.Reserved[:1]
	free.Reserved = nil
	for name, p := range map[string]Port{"dual-stack": container(), "ipv4": ip4, "host-only": isolated(), "host-only-free": free} {
		var b bytes.Buffer
		for i, in := range assemble(t, p) {
			fmt.Fprintf(&b, "%3d  %s\n", i, describe(i, in))
		}
		golden.Compare(t, filepath.Join("testdata", name+".golden"), b.String())
	}
}

// describe names the targets of jumps by their number.
func describe(at int, in bpf.Instruction) string {
	if j, ok := in.(bpf.JumpIf); ok {
		text := strings.Split(fmt.Sprint(in), ",")[0]
		return fmt.Sprintf("%s ? %d : %d", text, at+1+int(j.SkipTrue), at+1+int(j.SkipFalse))
	}
	return fmt.Sprint(in)
}

// claims lists the addresses that a frame claims for its sender, and says
// whether it is a router's or of a kind that could be anything. It follows the
// headers as a receiver does, and shares nothing with the program.
func claims(f []byte) (claimed []netip.Addr, router bool) {
	address := func(at, size int) {
		if a, ok := netip.AddrFromSlice(f[min(at, len(f)):min(at+size, len(f))]); ok {
			claimed = append(claimed, a)
		}
	}
	if len(f) < 14 {
		return nil, false
	}
	switch int(f[12])<<8 | int(f[13]) {
	case 0x0800:
		address(26, 4)
	case 0x0806:
		address(28, 4)
	case 0x8100, 0x88a8, 0x9100:
		return nil, true
	case 0x86dd:
		address(22, 16)
		at := message6(f)
		switch {
		case at == 0:
		case f[at] == 134, f[at] == 137:
			router = true
		case f[at] == 136, f[at] == 135 && claimed[0].IsUnspecified():
			address(at+8, 16)
		}
	}
	return claimed, router
}

// message6 finds the ICMPv6 message that nobody has passed on, 0 if there is
// none.
func message6(f []byte) int {
	if len(f) < 54 || f[21] != 255 {
		return 0
	}
	header, at := f[20], 54
	for slices.Contains([]byte{0, 43, 44, 51, 60, 135, 139, 140}, header) && len(f) >= at+8 {
		size := 8 + 8*int(f[at+1])
		switch header {
		case 44:
			size = 8
		case 51:
			size = 8 + 4*int(f[at+1])
		}
		header, at = f[at], at+size
	}
	if header != 58 || len(f) <= at {
		return 0
	}
	return at
}

func mayClaim(p Port, a netip.Addr) bool {
	if slices.Contains(p.Addresses, a) || a.IsUnspecified() {
		return true
	}
	if b := a.As16(); a.Is6() && netip.MustParsePrefix("fe80::/64").Contains(a) && b[11] == 0xff && b[12] == 0xfe {
		return a == linkLocal(p.MAC)
	}
	return !slices.ContainsFunc(p.Reserved, func(s netip.Prefix) bool { return s.Contains(a) })
}

// FuzzFrames: whatever a container sends, no claim to another's address passes;
// whatever it sends in its own name does, as long as it is no message about the
// link itself.
func FuzzFrames(f *testing.F) {
	for _, frame := range [][]byte{
		nil, ip4Frame(gate4), arpFrame(2, mac, gate4), ip6Frame(near6, 17, 64, nil), ndFrame(own6, 136, gate6), ndFrame(none6, 135, near6),
		ndFrame(own6, 134, own6), ip6Frame(own6, 44, 255, behind(icmp6, nd(134, own6))), ip6Frame(own6, 0, 255, behind(60, behind(icmp6, nd(136, gate6)))),
	} {
		f.Add(frame, uint8(24), uint8(64))
	}
	f.Fuzz(func(t *testing.T, frame []byte, bits4, bits6 uint8) {
		for _, p := range []Port{container(), isolated()} {
			// Link-local addresses are in no subnet (see config.CheckSubnet).
			p.Reserved = []netip.Prefix{netip.PrefixFrom(own4, int(bits4)%33).Masked(), netip.PrefixFrom(own6, 8+int(bits6)%121).Masked()}
			list := assemble(t, p)
			if judge(t, list, frame) {
				claimed, router := claims(frame)
				if router || slices.ContainsFunc(claimed, func(a netip.Addr) bool { return !mayClaim(p, a) }) {
					t.Errorf("passes: %x claims %v, router %t", frame, claimed, router)
				}
				if p.HostOnly && !bytes.HasPrefix(frame, bridgeMAC) && frame[0]&1 == 0 {
					t.Errorf("reaches a neighbour: %x", frame)
				}
			}
			for name, own := range map[string][]byte{
				"IPv4": ip4Frame(own4), "IPv6": ip6Frame(own6, 17, 64, nil), "ICMPv6": ip6Frame(linkLocal(mac), icmp6, 64, nil),
				"other": ether(bridgeMAC, mac, 0x88b5),
			} {
				if !judge(t, list, append(own, frame...)) {
					t.Errorf("own traffic is dropped: %s, %x", name, frame)
				}
			}
		}
	})
}
