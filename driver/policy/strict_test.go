package policy

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/gangway-net/gangway/config"
)

var strictTexts = config.Policy{Egress: "deny", Allow: "a.example:443,*.b.example,10.0.5.7:5432", Names: config.NamesStrict}

// TestStrict: strict names open TCP alone, for the ports of their entries, and nothing is read in
// mode audit.
func TestStrict(t *testing.T) {
	p := of(t, strictTexts)
	to := func(proto uint8, port uint16, names ...string) Packet {
		return Packet{To: netip.MustParseAddr("192.0.2.1"), Proto: proto, Port: port, Names: names}
	}
	for _, c := range []struct {
		packet Packet
		want   bool
	}{
		{to(6, 443, "a.example"), true}, {to(17, 443, "a.example"), false}, {to(132, 443, "a.example"), false}, {to(6, 22, "a.example"), false}, {to(6, 443), false},
		{to(6, 22, "x.b.example"), true}, {to(17, 22, "x.b.example"), false}, {to(1, 0, "x.b.example"), false},
	} {
		if p.Decide(c.packet, false) != c.want {
			t.Errorf("%+v: %t", c.packet, !c.want)
		}
	}
	if !p.OpensTo("a.example", 443) || p.OpensTo("a.example", 80) || p.OpensTo("c.example", 443) || !p.OpensTo("x.b.example", 80) {
		t.Error("names open other ports")
	}
	audit, byAddress, nameless := strictTexts, strictTexts, strictTexts
	audit.Mode, byAddress.Names, nameless.Allow = config.ModeAudit, "", "10.0.5.7"
	if !p.Reads() || of(t, audit).Reads() || of(t, byAddress).Reads() || of(t, nameless).Reads() {
		t.Error("what is read is not what has strict names")
	}
	wrong := strictTexts
	wrong.Allow = "a.example:443/udp"
	if of(t, wrong).Check(true, true) == nil || of(t, strictTexts).Check(true, true) != nil {
		t.Error("a name that is for UDP alone is no mistake, or another one is")
	}
	if len(of(t, wrong).Compile().Named) != 0 || of(t, wrong).Opens("a.example") != nil {
		t.Error("a strict name opens UDP")
	}
}

// TestMemoryOfNames: an address is known by each name that it was learned of, for the time of
// this name.
func TestMemoryOfNames(t *testing.T) {
	var m Memory
	now := time.Unix(1e6, 0)
	who, to := Who{Addr: netip.MustParseAddr("10.1.0.2")}, netip.MustParseAddr("192.0.2.1")
	learn := func(name string, d time.Duration) Change {
		return m.Learn([]Learned{{Who: who, Name: name, To: to, Until: now.Add(d)}}, now)
	}
	learn("a.example", time.Hour)
	if c := learn("b.example", time.Minute); !c.Empty() {
		t.Errorf("what is open for longer is changed in the kernel: %+v", c)
	}
	knows := func(name string, after time.Duration) bool { return m.Knows(who, to, name, now.Add(after)) }
	if !knows("a.example", 0) || !knows("b.example", 0) || knows("c.example", 0) || m.Knows(Who{}, to, "a.example", now) || m.Knows(who, who.Addr, "a.example", now) {
		t.Error("names are not known, or others are")
	}
	if !knows("b.example", time.Minute+nameGrace/2) || knows("b.example", 2*time.Minute) || !knows("a.example", 2*time.Minute) {
		t.Error("a name has the time of another one")
	}
	if got := m.Names(who, to); !slices.Equal(got, []string{"b.example", "a.example"}) {
		t.Errorf("names %q", got)
	}
	keptOf(t, &m, knows, now)
}

// keptOf forgets one name of two, and then the other.
func keptOf(t *testing.T, m *Memory, knows func(string, time.Duration) bool, now time.Time) {
	t.Helper()
	if gone := m.Keep(func(l Learned) bool { return l.Name != "a.example" }, now); len(gone) != 0 || knows("a.example", 0) || !knows("b.example", 0) {
		t.Errorf("of two names one is kept: %+v", gone)
	}
	if gone := m.Keep(func(Learned) bool { return false }, now); len(gone) != 1 || m.total != 0 {
		t.Errorf("without names %+v goes", gone)
	}
}

// TestMemoryMoves: what moves keeps its names, each for its time.
func TestMemoryMoves(t *testing.T) {
	var m Memory
	now := time.Unix(1e6, 0)
	from, who, to := Who{Policy: config.Policy{Egress: "deny"}}, Who{Policy: config.Policy{Egress: "internet"}}, netip.MustParseAddr("192.0.2.1")
	m.Learn([]Learned{{Who: from, Name: "a.example", To: to, Until: now.Add(time.Hour)}, {Who: from, Name: "b.example", To: to, Until: now.Add(time.Minute)}}, now)
	m.Move(from, who)
	knows := func(name string, after time.Duration) bool { return m.Knows(who, to, name, now.Add(after)) }
	if !knows("a.example", 2*time.Minute) || !knows("b.example", 0) || knows("b.example", 2*time.Minute) || m.total != 1 || len(m.Names(from, to)) != 0 {
		t.Errorf("what has moved is not the same: %+v", m.all)
	}
}

// TestMemoryBounds: an address has so many names at most, and is opened once by an answer that
// has it twice.
func TestMemoryBounds(t *testing.T) {
	var m Memory
	now := time.Unix(1e6, 0)
	who, to := Who{Addr: netip.MustParseAddr("10.1.0.2")}, netip.MustParseAddr("192.0.2.1")
	for i := range 2 * mostNames {
		m.Learn([]Learned{{Who: who, Name: string(rune('a'+i)) + ".example", To: to, Until: now.Add(time.Hour)}}, now)
	}
	if got := m.Names(who, to); len(got) != mostNames {
		t.Errorf("%d names are remembered", len(got))
	}
	c := m.Learn([]Learned{{Who: who, Name: "z.example", To: to, Until: now.Add(2 * time.Hour)}, {Who: who, Name: "z.example", To: to, Until: now.Add(3 * time.Hour)}}, now)
	if len(c.Fresh) != 1 || !c.Fresh[0].Until.Equal(now.Add(3*time.Hour)) {
		t.Errorf("an address that comes twice: %+v", c.Fresh)
	}
}

// TestJudgeStrict: flows to addresses of strict names end that nobody reads, and no others.
func TestJudgeStrict(t *testing.T) {
	subnet := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/24")}
	b := Binding{NetworkID: "n", Bridge: "gw", Subnets: subnet, Texts: strictTexts}
	j := NewJudge([]Binding{b}, subnet).Knowing(func(Who, netip.Addr) []string { return []string{"a.example"} })
	host := func(a netip.Addr) bool { return a.String() == "10.1.0.1" }
	for _, c := range []struct {
		to, answers string
		port        uint16
		want        bool
	}{
		{"192.0.2.7", "10.1.0.1", 443, false}, {"192.0.2.7", "192.0.2.7", 443, true}, {"192.0.2.7", "10.1.0.1", 80, true}, {"10.0.5.7", "10.0.5.7", 5432, false},
	} {
		f := Flow{From: netip.MustParseAddr("10.1.0.2"), To: netip.MustParseAddr(c.to), Answers: netip.MustParseAddr(c.answers), Proto: 6, Port: c.port}
		if j.Forbids(f, host) != c.want {
			t.Errorf("%+v: %t", c, !c.want)
		}
	}
}
