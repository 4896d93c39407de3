package nftables

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/policy"
	"github.com/gangway-net/gangway/integration/nstest"
	"github.com/gangway-net/gangway/integration/testkit"
)

// BenchmarkPolicyChange changes the policy that 100 networks have, and a container of each for
// itself, by so many entries.
func BenchmarkPolicyChange(b *testing.B) {
	for _, entries := range []int{10, 1000, 10000} {
		b.Run(fmt.Sprint(entries, " entries"), func(b *testing.B) {
			nstest.Do(&testing.T{}, func() {
				p, err := NewPolicyTable(context.Background(), testkit.Quiet(), true)
				if err != nil {
					b.Error(err)
					return
				}
				defer p.Close()
				var list []string
				for i := range entries {
					list = append(list, fmt.Sprintf("10.%d.%d.%d:443/tcp", 100+i/62500, i/250%250, 1+i%250))
				}
				now, next := manyBindings(strings.Join(list, ",")), manyBindings(strings.Join(list[1:], ","))
				if err := p.Apply(context.Background(), nil, now, false); err != nil {
					b.Error(err)
					return
				}
				for b.Loop() {
					if err := p.Apply(context.Background(), now, next, false); err != nil {
						b.Error(err)
						return
					}
					now, next = next, now
				}
			})
		})
	}
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
