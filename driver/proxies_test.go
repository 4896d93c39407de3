package driver

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/driver/spec"
)

// proxiedRequest is one for a network whose containers the host answers for by eth0.
func proxiedRequest(id string, options ...string) CreateNetworkRequest {
	r := networkRequest(id, "10.0.0.0/24", "10.0.0.1")
	r.Options = generic(append([]string{"gangway.ndp_proxy", "eth0", "com.docker.network.bridge.gateway_mode_ipv6", "routed"}, options...)...)
	r.Options["com.docker.network.enable_ipv6"] = true
	r.IPv6 = pool("fd00::/64", "fd00::1")
	return r
}

// TestProxied: the host answers for an address from joining to leaving, also over a restart; what somebody takes away comes back, what a
// killed daemon left goes, and so does all with the network.
func TestProxied(t *testing.T) {
	ctx := t.Context()
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	must(t, d.CreateNetwork(ctx, proxiedRequest(netA)))
	proxy := spec.NDPProxy{Link: "eth0", NetworkID: netA, Subnet: netip.MustParsePrefix("fd00::/64")}
	has := func(when string, want ...string) {
		t.Helper()
		got := map[string]bool{}
		for id, o := range f.objects {
			if a, is := o.(spec.Proxied); is {
				got[a.Address.String()] = true
			}
			if id.kind == spec.KindNDPProxy && o != spec.Object(proxy) {
				t.Errorf("%s: %v", when, o)
			}
		}
		all := map[string]bool{}
		for _, a := range want {
			all[a] = true
		}
		if !maps.Equal(got, all) {
			t.Errorf("%s: answers for %v, want %v", when, got, want)
		}
	}
	has("at first")
	joined(t, d, ep1, "10.0.0.2/24", "fd00::2/64")
	has("joined", "fd00::2")
	stray := spec.Proxied{EndpointID: "gone", Link: "eth0", Address: netip.MustParseAddr("fd00::9")}
	f.objects[ruleID{stray.Kind(), stray.Key()}] = stray
	web := spec.Proxied{EndpointID: ep1, Link: "eth0", Address: netip.MustParseAddr("fd00::2")}
	delete(f.objects, ruleID{web.Kind(), web.Key()})
	delete(f.objects, ruleID{proxy.Kind(), proxy.Key()})
	if fixed := d.Reconcile(ctx); fixed != 3 {
		t.Errorf("%d repairs", fixed)
	}
	has("after a comparison", "fd00::2")
	d = newTestDriver(t, f, "boot")
	if fixed := d.Reconcile(ctx); fixed != 0 {
		t.Errorf("%d repairs after a restart", fixed)
	}
	has("after a restart", "fd00::2")
	must(t, d.Leave(ctx, netA, ep1))
	has("left")
	must(t, d.DeleteEndpoint(ctx, netA, ep1), d.DeleteNetwork(ctx, netA))
	if _, there := f.objects[ruleID{proxy.Kind(), proxy.Key()}]; there {
		t.Error("the link is not given back with the network")
	}
}

// outsideNet is a network that is translated into the prefix of eth0, whose addresses the host answers for there.
type outsideNet struct {
	t *testing.T
	f *fakeHost
	d *Driver
}

// has gives eth0 an address.
func (o outsideNet) has(address string) {
	o.f.prefixes = nil
	if address != "" {
		o.f.prefixes = []spec.HostPrefix{{Link: "eth0", Prefix: netip.MustParsePrefix(address)}}
	}
}

// answers wants the host to answer for these addresses, in a comparison that had nothing to repair.
func (o outsideNet) answers(when string, want ...string) {
	o.t.Helper()
	if fixed := o.d.Reconcile(o.t.Context()); fixed != 0 {
		o.t.Errorf("%s: %d repairs", when, fixed)
	}
	o.listed(when, want...)
}

func (o outsideNet) listed(when string, want ...string) {
	o.t.Helper()
	var got []string
	for _, object := range o.f.objects {
		if a, is := object.(spec.Proxied); is {
			got = append(got, a.Address.String())
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		o.t.Errorf("%s: answers for %v, want %v", when, got, want)
	}
	if open := o.d.writer.Open(); len(open) > 0 {
		o.t.Errorf("%s: open: %v", when, open)
	}
}

// proxiedOutside makes it, with a container.
func proxiedOutside(t *testing.T) outsideNet {
	t.Helper()
	f := newFakeHost()
	o := outsideNet{t, f, newTestDriver(t, f, "boot")}
	o.has("2001:db8:1::7/64")
	r := networkRequest(netA, "10.0.0.0/24", "10.0.0.1")
	r.IPv6 = pool("fd00::/80", "fd00::1")
	r.Options = generic("gangway.ipv6", "prefix", "gangway.ipv6.prefix", "eth0", "gangway.ndp_proxy", "eth0")
	r.Options["com.docker.network.enable_ipv6"] = true
	must(t, o.d.CreateNetwork(t.Context(), r))
	o.d.Reconcile(t.Context()) // the first look
	joined(t, o.d, ep1, "10.0.0.2/24", "fd00::2/80")
	return o
}

// TestProxiedOutside: the host answers for the address outside from joining to leaving, follows the prefix with one comparison, and
// a restart ends nothing.
func TestProxiedOutside(t *testing.T) {
	o := proxiedOutside(t)
	o.listed("joined", "2001:db8:1:0:ffff::2")
	for _, day := range [][]string{{"2001:db8:2::7/64", "2001:db8:2:0:ffff::2"}, {""}, {"2001:db8:1::7/64", "2001:db8:1:0:ffff::2"}} {
		o.has(day[0])
		o.answers("renumbered: "+day[0], day[1:]...)
	}
	asked := len(o.f.asked)
	o.answers("as before", "2001:db8:1:0:ffff::2")
	if len(o.f.asked) != asked {
		t.Error("asked for an address that nobody has")
	}
	o.f.unheard = errors.New("no socket")
	o.d = newTestDriver(t, o.f, "boot")
	o.listed("restarted", "2001:db8:1:0:ffff::2")
	o.d.Reconcile(t.Context())
	o.listed("nobody can be asked", "2001:db8:1:0:ffff::2")
	o.f.unheard = nil
	o.d.Reconcile(t.Context())
	o.answers("restarted", "2001:db8:1:0:ffff::2")
	must(t, o.d.Leave(t.Context(), netA, ep1))
	o.answers("left")
	must(t, o.d.DeleteEndpoint(t.Context(), netA, ep1), o.d.DeleteNetwork(t.Context(), netA))
	o.answers("gone")
}

// TestProxiedOutsideUsed: an address that somebody else has is not taken: a container that would get it is refused, and after
// the prefix has changed it is told, and answered for once it is free.
func TestProxiedOutsideUsed(t *testing.T) {
	ctx := t.Context()
	o := proxiedOutside(t)
	used := func(a string) {
		o.f.occupied = map[netip.Addr]net.HardwareAddr{netip.MustParseAddr(a): {2, 0, 0, 0, 0, 9}}
	}
	told := func(when string, want bool) {
		t.Helper()
		if got := strings.Contains(fmt.Sprint(o.d.Status(ctx).Causes), "is 2001:db8:2:0:ffff::2 outside, and 02:00:00:00:00:09 has that address on link eth0"); got != want {
			t.Errorf("%s: told: %t: %v", when, got, o.d.Status(ctx).Causes)
		}
	}
	used("2001:db8:1:0:ffff::7")
	seven := endpointRequest(netA, ep2, "10.0.0.7/24")
	seven.IPv6 = netip.MustParsePrefix("fd00::7/80")
	if err := endpointErr(o.d.CreateEndpoint(ctx, seven)); err == nil || !strings.Contains(err.Error(), "fd00::7 would be 2001:db8:1:0:ffff::7 outside, which is in use on link eth0: 02:00:00:00:00:09 has it") {
		t.Errorf("a neighbour's address: %v", err)
	}
	o.f.occupied, o.f.facts = nil, map[string]string{"eth0": "", "2001:db8:1:0:ffff::7": ""}
	if err := endpointErr(o.d.CreateEndpoint(ctx, seven)); err == nil || !strings.Contains(err.Error(), "the host has it") {
		t.Errorf("the host's address: %v", err)
	}
	used("2001:db8:2:0:ffff::2")
	o.has("2001:db8:2::7/64")
	o.answers("used")
	told("used", true)
	o.answers("used still")
	o.f.occupied = nil
	o.answers("free", "2001:db8:2:0:ffff::2")
	told("free", false)
	o.f.unheard = errors.New("no socket")
	o.has("2001:db8:3::7/64")
	o.d.Reconcile(ctx)
	o.listed("not known") // what is not known is not answered for
	o.f.unheard = nil
	o.d.Reconcile(ctx)
	o.answers("known", "2001:db8:3:0:ffff::2")
}

// TestProxiedRefused: links that cannot answer, and addresses that somebody there has, are refused by name.
func TestProxiedRefused(t *testing.T) {
	ctx := t.Context()
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	other := func(options ...string) CreateNetworkRequest {
		r := networkRequest(netB, "10.1.0.0/24", "10.1.0.1")
		r.Options = generic(options...)
		return r
	}
	linkLocal := proxiedRequest(netB)
	linkLocal.IPv4, linkLocal.IPv6 = pool("10.1.0.0/24", "10.1.0.1"), pool("fe80::/64", "fe80::1")
	router := proxiedRequest(netA)
	f.occupied = map[netip.Addr]net.HardwareAddr{netip.MustParseAddr("fd00::1"): {2, 0, 0, 0, 0, 9}}
	if err := d.CreateNetwork(ctx, router); err == nil || !strings.Contains(err.Error(), "fd00::1 is in use on link eth0") {
		t.Errorf("the router's address as the gateway's: %v", err)
	}
	f.occupied = nil
	must(t, d.CreateNetwork(ctx, router))
	f.occupied = map[netip.Addr]net.HardwareAddr{netip.MustParseAddr("fd00::7"): {2, 0, 0, 0, 0, 9}, netip.MustParseAddr("10.0.0.7"): {2, 0, 0, 0, 0, 9}}
	seven := endpointRequest(netA, ep1, "10.0.0.8/24")
	seven.IPv6 = netip.MustParsePrefix("fd00::7/64")
	for why, err := range map[string]error{
		"link eth0 is a port of the bridge": d.CreateNetwork(ctx, other("gangway.uplink", "eth0")),
		"link eth0 is the bridge":           d.CreateNetwork(ctx, other("com.docker.network.bridge.name", "eth0")),
		"is link-local":                     d.CreateNetwork(ctx, linkLocal),
		"fd00::7 is in use on link eth0":    endpointErr(d.CreateEndpoint(ctx, seven)),
	} {
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%v, want %q", err, why)
		}
	}
	// Nobody answers for IPv4 addresses.
	must(t, endpointErr(d.CreateEndpoint(ctx, endpointRequest(netA, ep1, "10.0.0.7/24"))))
	inSync(t, f, d)
}
