package conntrack_test

import (
	"net/netip"
	"testing"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/policy"
	"github.com/gangway-net/gangway/integration/nstest"
)

// TestDropForbidden: flows end that policies would not let begin, to the host by a published
// port and from outside among them; those of others stay.
func TestDropForbidden(t *testing.T) {
	nstest.Do(t, func() {
		prepare(t)
		subnets := []netip.Prefix{netip.MustParsePrefix("10.9.0.0/24"), netip.MustParsePrefix("fd09::/64")}
		j := policy.NewJudge([]policy.Binding{
			{NetworkID: "n", Bridge: "gw", Subnets: subnets, Texts: config.Policy{Egress: "deny", Allow: "8.8.4.4:5353/udp", Ingress: "198.51.100.8"}},
		}, subnets)
		if err := open(t).DropForbidden(t.Context(), j); err != nil {
			t.Fatal(err)
		}
		wantGone(t, "masqueraded", "v6 out", "v6 udp", "published tcp", "published udp", "same udp, other ip")
	})
}
