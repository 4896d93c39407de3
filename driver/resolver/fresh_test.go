package resolver

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/policy"
	"github.com/gangway-net/gangway/integration/testkit"
)

// TestFresh: plain names are asked for without a question, for all who have the policy, and
// again before they end; after a failure too.
func TestFresh(t *testing.T) {
	u := newUpstream(t, map[string][]string{"a.example": {"a.example. 60 IN A 192.0.2.7"}, "b.example": {"b.example. 60 IN AAAA 2001:db8::7"}})
	w := &world{own: []netip.AddrPort{u.at}, fails: errors.New("not yet")}
	r := open(t, w)
	texts := config.Policy{Egress: "deny", Allow: "a.example:443,*.wild.example,b.example,dns"}
	p, _ := policy.Of(texts)
	r.fresh.follow(map[config.Policy]policy.Policy{texts: p})
	testkit.Eventually(t, "the name is asked for", func() bool { return len(u.names()) >= 4 })
	w.mu.Lock()
	w.fails = nil
	w.mu.Unlock()
	testkit.Eventually(t, "the addresses are open", func() bool {
		return slices.Equal(w.texts(), []string{"a.example 192.0.2.7:443 1m0s", "b.example 2001:db8::7 1m0s"})
	})
	r.fresh.mu.Lock()
	due := r.fresh.names[wanted{"a.example", dns.TypeA}].due
	r.fresh.mu.Unlock()
	if wait := time.Until(due); wait < 30*time.Second || wait > 45*time.Second {
		t.Errorf("asked for again after %s", wait)
	}
	if slices.ContainsFunc(u.names(), func(n string) bool { return strings.Contains(n, "wild") }) {
		t.Error("a name that stands for many was asked for")
	}
	r.fresh.follow(nil)
	if len(r.fresh.names) != 0 {
		t.Error("names of nobody are asked for")
	}
}

// TestUnresolved: a name of which nobody answers is told, and one that a server of the policy's own
// may know is not; so is a host without a server.
func TestUnresolved(t *testing.T) {
	u := newUpstream(t, map[string][]string{"a.example": {"a.example. 60 IN A 192.0.2.7"}})
	w := &world{own: []netip.AddrPort{u.at}}
	r := open(t, w)
	follow := func(allow string) {
		texts := config.Policy{Egress: "deny", Allow: allow}
		r.fresh.follow(map[config.Policy]policy.Policy{texts: bindingOf(texts).Policy()})
	}
	follow("a.example,*.a.example,mistyped.example,192.0.2.53:53")
	failed := func() bool {
		r.fresh.mu.Lock()
		defer r.fresh.mu.Unlock()
		task := r.fresh.names[wanted{"mistyped.example", dns.TypeA}]
		return task != nil && task.failed >= certainFailures
	}
	testkit.Eventually(t, "the name is not known", failed)
	if text := r.Unresolved(); text != "" {
		t.Errorf("with a server of its own: %s", text)
	}
	follow("a.example,*.a.example,mistyped.example")
	const want = "the addresses of mistyped.example, which a policy names, are not known: the answer is NXDOMAIN"
	testkit.Eventually(t, want, func() bool { return r.Unresolved() == want })
	r.fresh.follow(nil)
	if text := r.Unresolved(); text != "" {
		t.Errorf("without policies: %s", text)
	}
	w.own = nil
	r.book.set([]policy.Binding{bindingOf(config.Policy{Egress: "deny", Allow: "*.a.example"})})
	if text := r.Unresolved(); !strings.Contains(text, "has no server") {
		t.Errorf("without servers: %s", text)
	}
}

// TestHostAsked: where engines ask in the host's own name, that is told of policies with *.NAME.
func TestHostAsked(t *testing.T) {
	at := func(addrs string) (all []netip.AddrPort) {
		for _, a := range strings.Fields(addrs) {
			all = append(all, netip.AddrPortFrom(netip.MustParseAddr(a), 53))
		}
		return all
	}
	for _, c := range []struct {
		own, others, allow, want string
	}{
		{"127.0.0.53", "", "a.example,*.b.example,dns", "the host's server of names, 127.0.0.53, is on its loopback, and policies allow *.b.example"},
		{"127.0.0.53", "192.0.2.53", "*.b.example", ""},
		{"127.0.0.1", "192.0.2.53", "*.b.example", "127.0.0.1"},
		{"::1 192.0.2.53", "", "*.b.example", "::1"},
		{"192.0.2.53 127.0.0.1", "", "*.b.example", ""},
		{"127.0.0.53", "", "a.example,dns", ""},
		{"", "", "*.b.example", ""},
	} {
		w := &world{}
		r := New(Options{Host: w, Learn: w.learn, Servers: func() ([]netip.AddrPort, []netip.AddrPort) { return at(c.own), at(c.others) }, Log: testkit.Quiet()})
		r.book.set([]policy.Binding{bindingOf(config.Policy{Egress: "deny", Allow: c.allow})})
		if got := r.HostAsked(); !strings.Contains(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%+v: %q", c, got)
		}
		r.Close()
	}
}
