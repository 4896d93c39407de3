package policy

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/config"
)

// TestWhy: the reason agrees with the verdict, and is an entry that users can find in what
// they wrote.
func TestWhy(t *testing.T) {
	p := of(t, config.Policy{Egress: "internet", Allow: "10.0.0.0/8:443/tcp,10.0.0.1,host:8080", Deny: "metadata,1.2.3.4:25", Host: "dns", Ingress: "lan,8443/tcp=10.8.0.0/24"})
	for _, c := range []struct {
		to   string
		port uint16
		host bool
		want string
	}{
		{"10.0.0.1", 443, false, "true gangway.egress.allow=10.0.0.1"}, {"10.0.0.2", 443, false, "true gangway.egress.allow=10.0.0.0/8:443/tcp"},
		{"10.0.0.2", 80, false, "false gangway.egress=internet"}, {"9.9.9.9", 80, false, "true gangway.egress=internet"},
		{"1.2.3.4", 25, false, "false gangway.egress.deny=1.2.3.4:25"}, {"169.254.169.254", 80, false, "false gangway.egress.deny=metadata"},
		{"192.0.2.1", 53, true, "true gangway.host=dns"}, {"192.0.2.1", 8080, true, "true gangway.egress.allow=host:8080"}, {"192.0.2.1", 22, true, "false gangway.host=dns"},
	} {
		v := p.Why(Packet{To: netip.MustParseAddr(c.to), Proto: 6, Port: c.port}, c.host)
		if got := fmt.Sprint(v.Passes, " ", v.By); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
	for from, want := range map[string]string{
		"192.168.1.9 80": "true gangway.ingress=lan", "9.9.9.9 80": "false gangway.ingress=lan,8443/tcp=10.8.0.0/24",
		"10.8.0.3 8443": "true gangway.ingress=8443/tcp=10.8.0.0/24", "192.168.1.9 8443": "false gangway.ingress=lan,8443/tcp=10.8.0.0/24",
	} {
		var port uint16
		addr, text, _ := strings.Cut(from, " ")
		_, _ = fmt.Sscan(text, &port)
		v := p.WhyAdmitted(Packet{From: netip.MustParseAddr(addr), Proto: 6, Port: port})
		if got := fmt.Sprint(v.Passes, " ", v.By); got != want {
			t.Errorf("from %s: %s, want %s", from, got, want)
		}
	}
	long := of(t, config.Policy{Ingress: strings.TrimSuffix(strings.Repeat("192.0.2.0/24,198.51.100.0/24,", 9), ",")}).Otherwise(OptionIngress)
	if len(long.Value) > longestValue+len("…") || !strings.HasSuffix(long.Value, "…") {
		t.Errorf("a long list is told as %q", long.Value)
	}
}

// TestWhyDecides: the reason's verdict is Decide's and Admits', at random, and the sets of Compile
// know the same entry.
func TestWhyDecides(t *testing.T) {
	rnd := rand.New(rand.NewPCG(2, 18))
	pick := func(of ...string) string { return of[rnd.IntN(len(of))] }
	list := func(who ...string) string {
		var all []string
		for range 1 + rnd.IntN(5) {
			all = append(all, pick(who...)+pick("", ":80", ":1-100", ":50-200/tcp", "/udp"))
		}
		return strings.Join(all, ",")
	}
	who := []string{"1.2.3.4", "1.2.3.5", "1.2.3.0/24", "1.2.0.0/16", "10.0.0.0/8", "[2600::1]", "[2600::/32]", "private", "internet", "host"}
	for range 300 {
		texts := config.Policy{
			Egress: pick(config.Egresses()...), Allow: list(who...), Deny: pick("none", list(who[:4]...)), Host: pick("any", "none", "dns", "1-100,90-120/tcp"),
			Ingress: pick("any", "none", "lan,80=1.2.3.4", "1.2.3.4,1-100=1.2.0.0/16,80/tcp=any", "internet"),
		}
		p := of(t, texts)
		c := p.Compile()
		for range 60 {
			packet := Packet{
				From: netip.MustParseAddr(pick("1.2.3.4", "1.2.9.9", "192.168.0.1", "2600::1")), To: netip.MustParseAddr(pick("1.2.3.4", "1.2.3.5", "1.2.4.1", "10.1.1.1", "2600::1", "2600::2", "fd00::1")),
				Proto: []uint8{6, 17, 1}[rnd.IntN(3)], Port: []uint16{1, 53, 80, 95, 150}[rnd.IntN(5)], Near: rnd.IntN(2) == 0,
			}
			if packet.Proto == 1 {
				packet.Port = 0
			}
			for _, host := range []bool{false, true} {
				v := p.Why(packet, host)
				if v.Passes != decides(&c, packet, host) {
					t.Fatalf("%+v: %+v, host %t: %+v", texts, packet, host, v)
				}
				if by := entryOf(c, packet, host); by != (Entry{}) && by != v.By {
					t.Fatalf("%+v: %+v, host %t: %s by the sets, %s by the policy", texts, packet, host, by, v.By)
				}
			}
			if v := p.WhyAdmitted(packet); v.Passes != admits(&c, packet) {
				t.Fatalf("%+v: %+v comes in: %+v", texts, packet, v)
			}
		}
	}
}

// entryOf is the entry of the set that a packet is found in.
func entryOf(c Compiled, p Packet, host bool) Entry {
	find := func(a Access) Entry {
		for i, r := range a.Any {
			if r.Contains(p.To) {
				return a.AnyBy[i]
			}
		}
		for i, r := range a.Ports {
			if r.Addrs.Contains(p.To) && inSpans([]PortSpan{r.PortSpan}, p) {
				return a.PortsBy[i]
			}
		}
		return Entry{}
	}
	if by := find(c.Deny); by != (Entry{}) {
		return by
	}
	if !host {
		return find(c.Allow)
	}
	for _, l := range []struct {
		spans []PortSpan
		by    []Entry
	}{{c.HostDeny, c.HostDenyBy}, {c.HostAllow, c.HostAllowBy}} {
		if c.NoHost || c.WholeHost {
			return Entry{}
		}
		for i, s := range l.spans {
			if inSpans([]PortSpan{s}, p) {
				return l.by[i]
			}
		}
	}
	return Entry{}
}

// TestAskedBy: who may ask for ports, in the words of the option.
func TestAskedBy(t *testing.T) {
	for _, c := range []struct {
		ingress     string
		first, last uint16
		want        string
	}{
		{"any", 80, 80, ""}, {"none", 80, 80, "none"}, {"lan,10.8.0.0/24", 80, 80, "lan,10.8.0.0/24"}, {"lan,443=any", 443, 443, "any"}, {"lan,443=any", 80, 80, "lan"},
		{"lan,443/udp=any", 443, 443, "lan"}, {"lan,8000-8010=10.8.0.0/24", 8001, 8005, "10.8.0.0/24"}, {"lan,8001=10.8.0.0/24", 8000, 8005, "8001=10.8.0.0/24,lan"},
		{"443=any", 80, 80, "none"},
	} {
		if got := strings.Join(of(t, config.Policy{Ingress: c.ingress}).AskedBy(6, c.first, c.last), ","); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
	if got := of(t, config.Policy{Ingress: "none", Mode: "audit"}).AskedBy(6, 1, 2); got != nil {
		t.Errorf("in audit: %v", got)
	}
}

// TestCure: what would let a packet pass, does.
func TestCure(t *testing.T) {
	packet := Packet{From: netip.MustParseAddr("10.8.0.5"), To: netip.MustParseAddr("fd00::9"), Proto: 6, Port: 443}
	for by, want := range map[Entry]string{
		{OptionEgress, "deny"}: "add [fd00::9]:443/tcp to gangway.egress.allow", {OptionDeny, "lan"}: "take lan out of gangway.egress.deny",
		{OptionHost, "none"}: "add 443/tcp to gangway.host", {OptionIngress, "lan"}: "add 10.8.0.5 to gangway.ingress",
	} {
		if got := (Verdict{By: by}).Cure(packet); got != want {
			t.Errorf("%s: %q", by, got)
		}
	}
	packet.Proto, packet.Port = 58, 0
	if got := (Verdict{By: Entry{OptionEgress, "deny"}}).Cure(packet); got != "add fd00::9 to gangway.egress.allow" {
		t.Errorf("without ports: %q", got)
	}
	if got := (Verdict{By: Entry{OptionHost, "none"}}).Cure(packet); !strings.HasPrefix(got, "gangway.host=any") {
		t.Errorf("without ports, to the host: %q", got)
	}
}

// TestOrderOfUses: entries stand as the policy has them, also those that have decided nothing.
func TestOrderOfUses(t *testing.T) {
	p := of(t, config.Policy{Egress: "internet", Allow: "10.0.0.1:80", Deny: "metadata", Host: "dns", Ingress: "lan"})
	used := []*Use{{Entry: Entry{OptionEgress, "internet"}, Packets: 7}, {Entry: Entry{OptionEgress, "internet"}, Passes: true, Packets: 3}, {Entry: Entry{OptionHost, "gone"}, Packets: 1}}
	var got []string
	for _, u := range p.InOrder(used) {
		got = append(got, fmt.Sprintf("%s %t %d", u, u.Passes, u.Packets))
	}
	want := "gangway.egress.deny=metadata false 0; gangway.egress.allow=10.0.0.1:80 true 0; gangway.egress=internet true 3; gangway.egress=internet false 7; " +
		"gangway.host=dns true 0; gangway.host=dns false 0; gangway.ingress=lan true 0; gangway.ingress=lan false 0; gangway.host=gone false 1"
	if strings.Join(got, "; ") != want {
		t.Errorf("%s", strings.Join(got, "; "))
	}
}
