package fwtest

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/testkit"
)

// How long to wait for an answer: one that is due may be late on a busy
// machine, one that must not come needs no patience.
const (
	patience   = testkit.Patience
	impatience = 300 * time.Millisecond
)

// probe is one request from one place to another and what must become of it.
type probe struct {
	from string
	// proto is tcp, udp, sctp or icmp, with a 4 or 6 at the end for one family
	// only.
	proto string
	to    string
	// port is 0 for icmp.
	port uint16
	// want is who answers and which client it sees ("a1:80 outside"), or
	// dropped, refused or unreachable. For icmp it is "echo" or dropped.
	want string
}

func (p probe) families() []family {
	switch p.proto[len(p.proto)-1] {
	case '4':
		return []family{v4}
	case '6':
		return []family{v6}
	}
	return families[:]
}

func (p probe) String() string {
	if p.port == 0 {
		return fmt.Sprintf("%s %s to %s", p.proto, p.from, p.to)
	}
	return fmt.Sprintf("%s %s to %s port %d", p.proto, p.from, p.to, p.port)
}

// wants spells the expected answer with addresses.
func (p probe) wants(f family) string {
	server, client, answered := strings.Cut(p.want, " ")
	switch {
	case p.want == "echo":
		return "echo " + addresses[p.to][f].String()
	case answered:
		return server + " " + addresses[client][f].String()
	}
	return p.want
}

// run sends the request in one family.
func (p probe) run(w *world, f family) (string, error) {
	timeout := patience
	if p.want == dropped {
		timeout = impatience
	}
	to := netip.AddrPortFrom(addresses[p.to][f], p.port)
	return ask(w.nodes[p.from], strings.TrimRight(p.proto, "46"), to, timeout)
}

// check runs all probes at once, and reports each as a subtest.
func (w *world) check(t *testing.T, list []probe) {
	t.Helper()
	w.judge(t, list, func(p probe, f family, got string) bool { return got == p.wants(f) })
}

// judge runs all probes at once, and reports each as a subtest, which fails if
// the answer is not right.
func (w *world) judge(t *testing.T, list []probe, right func(p probe, f family, got string) bool) {
	t.Helper()
	type result struct {
		got string
		err error
	}
	results := make([][len(families)]result, len(list))
	var wg sync.WaitGroup
	for i, p := range list {
		for _, f := range p.families() {
			wg.Go(func() {
				r := &results[i][f]
				r.got, r.err = p.run(w, f)
			})
		}
	}
	wg.Wait()
	for i, p := range list {
		for _, f := range p.families() {
			t.Run(fmt.Sprintf("%s %s", f, p), func(t *testing.T) {
				switch r := results[i][f]; {
				case r.err != nil:
					t.Error(r.err)
				case !right(p, f, r.got):
					t.Errorf("got %q, want %q (%s)", name(r.got, f), p.want, p.wants(f))
				}
			})
		}
	}
}

// name puts the name of an address in the place of the address.
func name(answer string, f family) string {
	for n, a := range addresses {
		if head, found := strings.CutSuffix(answer, " "+a[f].String()); found {
			return head + " " + n
		}
	}
	return answer
}

// traffic shows what becomes of every kind of packet, on hosts of every kind.
func (s *suite) traffic(t *testing.T) {
	t.Run("without rules", func(t *testing.T) {
		// What a backend drops must get through by itself, or the cases prove
		// nothing.
		w := newWorld(t, s.opts, setting{policy: "ACCEPT", bridged: true})
		var open []probe
		for _, p := range probes(w) {
			if p.want == dropped {
				p.want = p.unhindered()
				open = append(open, p)
			}
		}
		w.check(t, open)
	})
	for _, set := range s.possible(
		setting{engine: "20", policy: "DROP", bridged: false},
		setting{engine: "26", policy: "DROP", bridged: true},
		setting{engine: "28", policy: "ACCEPT", bridged: false},
		setting{engine: engine29, policy: "", bridged: false},
		setting{engine: engine29, policy: "DROP", bridged: true},
		setting{engine: "", policy: "DROP", bridged: false},
		setting{engine: "", policy: "ACCEPT", bridged: true},
	) {
		t.Run(set.String(), func(t *testing.T) {
			w := newWorld(t, s.opts, set)
			before := dump(t, w.host)
			b := s.backend(t, w.host)
			b.add(t, everything())
			w.check(t, probes(w))
			if t.Failed() {
				t.Logf("the rules:\n%s", strings.Join(minus(dump(t, w.host), before), "\n"))
			}
			t.Run("loopback closed", w.loopbackClosed)
			b.cleanup(t)
			sameDump(t, "after Cleanup", dump(t, w.host), before)
		})
	}
}

// unhindered is what becomes of a request that a ruleset drops on a host
// without any rule.
func (p probe) unhindered() string {
	switch {
	case p.proto == "icmp":
		return "echo"
	case p.to == "host":
		return refused
	}
	return fmt.Sprintf("%s:%d %s", p.to, p.port, p.from)
}
