package policy

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/config"
)

func of(t *testing.T, texts config.Policy) Policy {
	t.Helper()
	p, err := Of(texts)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestDecide: what policies mean, word by word.
func TestDecide(t *testing.T) {
	for name, c := range map[string]struct {
		texts           config.Policy
		yes, no         []string // destinations
		hostYes, hostNo []uint16 // TCP ports of the host
	}{
		"nothing":         {config.Policy{}, []string{"1.2.3.4", "10.0.0.1", "169.254.169.254"}, nil, []uint16{22}, nil},
		"deny":            {config.Policy{Egress: "deny"}, nil, []string{"1.2.3.4", "10.0.0.1", "2600::1"}, []uint16{53}, []uint16{22}},
		"internet":        {config.Policy{Egress: "internet"}, []string{"1.2.3.4", "2600::1", "64:ff9b::102:304"}, []string{"10.0.0.1", "100.64.0.1", "169.254.169.254", "168.63.129.16", "224.0.0.1", "255.255.255.255", "fd00::1", "2001:db8::1", "2002:102:304::1", "64:ff9b::a00:1", "::ffff:1.2.3.4", "fec0::1", "4000::1"}, []uint16{53}, []uint16{22}},
		"allow":           {config.Policy{Egress: "deny", Allow: "10.0.0.0/8,host:8080"}, []string{"10.9.9.9"}, []string{"11.0.0.1", "64:ff9b::a00:1"}, []uint16{53, 8080}, []uint16{22}},
		"deny goes first": {config.Policy{Egress: "open", Deny: "10.0.0.0/8,host:22", Allow: "none"}, []string{"11.0.0.1"}, []string{"10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::1", "::ffff:10.0.0.1"}, []uint16{80}, []uint16{22}},
		"metadata":        {config.Policy{Egress: "deny", Allow: "lan"}, []string{"192.168.1.1", "169.254.1.1", "fd00::1"}, []string{"169.254.169.254", "fd00:ec2::254"}, nil, nil},
		"no host":         {config.Policy{Host: "none"}, []string{"1.2.3.4"}, nil, nil, []uint16{53, 22}},
		"unread":          {config.Policy{Egress: "open", Allow: "what"}, nil, []string{"1.2.3.4"}, nil, []uint16{53}},
	} {
		p, err := Of(c.texts)
		if (err != nil) != (name == "unread") {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range []bool{true, false} {
			for _, to := range map[bool][]string{true: c.yes, false: c.no}[want] {
				if p.Decide(Packet{To: netip.MustParseAddr(to), Proto: 6, Port: 443}, false) != want {
					t.Errorf("%s: %s: %t", name, to, !want)
				}
			}
			for _, port := range map[bool][]uint16{true: c.hostYes, false: c.hostNo}[want] {
				if p.Decide(Packet{To: netip.MustParseAddr("8.8.8.8"), Proto: 6, Port: port}, true) != want {
					t.Errorf("%s: host port %d: %t", name, port, !want)
				}
			}
		}
	}
}

// TestAdmits: who may come, for all ports and for some; what comes from other networks of
// Gangway is not the LAN.
func TestAdmits(t *testing.T) {
	p := of(t, config.Policy{Ingress: "lan,443=any,22/tcp=10.8.0.0/24,25=none,5432=network:app", Networks: "app gw-a 10.7.0.0/24"})
	for _, c := range []struct {
		from  string
		proto uint8
		port  uint16
		near  bool
		want  bool
	}{
		{"192.168.1.5", 6, 80, false, true}, {"1.2.3.4", 6, 80, false, false}, {"1.2.3.4", 17, 443, false, true}, {"192.168.1.5", 6, 80, true, false},
		{"10.8.0.9", 6, 22, false, true}, {"10.8.0.9", 6, 22, true, true}, {"192.168.1.5", 6, 22, false, false}, {"192.168.1.5", 17, 22, false, true},
		{"10.7.0.2", 6, 5432, true, true}, {"10.7.0.2", 6, 5433, true, false}, {"10.7.0.2", 6, 5432, false, false}, {"192.168.1.5", 6, 5432, false, false},
		{"192.168.1.5", 6, 25, false, false}, {"192.168.1.5", 1, 0, false, true}, {"1.2.3.4", 1, 0, false, false}, {"172.18.0.2", 6, 443, true, true},
	} {
		if got := p.Admits(Packet{From: netip.MustParseAddr(c.from), Proto: c.proto, Port: c.port, Near: c.near}); got != c.want {
			t.Errorf("%+v: %t", c, got)
		}
	}
}

// TestCheck: what can never match and what contradicts itself is refused, and named.
func TestCheck(t *testing.T) {
	for _, c := range []struct {
		texts     config.Policy
		four, six bool
		want      string
	}{
		{config.Policy{}, true, false, ""},
		{config.Policy{Egress: "deny", Allow: "10.0.0.1:80", Deny: "10.0.0.1:22"}, true, true, ""},
		{config.Policy{Allow: "10.0.0.1"}, true, true, "gangway.egress allows everything"},
		{config.Policy{Egress: "deny", Allow: "2001:db8::1"}, true, false, "2001:db8::1, which can never match: the network has no IPv6"},
		{config.Policy{Deny: "10.0.0.1"}, false, true, "has no IPv4"},
		{config.Policy{Ingress: "443=2001:db8::/32"}, true, false, "gangway.ingress has 443=2001:db8::/32"},
		{config.Policy{Egress: "deny", Allow: "10.0.0.1:80/tcp", Deny: "private"}, true, true, "gangway.egress.deny has private"},
		{config.Policy{Egress: "deny", Allow: "10.0.0.1:80-90/tcp", Deny: "10.0.0.0/8:1-100"}, true, true, "can never match"},
		{config.Policy{Egress: "deny", Allow: "10.0.0.1:80/tcp", Deny: "10.0.0.0/8:80/udp"}, true, true, ""},
		{config.Policy{Egress: "deny", Allow: "10.0.0.1", Deny: "10.0.0.0/8:80"}, true, true, ""},
		{config.Policy{Egress: "deny", Allow: "host:80", Deny: "host"}, true, true, "can never match"},
		{config.Policy{Allow: "network:db:5432"}, true, true, ""},
		{config.Policy{Allow: "10.0.0.1,network:db:5432"}, true, true, "gangway.egress.allow has 10.0.0.1, and"},
		{config.Policy{Egress: "deny", Allow: "network:db", Deny: "network:db:22", Networks: someNetworks}, true, true, ""},
		{config.Policy{Egress: "deny", Allow: "network:gone:22", Deny: "network:gone"}, true, true, "can never match"},
		{config.Policy{Egress: "deny", Allow: "network:gone:22", Deny: "10.0.0.0/8"}, true, false, ""},
		{config.Policy{Egress: "deny", Allow: "network:db", Deny: "1.0.0.0/8,2600::/16", Networks: someNetworks}, true, true, ""},
		{config.Policy{Egress: "deny", Allow: "network:db", Deny: "1.2.0.0/15,1.0.0.0/15,2600::/16", Networks: "db gw-b 1.2.0.0/16"}, true, true, "can never match"},
	} {
		err := of(t, c.texts).Check(c.four, c.six)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v, want %q", c.texts, err, c.want)
		}
	}
}

// someNetworks are those that tests name; network:gone is not there.
const someNetworks = "db gw-b 1.2.0.0/16 2600::/32\nsix gw-6 2600:0:1::/48"

// TestCompile: the sets mean what the policy does, for policies and packets at random, and
// no two parts of a set overlap: the kernel takes none that do.
func TestCompile(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 18))
	pick := func(of ...string) string { return of[rnd.IntN(len(of))] }
	who := []string{"1.2.3.4", "1.2.3.0/24", "1.2.0.0/16", "0.0.0.0/1", "255.0.0.0/8", "10.0.0.0/8", "[2600::1]", "[2600::/32]", "[ff00::/8]", "[8000::/1]", "private", "internet", "lan", "host", "network:db", "network:six", "network:gone"}
	addrs := []string{"1.2.3.4", "1.2.3.255", "1.2.4.0", "9.9.9.9", "10.0.0.1", "255.255.255.255", "223.255.255.255", "2600::1", "2600:0:1::", "2601::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fd00::1", "::ffff:1.2.3.4", "64:ff9b::a00:1"}
	list := func() string {
		var all []string
		for range rnd.IntN(6) {
			all = append(all, pick(who...)+pick("", "", ":80", ":1-100", ":50-200/tcp", "/udp", ":65535", ":443/sctp"))
		}
		return strings.Join(append(all, "9.9.9.8:1"), ",")
	}
	for range 60 {
		var in []string
		for range rnd.IntN(5) {
			in = append(in, pick("", "80=", "1-100/tcp=", "443=")+pick("1.2.3.4", "1.2.0.0/16", "10.0.0.0/8", "lan", "internet", "network:db", "network:six", "network:gone"))
		}
		texts := config.Policy{Egress: pick(config.Egresses()...), Allow: list(), Deny: list(), Host: pick("any", "none", "dns", "1-100,90-120/tcp"), Ingress: pick("any", "none", strings.Join(append(in, "9.9.9.9"), ",")), Networks: someNetworks}
		p := of(t, texts)
		c := p.Compile()
		apart(t, texts, c)
		for range 50 {
			packet := Packet{
				From: netip.MustParseAddr(pick(addrs...)), To: netip.MustParseAddr(pick(addrs...)), Proto: []uint8{6, 17, 132, 1}[rnd.IntN(4)],
				Port: []uint16{1, 53, 80, 95, 150, 443, 65535}[rnd.IntN(7)], Near: rnd.IntN(2) == 0,
			}
			if packet.Proto == 1 {
				packet.Port = 0
			}
			for _, host := range []bool{false, true} {
				if got, want := decides(&c, packet, host), p.Decide(packet, host); got != want {
					t.Fatalf("%+v: %+v, host %t: %t by the sets, %t by the policy", texts, packet, host, got, want)
				}
			}
			if got, want := admits(&c, packet), p.Admits(packet); got != want {
				t.Fatalf("%+v: %+v comes in: %t by the sets, %t by the policy", texts, packet, got, want)
			}
		}
	}
}

// TestJudge: a flow is forbidden if its first packet would be.
func TestJudge(t *testing.T) {
	subnet := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/24")}
	j := NewJudge([]Binding{
		{NetworkID: "n", Bridge: "gw", Subnets: subnet, Texts: config.Policy{Egress: "deny", Allow: "1.2.3.4:443", Ingress: "10.9.0.0/24", Host: "none"}},
		{NetworkID: "n", EndpointID: "e", Bridge: "gw", Subnets: subnet, Addrs: []netip.Addr{netip.MustParseAddr("10.1.0.9")}},
		{NetworkID: "n", EndpointID: "a", Bridge: "gw", Subnets: subnet, Addrs: []netip.Addr{netip.MustParseAddr("10.1.0.8")}, Texts: config.Policy{Egress: "deny", Ingress: "none", Mode: "audit"}},
	}, subnet)
	host := func(a netip.Addr) bool { return slices.Contains([]string{"10.1.0.1", "192.0.2.1"}, a.String()) }
	for _, c := range []struct {
		from, to, answers string
		port              uint16
		want              bool
	}{
		{"10.1.0.2", "1.2.3.4", "1.2.3.4", 443, false}, {"10.1.0.2", "1.2.3.4", "1.2.3.4", 80, true}, {"10.1.0.9", "1.2.3.4", "1.2.3.4", 80, false}, {"10.1.0.8", "1.2.3.4", "1.2.3.4", 80, false},
		{"10.1.0.2", "10.1.0.3", "10.1.0.3", 80, false}, {"10.1.0.2", "10.1.0.1", "10.1.0.1", 80, true}, {"10.1.0.2", "192.0.2.1", "10.2.0.2", 80, true},
		{"10.9.0.5", "192.0.2.1", "10.1.0.2", 80, false}, {"10.8.0.5", "192.0.2.1", "10.1.0.2", 80, true}, {"10.8.0.5", "192.0.2.1", "10.1.0.9", 80, false}, {"192.0.2.1", "10.1.0.2", "10.1.0.2", 80, false}, {"10.8.0.5", "9.9.9.9", "9.9.9.9", 80, false},
	} {
		f := Flow{From: netip.MustParseAddr(c.from), To: netip.MustParseAddr(c.to), Answers: netip.MustParseAddr(c.answers), Proto: 6, Port: c.port}
		if got := j.Forbids(f, host); got != c.want {
			t.Errorf("%+v: forbidden: %t", c, got)
		}
	}
}

// apart demands that no two parts of a set overlap.
func apart(t *testing.T, texts config.Policy, c Compiled) {
	t.Helper()
	for _, a := range []Access{c.Deny, c.Allow, c.OwnFrom, c.From, c.NearOwn, c.Near} {
		for i, x := range a.Ports {
			for _, y := range a.Ports[:i] {
				if x.Proto == y.Proto && x.Addrs.Overlaps(y.Addrs) && x.First <= y.Last && y.First <= x.Last {
					t.Fatalf("%+v: %v and %v overlap", texts, x, y)
				}
			}
		}
	}
}
