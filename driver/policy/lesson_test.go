package policy

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/gangway-net/gangway/config"
)

// TestLesson: what was seen is allowed by the policy, by names and networks where these are known, and
// a neighbour of it is not.
func TestLesson(t *testing.T) {
	var l Lesson
	a := netip.MustParseAddr
	l.Named("registry.example", []netip.Addr{a("192.0.2.9"), a("2001:db8::9"), a("169.254.169.254")})
	l.Named("nas", []netip.Addr{a("10.9.0.9")})
	l.Named("no name", []netip.Addr{a("10.9.0.8")})
	out := func(to string, proto uint8, port uint16) Seen {
		return Seen{Option: OptionEgress, To: a(to), Proto: proto, Ports: []uint16{port}}
	}
	in := func(from string, port uint16) Seen {
		return Seen{Option: OptionIngress, From: a(from), To: a("10.0.0.2"), Proto: 6, Ports: []uint16{port}}
	}
	server := out("192.0.2.9", 17, 53) // which has the name of another service
	server.Server = true
	all := []Seen{
		server,
		out("192.0.2.9", 6, 443), out("192.0.2.9", 17, 443), out("2001:db8::9", 6, 443), out("169.254.169.254", 6, 80), out("10.9.0.9", 6, 445), out("10.9.0.8", 6, 445),
		out("2001:db8::7", 6, 8000), out("2001:db8::7", 6, 8001), out("10.9.0.7", 1, 0), {To: a("10.2.0.5"), Proto: 6, Ports: []uint16{5432}, Peer: "db"},
		{Option: OptionHost, To: a("10.0.0.1"), Proto: 17, Ports: []uint16{53}}, {Option: OptionHost, To: a("10.0.0.1"), Proto: 6, Ports: []uint16{8080}},
		in("10.8.0.3", 8443), in("192.0.2.77", 443), {Option: OptionIngress, From: a("10.3.0.3"), Proto: 6, Ports: []uint16{80, 8080}, Peer: "app"},
	}
	for i := range 40 {
		all = append(all, out(fmt.Sprintf("9.9.%d.1", i), 6, 22), out("10.9.0.6", 17, uint16(3000+2*i)), in(fmt.Sprintf("10.8.1.%d", i), 25), in(fmt.Sprintf("9.8.%d.1", i), 587)) //nolint:gosec // few
	}
	for _, s := range all {
		if !l.See(s) || l.See(s) {
			t.Errorf("%+v is news at first, and then not", s)
		}
	}
	texts, err := l.Policy()
	if err != nil {
		t.Fatal(err)
	}
	want := config.Policy{
		Egress: "deny", Host: "53/udp,8080/tcp",
		Allow:   "10.9.0.6/udp,10.9.0.7,10.9.0.8:445/tcp,169.254.169.254:80/tcp,192.0.2.9:53/udp,[2001:db8::7]:8000-8001/tcp,internet:22/tcp,nas.:445/tcp,network:db:5432/tcp,registry.example:443/tcp,registry.example:443/udp",
		Ingress: "25/tcp=lan,443/tcp=192.0.2.77,587/tcp=any,80/tcp=network:app,8080/tcp=network:app,8443/tcp=10.8.0.3",
	}
	if texts != want {
		t.Errorf("learned\n%+v, want\n%+v", texts, want)
	}
	texts.Networks = "db gw-d 10.2.0.0/24\napp gw-a 10.3.0.0/24"
	p := of(t, texts)
	l.isAllowed(t, p, all)
	if p.Decide(Packet{To: a("192.0.2.9"), Proto: 6, Port: 444}, false) || p.Decide(Packet{To: a("10.2.0.5"), Proto: 6, Port: 22}, false) || p.Decide(Packet{To: a("10.0.0.1"), Proto: 6, Port: 22}, true) {
		t.Error("what was not seen is allowed")
	}
}

// isAllowed wants a policy to allow what was seen.
func (l *Lesson) isAllowed(t *testing.T, p Policy, all []Seen) {
	t.Helper()
	for _, s := range all {
		for _, port := range s.Ports {
			asked := Packet{From: s.From, To: s.To, Proto: s.Proto, Port: port, Near: s.Peer != ""}
			for name := range l.names[s.To] {
				asked.Names = append(asked.Names, name)
			}
			if s.Option == OptionIngress {
				if !p.Admits(asked) || p.Admits(Packet{From: netip.MustParseAddr("11.1.1.1"), Proto: 6, Port: 9}) {
					t.Errorf("%+v is not admitted, or anybody is", s)
				}
			} else if !p.Decide(asked, s.Option == OptionHost) {
				t.Errorf("%+v is not allowed", s)
			}
		}
	}
}

// TestLessonOfNothing: nothing was seen, and nothing is allowed.
func TestLessonOfNothing(t *testing.T) {
	var none Lesson
	if texts, err := none.Policy(); err != nil || texts != (config.Policy{Egress: "deny", Allow: "none", Ingress: "none", Host: "none"}) {
		t.Errorf("of nothing: %+v, %v", texts, err)
	}
}
