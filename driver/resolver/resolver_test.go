package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/policy"
	"github.com/gangway-net/gangway/integration/testkit"
)

// upstream is a server whose answers a test makes. It counts what it was asked.
type upstream struct {
	at netip.AddrPort
	mu sync.Mutex
	// asked are the names, by protocol.
	asked []string
	// answers are records by name.
	answers map[string][]string
	// hold, if set, holds up answers.
	hold func(name string) <-chan struct{}
}

func newUpstream(t *testing.T, answers map[string][]string) *upstream {
	t.Helper()
	u := &upstream{answers: answers}
	packets, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u.at = packets.LocalAddr().(*net.UDPAddr).AddrPort()
	connections, err := net.Listen("tcp4", u.at.String())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*dns.Server{{PacketConn: packets, Handler: u}, {Listener: connections, Handler: u}} {
		ready := make(chan struct{})
		s.NotifyStartedFunc = func() { close(ready) }
		go func() { _ = s.ActivateAndServe() }()
		<-ready
		t.Cleanup(func() { _ = s.Shutdown() })
	}
	return u
}

func (u *upstream) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	u.mu.Lock()
	name := strings.TrimSuffix(q.Question[0].Name, ".")
	_, byTCP := w.RemoteAddr().(*net.TCPAddr)
	u.asked = append(u.asked, name)
	records, known := u.answers[strings.ToLower(name)]
	hold := u.hold
	u.mu.Unlock()
	if hold != nil {
		if wait := hold(name); wait != nil {
			<-wait
		}
	}
	m := new(dns.Msg)
	m.SetReply(q)
	m.RecursionAvailable = true
	if !known {
		m.Rcode = dns.RcodeNameError
	}
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			panic(err)
		}
		if t := rr.Header().Rrtype; t == q.Question[0].Qtype || t == dns.TypeCNAME {
			m.Answer = append(m.Answer, rr)
		}
	}
	if !byTCP {
		m.Truncate(1232)
	}
	_ = w.WriteMsg(m)
}

func (u *upstream) names() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.asked)
}

// world is the host of a test, and what was learned.
type world struct {
	mu      sync.Mutex
	learned []policy.Learned
	fails   error
	asked   netip.AddrPort
	own     []netip.AddrPort
}

func (w *world) Link(_ context.Context, index int) (string, error) {
	return fmt.Sprint("gw-", index), nil
}

func (w *world) Addresses(netip.Addr) []netip.Addr {
	return []netip.Addr{netip.MustParseAddr("10.1.0.2"), netip.MustParseAddr("fd00:1::2")}
}

func (w *world) Came(int, bool) (int, error) { return 1, nil }

func (w *world) Asked(uint8, netip.AddrPort, netip.AddrPort) (netip.AddrPort, error) {
	if !w.asked.IsValid() {
		return w.asked, errors.New("not tracked")
	}
	return w.asked, nil
}

func (w *world) learn(_ context.Context, list []policy.Learned) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fails != nil {
		return w.fails
	}
	w.learned = append(w.learned, list...)
	return nil
}

// texts are what was learned, in words, with how long it is open.
func (w *world) texts() (all []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.learned {
		all = append(all, fmt.Sprintf("%s %s%s %s", l.Name, l.To, l.Ports, time.Until(l.Until).Round(10*time.Second)))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func open(t *testing.T, w *world) *Resolver {
	t.Helper()
	r := New(Options{Host: w, Learn: w.learn, Servers: func() ([]netip.AddrPort, []netip.AddrPort) { return w.own, nil }, Log: testkit.Quiet()})
	t.Cleanup(r.Close)
	return r
}

func bindingOf(texts config.Policy) policy.Binding {
	return policy.Binding{NetworkID: "n", Bridge: "gw-1", Subnets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.1.0.0/24")}, Texts: texts}
}

func clientOf(t *testing.T, texts config.Policy) client {
	t.Helper()
	b := bindingOf(texts)
	return client{bound{b, &shared{policy: b.Policy(), asks: b.Policy().Asks()}}, netip.MustParseAddrPort("10.1.0.2:4000"), netip.MustParseAddrPort("10.1.0.1:10053"), 17}
}

func questionFor(name string, kind uint16) *dns.Msg {
	q := new(dns.Msg)
	q.SetQuestion(dns.Fqdn(name), kind)
	return q
}

// answers are the records of an answer, without what is the same in all.
func answers(m *dns.Msg) (all []string) {
	for _, rr := range m.Answer {
		all = append(all, strings.Join(strings.Fields(strings.ReplaceAll(rr.String(), "IN", "")), " "))
	}
	return all
}

// TestReply: what is not allowed is refused and asked of nobody; addresses of what is allowed
// are learned with the ports of the entry, whatever chain of names leads there; an address
// that no name opens is not; and no record that does not belong to the question passes.
func TestReply(t *testing.T) {
	u := newUpstream(t, map[string][]string{
		"registry.example": {"registry.example. 300 IN CNAME a.cdn.example.", "a.cdn.example. 20 IN CNAME b.cdn.example.", "b.cdn.example. 60 IN A 192.0.2.7", "evil.example. 60 IN A 6.6.6.6", "b.cdn.example. 60 IN AAAA 2001:db8::7"},
		"short.example":    {"short.example. 0 IN A 192.0.2.8"},
		"long.example":     {"long.example. 86400 IN A 192.0.2.9"},
		"inside.example":   {"inside.example. 60 IN A 127.0.0.1", "inside.example. 60 IN A 169.254.169.254", "inside.example. 60 IN A 10.0.0.1", "inside.example. 60 IN A 168.63.129.16"},
		"deep.one.example": {"deep.one.example. 60 IN A 192.0.2.10"},
		"bad.one.example":  {"bad.one.example. 60 IN A 192.0.2.11"},
		"other.example":    {"other.example. 60 IN A 192.0.2.12"},
		"svc.example":      {`svc.example. 60 IN HTTPS 1 . alpn="h2" ipv4hint="192.0.2.13" ipv6hint="2001:db8::13"`, "svc.example. 60 IN TXT hello"},
	})
	const allow = "registry.example:443/tcp,registry.example:80,short.example,long.example:1-2,inside.example:22,*.one.example:443,svc.example:443"
	named := config.Policy{Egress: "deny", Allow: allow, Deny: "bad.one.example"}
	all := config.Policy{Egress: "deny", Allow: "dns," + allow}
	audit := config.Policy{Egress: "deny", Allow: allow, Mode: "audit"}
	for _, c := range []struct {
		name    string
		kind    uint16
		texts   config.Policy
		code    int
		answer  []string
		learned []string
		refused firewall.Reason
	}{
		{"Registry.Example", dns.TypeA, named, 0, []string{"registry.example. 300 CNAME a.cdn.example.", "a.cdn.example. 20 CNAME b.cdn.example.", "b.cdn.example. 60 A 192.0.2.7"}, []string{"registry.example 192.0.2.7:443/tcp 1m0s", "registry.example 192.0.2.7:80 1m0s"}, ""},
		{"registry.example", dns.TypeAAAA, named, 0, []string{"registry.example. 300 CNAME a.cdn.example.", "a.cdn.example. 20 CNAME b.cdn.example.", "b.cdn.example. 60 AAAA 2001:db8::7"}, []string{"registry.example 2001:db8::7:443/tcp 1m0s", "registry.example 2001:db8::7:80 1m0s"}, ""},
		{"short.example", dns.TypeA, named, 0, []string{"short.example. 0 A 192.0.2.8"}, []string{"short.example 192.0.2.8 30s"}, ""},
		{"long.example", dns.TypeA, named, 0, []string{"long.example. 3600 A 192.0.2.9"}, []string{"long.example 192.0.2.9:1-2 1h0m0s"}, ""},
		{"inside.example", dns.TypeA, named, 0, []string{"inside.example. 60 A 127.0.0.1", "inside.example. 60 A 169.254.169.254", "inside.example. 60 A 10.0.0.1", "inside.example. 60 A 168.63.129.16"}, []string{"inside.example 10.0.0.1:22 1m0s"}, ""},
		{"deep.one.example", dns.TypeA, named, 0, []string{"deep.one.example. 60 A 192.0.2.10"}, []string{"deep.one.example 192.0.2.10:443 1m0s"}, ""},
		{"svc.example", dns.TypeHTTPS, named, 0, []string{`svc.example. 60 HTTPS 1 . alpn="h2"`}, nil, ""},
		{"svc.example", dns.TypeTXT, named, 0, []string{`svc.example. 60 TXT "hello"`}, nil, ""},
		{"one.example", dns.TypeA, named, dns.RcodeRefused, nil, nil, firewall.Policy},
		{"bad.one.example", dns.TypeA, named, dns.RcodeRefused, nil, nil, firewall.Policy},
		{"other.example", dns.TypeA, named, dns.RcodeRefused, nil, nil, firewall.Policy},
		{"a.cdn.example", dns.TypeA, named, dns.RcodeRefused, nil, nil, firewall.Policy},
		{"short.example", dns.TypeAXFR, named, dns.RcodeRefused, nil, nil, ""},
		{"none.one.example", dns.TypeA, named, dns.RcodeNameError, nil, nil, ""},
		{"other.example", dns.TypeA, all, 0, []string{"other.example. 60 A 192.0.2.12"}, nil, ""},
		{"other.example", dns.TypeA, audit, 0, []string{"other.example. 60 A 192.0.2.12"}, nil, firewall.Audited},
	} {
		w := &world{own: []netip.AddrPort{u.at}}
		r := open(t, w)
		before := len(u.names())
		m := r.reply(t.Context(), clientOf(t, c.texts), questionFor(c.name, c.kind))
		if m.Rcode != c.code || !slices.Equal(lower(answers(m)), c.answer) || !slices.Equal(w.texts(), c.learned) {
			t.Errorf("%s %s: %s %q, learned %q", c.name, dns.TypeToString[c.kind], dns.RcodeToString[m.Rcode], answers(m), w.texts())
		}
		if c.code == dns.RcodeRefused && len(u.names()) != before {
			t.Errorf("%s was asked for, and is not allowed", c.name)
		}
		counted, _ := r.Refused(t.Context())
		if (len(counted) == 1) != (c.refused != "") || len(counted) == 1 && (counted[0].Reason != c.refused || counted[0].Addr.String() != "10.1.0.2") {
			t.Errorf("%s: counted %+v", c.name, counted)
		}
	}
}

func lower(all []string) []string {
	for i := range all {
		all[i] = strings.Replace(all[i], "Registry.Example", "registry.example", 1)
	}
	return all
}

// TestLearnFirst: a container has no answer whose addresses are not open.
func TestLearnFirst(t *testing.T) {
	u := newUpstream(t, map[string][]string{"a.example": {"a.example. 60 IN A 192.0.2.7"}})
	w := &world{own: []netip.AddrPort{u.at}, fails: errors.New("the kernel says no")}
	m := open(t, w).reply(t.Context(), clientOf(t, config.Policy{Egress: "deny", Allow: "a.example"}), questionFor("a.example", dns.TypeA))
	if m.Rcode != dns.RcodeServerFailure || len(m.Answer) > 0 {
		t.Errorf("%v", m)
	}
}

// TestServers: a container chooses no server but one that the host asks, or that the policy
// names with its port; options of its question are passed on to nobody.
func TestServers(t *testing.T) {
	w := &world{own: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:53"), netip.MustParseAddrPort("192.0.2.2:53")}}
	r := open(t, w)
	for _, c := range []struct {
		asked, allow string
		want         []string
	}{
		{"192.0.2.2:53", "a.example", []string{"192.0.2.2:53"}},
		{"6.6.6.6:53", "a.example", []string{"192.0.2.1:53", "192.0.2.2:53"}},
		{"6.6.6.6:53", "a.example,6.6.6.6:53", []string{"6.6.6.6:53"}},
		{"6.6.6.6:53", "a.example,6.6.6.0/24:53/udp", []string{"6.6.6.6:53"}},
		{"6.6.6.6:53", "a.example,6.6.6.6,internet:53,0.0.0.0/1:1-100", []string{"192.0.2.1:53", "192.0.2.2:53"}},
		{"6.6.6.6:54", "a.example,6.6.6.6:53", []string{"192.0.2.1:53", "192.0.2.2:53"}},
		{"", "a.example", []string{"192.0.2.1:53", "192.0.2.2:53"}},
	} {
		w.asked = netip.AddrPort{}
		if c.asked != "" {
			w.asked = netip.MustParseAddrPort(c.asked)
		}
		var got []string
		for _, s := range r.serversFor(clientOf(t, config.Policy{Egress: "deny", Allow: c.allow})) {
			got = append(got, s.String())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// TestBook: who asks is known by link, address and policy together.
func TestBook(t *testing.T) {
	names, none := config.Policy{Egress: "deny", Allow: "a.example"}, config.Policy{Egress: "deny"}
	own := bindingOf(names)
	own.EndpointID, own.Addrs = "e", []netip.Addr{netip.MustParseAddr("10.1.0.2")}
	var b book
	find := func(link, from string) bool {
		_, found := b.find(link, netip.MustParseAddr(from))
		return found
	}
	b.change(nil, []policy.Binding{bindingOf(none), own})
	if !find("gw-1", "10.1.0.2") || find("gw-1", "10.1.0.3") || find("gw-2", "10.1.0.2") || len(b.policies()) != 1 {
		t.Error("one container alone has names")
	}
	b.change([]policy.Binding{own, bindingOf(none)}, []policy.Binding{bindingOf(names)})
	if !find("gw-1", "10.1.0.2") || !find("gw-1", "10.1.0.3") || find("gw-1", "10.2.0.3") || len(b.policies()) != 1 {
		t.Error("the network has names")
	}
	own.Texts = none
	b.change(nil, []policy.Binding{own})
	if find("gw-1", "10.1.0.2") || !find("gw-1", "10.1.0.3") {
		t.Error("one container alone has no names")
	}
	b.set(nil)
	if find("gw-1", "10.1.0.3") || len(b.policies()) != 0 {
		t.Error("nobody has names")
	}
}

// TestBookCounts: each has the policy that was said for it, with names or without.
func TestBookCounts(t *testing.T) {
	own := bindingOf(config.Policy{Egress: "deny", Allow: "a.example"})
	own.EndpointID, own.Addrs = "e", []netip.Addr{netip.MustParseAddr("10.1.0.2")}
	var b book
	b.change(nil, []policy.Binding{bindingOf(config.Policy{Egress: "deny"}), own})
	counts := func(from string) policy.Policy {
		_, p := b.counts("gw-1", netip.MustParseAddr(from))
		return p
	}
	if !counts("10.1.0.2").HasNames() || counts("10.1.0.3").Egress != config.EgressDeny || !counts("10.2.0.3").Open() {
		t.Error("what counts is another policy")
	}
	if texts, _ := b.counts("gw-1", netip.MustParseAddr("10.2.0.3")); texts != (config.Policy{}) {
		t.Errorf("a stranger has %+v", texts)
	}
}

// TestShares: one has at most its part, many leave something for whoever comes, and what is
// given back is there again.
func TestShares(t *testing.T) {
	s := newShares(20, 8)
	who := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}) }
	for i := range 4 {
		n := 0
		for s.take(who(i)) {
			n++
		}
		if n == 0 || n > 8 {
			t.Errorf("container %d has %d", i, n)
		}
	}
	if !s.take(who(9)) {
		t.Error("nothing was left for one who comes late")
	}
	total := s.total
	s.give(who(9))
	if s.total != total-1 || s.used[who(9)] != 0 {
		t.Error("what was given back is not there")
	}
}
