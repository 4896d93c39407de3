package driver

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
)

// TestLinkLocalSubnets: what the firewall is told goes by no link-local IPv6
// address, since every link has such ones, and ports lead to none. Those of IPv4 are
// as any other.
func TestLinkLocalSubnets(t *testing.T) {
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	r := networkRequest(netA, "169.254.170.0/24", "169.254.170.1")
	r.IPv6 = pool("fe80::/64", "fe80::1")
	r.Options["com.docker.network.enable_ipv6"] = true
	must(t, d.CreateNetwork(t.Context(), r))
	joined(t, d, ep1, "169.254.170.2/24", "fe80::2/64")
	must(t, d.Publish(t.Context(), netA, ep1, portmap(8080, 80)))
	fw := rulesOf[firewall.Network](f)[0]
	four := []netip.Prefix{netip.MustParsePrefix("169.254.170.0/24")}
	if !slices.Equal(fw.Masquerade, four) || !slices.Equal(fw.Hairpin, four) {
		t.Errorf("the firewall is told of %v and %v", fw.Masquerade, fw.Hairpin)
	}
	container := netip.MustParseAddr("169.254.170.2")
	if len(f.held["/netns/"+ep1]) != 2 {
		t.Errorf("published: %v, want both families", f.held["/netns/"+ep1])
	}
	for _, run := range f.held["/netns/"+ep1] {
		if run.ContainerIP != container || run.HostIP.Is6() && plan.ByNAT(run) {
			t.Errorf("%v leads to %s, want %s, by a relay from IPv6", run.HostIP, run.ContainerIP, container)
		}
	}
	v := f.veths[ep1]
	if !slices.Contains(v.Reserved, netip.MustParsePrefix("fe80::/64")) || !slices.Contains(v.Addresses, netip.MustParseAddr("fe80::2")) {
		t.Errorf("the container may use %v of %v", v.Addresses, v.Reserved)
	}
	if forward := plan.Of[spec.Forwarding](plan.Compile(d.state(), plan.Facts{})); len(forward) != 1 || forward[0].Six {
		t.Errorf("forwarding: %+v, want IPv4 alone", forward)
	}
	for _, r := range plan.HostPorts(d.state(), d.state().Endpoints[ep1].Sandbox).Runs {
		if r.ContainerIP != container {
			t.Errorf("a host port leads to %s", r.ContainerIP)
		}
	}
}
