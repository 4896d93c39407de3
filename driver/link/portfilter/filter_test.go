package portfilter

import (
	"net"
	"net/netip"
	"path/filepath"
	"testing"

	"golang.org/x/net/bpf"

	"github.com/gangway-net/gangway/integration/golden"
)

func assemble(t testing.TB, p Port) []bpf.Instruction {
	t.Helper()
	code, err := Program(p)
	if err != nil {
		t.Fatal(err)
	}
	list, whole := bpf.Disassemble(code)
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
	if verdict != actUnspec && verdict != actShot && verdict != actStolen {
		t.Fatalf("%x: verdict %d", frame, verdict)
	}
	return verdict == actUnspec
}

func TestProgram(t *testing.T) {
	list := assemble(t, container())
	for _, tests := range judgements() {
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

// TestReach: no program is so long that a jump does not reach its end, whatever
// the subnets are.
func TestReach(t *testing.T) {
	for _, own := range []netip.Addr{own6, netip.MustParseAddr("fe80::2")} {
		for bits := range 129 {
			p := isolated()
			p.Addresses[1] = own
			p.Reserved[1] = netip.PrefixFrom(own, bits).Masked()
			if list := assemble(t, p); !judge(t, list, ip6Frame(own, tcp, 64, nil)) || judge(t, list, ndFrame(own, 136, linkLocal(bridgeMAC))) {
				t.Errorf("%s is not as others", p.Reserved[1])
			}
		}
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
}

// TestGolden has a reader see what the kernel gets.
func TestGolden(t *testing.T) {
	ip4, free := container(), isolated()
	ip4.Addresses, ip4.Reserved = ip4.Addresses[:1], ip4.Reserved[:1]
	free.Reserved = nil
	for name, p := range map[string]Port{"dual-stack": container(), "ipv4": ip4, "host-only": isolated(), "host-only-free": free, "free": {}} {
		code, err := Program(p)
		if err != nil {
			t.Fatal(err)
		}
		golden.Compare(t, filepath.Join("testdata", name+".golden"), golden.Program(t, code))
	}
}
