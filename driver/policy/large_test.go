package policy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/config"
)

// TestLarge: ten thousand entries hold; what would take too much is refused, and closed where
// it is there already.
func TestLarge(t *testing.T) {
	list := func(n int, entry string) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(entry, i/125, i%125*2+1))
		}
		return strings.Join(all, ",")
	}
	overlapping := list(1000, "10.1.%d.%d:443")
	for port := range 250 {
		overlapping += fmt.Sprintf(",10.0.0.0/8:%d", 1000+2*port)
	}
	for name, c := range map[string]struct {
		texts config.Policy
		want  string
	}{
		"allowed": {config.Policy{Egress: "deny", Allow: list(10000, "10.1.%d.%d:443/tcp")}, ""},
		"denied":  {config.Policy{Deny: list(10000, "10.1.%d.%d")}, ""},
		"both":    {config.Policy{Egress: "deny", Allow: list(10000, "10.1.%d.%d"), Deny: list(10000, "10.1.%d.%d:25")}, ""},
		"entries": {config.Policy{Egress: "deny", Allow: list(20000, "10.1.%d.%d")}, "gangway.egress.allow has 20000 entries"},
		"overlap": {config.Policy{Egress: "deny", Allow: overlapping}, "overlap"},
	} {
		p := of(t, c.texts)
		err := p.Check(true, true)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if c := of(t, config.Policy{Egress: "open", Allow: overlapping}).Compile(); !c.TooLarge || c.Open || c.Everybody || c.WholeHost || len(c.Allow.Ports) > 0 {
		t.Errorf("what is too large is not closed: %t", c.TooLarge)
	}
}

// TestCovers: what an index finds is what a look at each entry finds, at random.
func TestCovers(t *testing.T) {
	rnd := rand.New(rand.NewPCG(18, 4))
	pick := func(of ...string) string { return of[rnd.IntN(len(of))] }
	list := func(ports ...string) string {
		var all []string
		for range 1 + rnd.IntN(4) {
			all = append(all, pick("1.2.3.4", "1.2.3.0/24", "1.2.0.0/16", "[2600::1]", "[2600::/32]", "private", "internet", "host", "a.example", "x.b.example", "*.b.example", "y.x.b.example", "*.x.b.example", "nas.", "*.lan", "n.lan", "1.2.9.9", "network:db", "network:six", "network:gone")+pick(ports...))
		}
		return strings.Join(all, ",")
	}
	found, none := 0, 0
	for range 3000 {
		p := of(t, config.Policy{Egress: "deny", Allow: list("", ":80", ":80/tcp", ":1-100"), Deny: list("", "", ":80", ":50-90"), Networks: someNetworks})
		x := indexCovers(p.Deny, p.denies)
		for _, a := range p.Allow {
			_, is := x.cover(a)
			want := slices.ContainsFunc(p.Deny, func(d config.Peers) bool { return covers(d, a) })
			if is != want {
				t.Fatalf("%s is covered by one of %v: %t, want %t", a, p.Deny, is, want)
			}
			if want {
				found++
			} else {
				none++
			}
		}
		lost := func(d config.Peers) bool {
			return d.Name != "" && (!d.All() || !slices.ContainsFunc(p.Allow, func(a config.Peers) bool { return coversName(a, d) || coversName(d, a) }))
		}
		if err, want := p.checkNames(), slices.ContainsFunc(p.Deny, lost); (err != nil) != want {
			t.Fatalf("%v beside %v: %v, want an error: %t", p.Deny, p.Allow, err, want)
		}
		for _, name := range []string{"a.example", "x.b.example", "z.y.x.b.example", "B.Example", "nas", "n.lan.", "lan"} {
			if want := slices.ContainsFunc(p.Deny, func(d config.Peers) bool { return d.Covers(name) }); p.denied(name) != want {
				t.Fatalf("%s is denied by %v: %t", name, p.Deny, !want)
			}
		}
	}
	if found == 0 || none == 0 {
		t.Errorf("%d are covered, %d are not", found, none)
	}
}

// BenchmarkCompile reads and compiles a policy of ten thousand entries.
func BenchmarkCompile(b *testing.B) {
	var all []string
	for i := range 10000 {
		all = append(all, fmt.Sprintf("10.1.%d.%d:443/tcp", i/125, i%125*2+1))
	}
	texts := config.Policy{Egress: "deny", Allow: strings.Join(all, ",")}
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			_, _ = Of(texts)
		}
	})
	p, _ := Of(texts)
	b.Run("compile", func(b *testing.B) {
		for b.Loop() {
			p.Compile()
		}
	})
	b.Run("check", func(b *testing.B) {
		for b.Loop() {
			_ = p.Check(true, true)
		}
	})
}
