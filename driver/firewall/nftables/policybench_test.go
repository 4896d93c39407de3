package nftables

import (
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/policy"
	"github.com/gangway-net/gangway/integration/nstest"
	"github.com/gangway-net/gangway/integration/testkit"
)

// withPolicyTable runs a benchmark for lists of so many entries each, with a table that holds the
// first one.
func withPolicyTable(b *testing.B, do func(b *testing.B, p *PolicyTable, list []string)) {
	for _, entries := range []int{10, 1000, 10000} {
		b.Run(fmt.Sprint(entries, " entries"), func(b *testing.B) {
			nstest.Do(&testing.T{}, func() {
				p, err := NewPolicyTable(b.Context(), testkit.Quiet(), true)
				if err != nil {
					b.Error(err)
					return
				}
				defer p.Close()
				var list []string
				for i := range entries {
					list = append(list, fmt.Sprintf("10.%d.%d.%d:443/tcp", 100+i/62500, i/250%250, 1+i%250))
				}
				if _, err := p.Sync(b.Context(), manyBindings(strings.Join(list, ",")), false); err != nil {
					b.Error(err)
					return
				}
				do(b, p, list)
			})
		})
	}
}

// BenchmarkPolicyChange changes the policy that 100 networks have, and a container of each for
// itself, by one of so many entries.
func BenchmarkPolicyChange(b *testing.B) {
	withPolicyTable(b, func(b *testing.B, p *PolicyTable, list []string) {
		now, next := manyBindings(strings.Join(list, ",")), manyBindings(strings.Join(list[1:], ","))
		for b.Loop() {
			if err := p.Apply(b.Context(), now, next, false); err != nil {
				b.Error(err)
				return
			}
			now, next = next, now
		}
	})
}

// manyBindings are those of 100 networks, and of a container of each.
func manyBindings(allow string) (all []policy.Binding) {
	texts := config.Policy{Egress: "deny", Allow: allow, Deny: "none", Ingress: "any", Host: "53", Mode: "enforce"}
	own := texts
	own.Host = "none"
	for i := range 100 {
		network := policy.Binding{NetworkID: fmt.Sprintf("%064d", i), Bridge: fmt.Sprintf("gw-%d", i), Subnets: prefixes(fmt.Sprintf("10.%d.0.0/24", i)), Texts: texts}
		container := network
		container.EndpointID, container.Addrs, container.Texts = fmt.Sprintf("%063de", i), []netip.Addr{netip.AddrFrom4([4]byte{10, byte(i), 0, 2})}, own
		all = append(all, network, container)
	}
	return all
}

// BenchmarkPolicyMemory is what the table takes of the daemon's memory for a thousand containers
// that have policies of ten thousand entries: the same one, or each the same entries and something else.
func BenchmarkPolicyMemory(b *testing.B) {
	var entries []string
	for i := range 10000 {
		entries = append(entries, fmt.Sprintf("10.100.%d.%d:443/tcp", i/250, 1+i%250))
	}
	list := strings.Join(entries, ",")
	for name, n := range map[string]int{"one policy": 1, "50 policies": 50} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				var all []policy.Binding
				for i := range 1000 {
					at := netip.AddrFrom4([4]byte{10, 1, byte(i / 250), byte(i%250 + 2)})
					all = append(all, policy.Binding{NetworkID: id("a"), EndpointID: fmt.Sprint(i), Bridge: "gw-a", Subnets: prefixes("10.1.0.0/16"), Addrs: []netip.Addr{at},
						Texts: config.Policy{Egress: "deny", Allow: list, Host: fmt.Sprint(1000 + i%n)}})
				}
				before := heap()
				s := policyState{}.with(nil, all)
				b.ReportMetric(float64(heap()-before)/1e6, "MB")
				if len(s.policies) != n {
					b.Fatal(len(s.policies))
				}
			}
		})
	}
}

// heap is how many bytes are in use.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkPolicyCheck compares a table of so many entries with what it is to be.
func BenchmarkPolicyCheck(b *testing.B) {
	withPolicyTable(b, func(b *testing.B, p *PolicyTable, _ []string) {
		for b.Loop() {
			p.seen = 0
			if lines, err := p.Repair(b.Context()); err != nil || len(lines) > 0 {
				b.Error(lines, err)
				return
			}
		}
	})
}
