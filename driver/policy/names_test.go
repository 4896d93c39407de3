package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/config"
)

// TestNames: which names may be asked for, what each opens, and who is asked.
func TestNames(t *testing.T) {
	p := of(t, config.Policy{Egress: "deny", Allow: "a.example:443/tcp,a.example:80,*.b.example,c.example,10.0.0.53:53,10.0.1.0/24:53/udp,10.0.2.1,internet:53", Deny: "no.b.example,198.51.100.0/24"})
	if !p.Asks() || of(t, config.Policy{Egress: "deny", Allow: "10.0.0.1"}).Asks() || !of(t, config.Policy{Egress: "deny", Allow: "dns"}).Asks() {
		t.Error("who asks is not known")
	}
	for name, want := range map[string]string{"a.example": "[:443/tcp :80]", "A.Example.": "[:443/tcp :80]", "x.a.example": "", "b.example": "", "x.y.b.example": "[]", "xb.example": "", "no.b.example": "", "x.no.b.example": "[]", "c.example": "[]"} {
		if got := p.Opens(name); p.MayAsk(name) != (want != "") || want == "" != (got == nil) || want != "" && fmt.Sprint(got) != want {
			t.Errorf("%s opens %v", name, got)
		}
	}
	if all := of(t, config.Policy{Egress: "deny", Allow: "dns,a.example"}); !all.MayAsk("other.example") || all.Opens("other.example") != nil {
		t.Error("dns has other names asked for, and opens none of them")
	}
	if got := p.Plain(); !slices.Equal(got, []string{"a.example", "c.example"}) {
		t.Errorf("plain names %q", got)
	}
	for at, want := range map[string]bool{"10.0.0.53": true, "10.0.1.9": true, "10.0.2.1": false, "8.8.8.8": false} {
		if p.Serves(netip.MustParseAddr(at)) != want {
			t.Errorf("%s is a server: %t", at, !want)
		}
	}
}

// TestDecideNames: an address passes by a name alone, for the ports of its entry; what may
// never open does not.
func TestDecideNames(t *testing.T) {
	p := of(t, config.Policy{Egress: "deny", Allow: "a.example:443/tcp,*.b.example", Deny: "198.51.100.0/24"})
	to := func(a string, port uint16, names ...string) Packet {
		return Packet{To: netip.MustParseAddr(a), Proto: 6, Port: port, Names: names}
	}
	for _, c := range []struct {
		packet Packet
		host   bool
		want   bool
	}{
		{to("192.0.2.1", 443, "a.example"), false, true}, {to("192.0.2.1", 443), false, false}, {to("192.0.2.1", 22, "a.example"), false, false}, {to("192.0.2.1", 22, "x.b.example"), false, true},
		{to("198.51.100.1", 22, "x.b.example"), false, false}, {to("192.0.2.1", 443, "a.example"), true, false}, {to("8.8.8.8", 53), false, true}, {to("192.0.2.1", 53), true, true},
	} {
		if p.Decide(c.packet, c.host) != c.want {
			t.Errorf("%+v: %t", c, !c.want)
		}
	}
	for a, want := range map[string]bool{"8.8.8.8": true, "10.0.0.1": true, "fd00::1": true, "127.0.0.1": false, "169.254.1.1": false, "100.100.100.200": false, "168.63.129.16": false, "fd00:ec2::254": false, "::1": false, "fe80::1": false, "224.0.0.1": false, "0.1.2.3": false, "255.255.255.255": false, "::ffff:8.8.8.8": false} {
		if Opened(netip.MustParseAddr(a)) != want {
			t.Errorf("a name opens %s: %t", a, !want)
		}
	}
}

// TestCheckNames: a name that can never match is refused.
func TestCheckNames(t *testing.T) {
	for _, c := range []struct{ allow, deny, want string }{
		{"*.a.example", "x.a.example", ""}, {"dns", "x.example", ""}, {"a.example", "private", ""}, {"*.a.example", "*.b.a.example", ""},
		{"x.a.example:443", "*.a.example", "allow has x.a.example:443, which can never match"}, {"*.b.a.example", "*.a.example", "can never match"}, {"a.example", "a.example", "can never match"},
		{"a.example", "b.example", "deny has b.example, which can never match"}, {"x.a.example", "*.a.example,dns", "deny has dns"}, {"*.a.example", "x.a.example:443", "leave ports and protocol out"}, {"10.0.0.1", "b.example", "can never match"},
	} {
		err := of(t, config.Policy{Egress: "deny", Allow: c.allow, Deny: c.deny}).Check(true, false)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestMemory: what is open for as long changes nothing, and what has ended is known a while
// longer.
func TestMemory(t *testing.T) {
	var m Memory
	now := time.Unix(1e6, 0)
	at := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	learn := func(who, to int, until time.Duration) Change {
		return m.Learn([]Learned{{Who: Who{Addr: at(who)}, Name: "a.example", To: at(to), Until: now.Add(until)}}, now)
	}
	if c := learn(1, 1, time.Minute); len(c.Fresh) != 1 || len(c.Recall) != 1 || len(c.Gone) != 0 {
		t.Errorf("%+v", c)
	}
	if c := learn(1, 1, time.Minute); !c.Empty() {
		t.Errorf("the same again: %+v", c)
	}
	if c := learn(1, 1, time.Hour); len(c.Fresh) != 1 || len(c.Recall) != 0 {
		t.Errorf("for longer: %+v", c)
	}
	learn(2, 1, time.Minute)
	if got := m.OpenTo([]Who{{Addr: at(2)}, {Addr: at(3)}}, now); len(got) != 1 || got[0].Addr != at(2) || got[0].Name != "a.example" || len(m.OpenTo([]Who{{Addr: at(2)}}, now.Add(time.Hour))) != 0 {
		t.Errorf("open for one is %+v", got)
	}
	if len(m.Open(now)) != 2 || len(m.Recalled(now.Add(RecallTime/2))) != 2 {
		t.Error("not all is listed")
	}
	now = now.Add(2 * time.Minute)
	if len(m.Open(now)) != 1 || len(m.Names(Who{Addr: at(2)}, at(1))) != 1 {
		t.Error("what has ended is not known any more")
	}
}

// TestMemoryOfOne: one container pushes out its own addresses alone, and what is not kept, or
// long over, is forgotten.
func TestMemoryOfOne(t *testing.T) {
	var m Memory
	now := time.Unix(1e6, 0)
	at := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	learn := func(who, to int, until time.Duration) {
		m.Learn([]Learned{{Who: Who{Addr: at(who)}, Name: "a.example", To: at(to), Until: now.Add(until)}}, now)
	}
	learn(2, 1, time.Minute)
	for i := range 2 * mostOfOne {
		learn(1, 100+i, time.Hour+time.Duration(i)*time.Second)
	}
	if len(m.all[Who{Addr: at(1)}]) != mostOfOne || len(m.Names(Who{Addr: at(2)}, at(1))) != 1 || m.total != mostOfOne+1 {
		t.Errorf("one has %d of %d", len(m.all[Who{Addr: at(1)}]), m.total)
	}
	gone := m.Keep(func(l Learned) bool { return l.Addr != at(1) }, now)
	if len(gone) != mostOfOne || m.total != 1 {
		t.Errorf("%d are forgotten, %d left", len(gone), m.total)
	}
	if gone = m.Keep(func(Learned) bool { return true }, now.Add(2*RecallTime)); len(gone) != 1 || m.total != 0 {
		t.Errorf("%d have ended, %d left", len(gone), m.total)
	}
	m.Recall(Learned{Who: Who{Addr: at(3)}, Name: "b.example", To: at(4), Until: now.Add(time.Minute)}, now.Add(time.Hour))
	if len(m.Open(now)) != 1 || !m.Has(Learned{Who: Who{Addr: at(3)}, To: at(4)}) {
		t.Error("what was there before is not known")
	}
}

// TestMemoryOfAll: where all together have too many, who has most of them gives way.
func TestMemoryOfAll(t *testing.T) {
	var m Memory
	now := time.Unix(1e6, 0)
	put := func(who, to int) {
		m.Learn([]Learned{{Who: Who{Addr: netip.AddrFrom4([4]byte{10, 1, byte(who >> 8), byte(who)})}, To: netip.AddrFrom4([4]byte{20, 1, byte(to >> 8), byte(to)}), Until: now.Add(time.Hour)}}, now)
	}
	for who := range mostOfAll / mostOfOne {
		for to := range mostOfOne {
			put(who, to)
		}
	}
	put(5000, 1)
	if m.total != mostOfAll || len(m.all[Who{Addr: netip.MustParseAddr("10.1.19.136")}]) != 1 {
		t.Errorf("%d are known", m.total)
	}
}

// TestJudgeNames: a flow goes on that began by a name, and one to a server that was asked
// before the resolver was does not.
func TestJudgeNames(t *testing.T) {
	subnet := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/24")}
	b := Binding{NetworkID: "n", Bridge: "gw", Subnets: subnet, Texts: config.Policy{Egress: "deny", Allow: "a.example:443"}}
	j := NewJudge([]Binding{b}, subnet).Knowing(func(who Who, to netip.Addr) []string {
		if to.String() == "192.0.2.7" && (who.Addr.String() == "10.1.0.2" || who.Policy == b.Texts) {
			return []string{"a.example"}
		}
		return nil
	})
	host := func(a netip.Addr) bool { return a.String() == "10.1.0.1" }
	for _, c := range []struct {
		to, answers string
		port        uint16
		want        bool
	}{
		{"192.0.2.7", "192.0.2.7", 443, false}, {"192.0.2.7", "192.0.2.7", 80, true}, {"192.0.2.8", "192.0.2.8", 443, true},
		{"8.8.8.8", "10.1.0.1", 53, false}, {"8.8.8.8", "8.8.8.8", 53, true}, {"10.1.0.1", "10.1.0.1", 53, false},
	} {
		f := Flow{From: netip.MustParseAddr("10.1.0.2"), To: netip.MustParseAddr(c.to), Answers: netip.MustParseAddr(c.answers), Proto: 6, Port: c.port}
		if j.Forbids(f, host) != c.want {
			t.Errorf("%+v: %t", c, !c.want)
		}
	}
}
