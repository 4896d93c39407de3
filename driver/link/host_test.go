package link_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/link"
	"github.com/gangway-net/gangway/driver/spec"
)

func comparePrefixes() cmp.Option {
	return cmpopts.EquateComparable(netip.Prefix{})
}

func TestFacts(t *testing.T) {
	inside(t, func(f fixture) {
		f.sh("ip link add br0 type bridge")
		f.sh("ip link set br0 up")
		f.sh("ip link property add dev br0 altname other")
		f.sh("ip addr add 192.0.2.1/24 dev br0")
		f.sh("ip addr add fd00::1/64 dev br0 nodad")
		f.sh("ip route add 198.51.100.0/24 dev br0")
		f.sh("ip route add unreachable 203.0.113.0/24")
		have, err := f.HostAddresses(t.Context())
		f.ok(err)
		for addr, want := range map[string]bool{"192.0.2.1": true, "fd00::1": true, "192.0.2.2": false, "fd00::2": false} {
			if have[netip.MustParseAddr(addr)] != want {
				t.Errorf("%s is the host's: %t", addr, !want)
			}
		}
		for name, want := range map[string]bool{"br0": true, "br1": false, "other": false} {
			has, err := f.HasLink(t.Context(), name)
			f.ok(err)
			if has != want {
				t.Errorf("link %s: %t", name, has)
			}
		}
		for addr, want := range map[string]string{"192.0.2.9": "br0", "198.51.100.1": "br0", "fd00::9": "br0", "203.0.113.1": "", "10.1.2.3": "", "fd01::1": ""} {
			by, err := f.LinkTo(t.Context(), netip.MustParseAddr(addr))
			f.ok(err)
			if by != want {
				t.Errorf("%s is reached by %q, want %q", addr, by, want)
			}
		}
	})
}

func TestInspectBridge(t *testing.T) {
	inside(t, func(f fixture) {
		f.ensure(dualStack(), "bridge gw-0123456789ab was missing: created")
		f.sh("ip link add br0 type bridge")
		f.sh("ip addr add 192.0.2.1/24 dev br0")
		f.sh("ip addr add 192.0.2.9/32 dev br0 scope link")
		f.sh("ip addr add fe80::9/64 dev br0 nodad")
		f.sh("ip link add v0 type veth peer name v1")
		f.sh("ip addr add 169.254.3.4/16 dev v0 scope link")
		ours, theirs := prefixes("10.7.0.1/24", "fd07::1/64"), prefixes("192.0.2.1/24")
		v4 := spec.LinkAddress{Link: "gw-0123456789ab", Address: ours[0]}
		v6 := spec.LinkAddress{Link: "gw-0123456789ab", Address: ours[1]}
		other := spec.LinkAddress{Link: "br0", Address: theirs[0]}
		both := prefixes("10.0.0.0/8", "192.0.2.0/24", "fd00::/8")
		tests := []struct {
			name    string
			subnets []netip.Prefix
			want    spec.BridgeInfo
		}{
			{"gw-0123456789ab", both, spec.BridgeInfo{Exists: true, Kind: "bridge", Owner: netID, Addresses: ours, Elsewhere: []spec.LinkAddress{other}}},
			{"br0", both, spec.BridgeInfo{Exists: true, Kind: "bridge", Addresses: theirs, Elsewhere: []spec.LinkAddress{v4, v6}}},
			{"v0", both, spec.BridgeInfo{Exists: true, Kind: "veth", Addresses: prefixes("169.254.3.4/16"), Elsewhere: []spec.LinkAddress{v4, other, v6}}},
			{"br9", both, spec.BridgeInfo{Elsewhere: []spec.LinkAddress{v4, other, v6}}},
			{"br9", prefixes("10.7.0.0/25"), spec.BridgeInfo{Elsewhere: []spec.LinkAddress{v4}}},
			{"br9", prefixes("fd07::/64", "10.7.0.128/25"), spec.BridgeInfo{Elsewhere: []spec.LinkAddress{v6}}},
			{"br9", prefixes("169.254.3.0/24", "fe80::/64"), spec.BridgeInfo{Elsewhere: []spec.LinkAddress{{Link: "v0", Address: netip.MustParsePrefix("169.254.3.4/16")}}}},
			{"br9", prefixes("169.254.4.0/24"), spec.BridgeInfo{}},
			{"gw-0123456789ab", prefixes("fd08::/64"), spec.BridgeInfo{Exists: true, Kind: "bridge", Owner: netID, Addresses: ours[1:]}},
		}
		for _, c := range tests {
			got, err := f.InspectBridge(context.Background(), c.name, c.subnets)
			f.ok(err)
			if c.want.Exists {
				f.contains(f.sh("ip link show "+c.name), "link/ether "+got.MAC.String())
			}
			got.MAC = nil
			if d := cmp.Diff(c.want, got, comparePrefixes()); d != "" {
				t.Errorf("%s for %v (-want +got):\n%s", c.name, c.subnets, d)
			}
		}
		if _, err := f.InspectBridge(context.Background(), "a/b", both); err == nil {
			t.Error("no error for the name a/b")
		}
	})
}

// TestRenamedBridge: a bridge that is looked for under its own name, because nothing
// told of the new one yet, is not made a second time.
func TestRenamedBridge(t *testing.T) {
	ctx := context.Background()
	inside(t, func(f fixture) {
		b := dualStack()
		f.ensure(b, "bridge "+b.Name+" was missing: created")
		number := func() string { return strings.SplitN(f.sh("ip -o link show "+b.Name), ":", 2)[0] }
		was := number()
		f.rename(b.Name, "one")
		fixed, err := f.EnsureBridge(ctx, b)
		f.ok(err)
		f.contains(strings.Join(fixed, "\n"), "bridge "+b.Name+" was called one: renamed")
		f.same(was, number())
		f.ensure(b)

		// Another link that took the number, or lost the alias, is not the network's.
		f.rename(b.Name, "one")
		f.sh("ip link set one alias mine")
		f.ensure(b, "bridge "+b.Name+" was missing: created")
		f.ok(f.DeleteBridge(ctx, b))
		f.contains(f.sh("ip link show one"), "alias mine")
	})
}

func TestForwarding(t *testing.T) {
	const f4, f6 = "net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"
	inside(t, func(f fixture) {
		ctx := context.Background()
		f.set(f4, "0")
		f.set(f6, "0")
		// ifb0 stands for a network card, up0 for an uplink that is a veth, br0
		// and v0 for links to containers, port0 for a card on a bridge.
		f.sh("ip link add ifb0.1 type ifb")
		f.sh("ip link add card1 type ifb")
		f.sh("ip link add up0 type veth peer name up1")
		f.sh("ip link add v0 type veth peer name v1")
		f.sh("ip link add br0 up type bridge")
		f.sh("ip link add port0 type ifb")
		f.sh("ip link set port0 master br0")
		f.sh("ip link set up0 up")
		f.sh("ip -6 route add 2001:db8::/64 dev up0 proto ra")
		f.set("net/ipv6/conf/card1/accept_ra", "0")
		steps := []struct {
			four, six bool
			want      []string
		}{
			{false, false, nil},
			{true, false, []string{f4 + " was 0: set to 1"}},
			{true, false, nil},
			{true, true, []string{
				"net/ipv6/conf/ifb0.1/accept_ra was 1: set to 2, so that the host keeps its router",
				"net/ipv6/conf/up0/accept_ra was 1: set to 2, so that the host keeps its router",
				f6 + " was 0: set to 1",
			}},
			{true, true, nil},
		}
		for _, s := range steps {
			got, err := f.EnableForwarding(ctx, s.four, s.six)
			f.ok(err)
			if d := cmp.Diff(s.want, got); d != "" {
				t.Errorf("%v %v (-want +got):\n%s", s.four, s.six, d)
			}
		}
		want := []string{"ip_forward=1", "forwarding=1", "accept_ra=0", "accept_ra=1", "accept_ra=1", "accept_ra=1", "accept_ra=1"}
		got := f.sysctls(f4, f6, "net/ipv6/conf/card1/accept_ra", "net/ipv6/conf/br0/accept_ra",
			"net/ipv6/conf/v0/accept_ra", "net/ipv6/conf/port0/accept_ra", "net/ipv6/conf/default/accept_ra")
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("sysctls (-want +got):\n%s", d)
		}
	})
}

func TestPrefixes(t *testing.T) {
	inside(t, func(f fixture) {
		ctx := context.Background()
		got, err := f.Prefixes(ctx)
		if err != nil || got != nil {
			t.Errorf("empty namespace: %v, %v", got, err)
		}
		f.sh("ip link add u0 up type veth peer name u1")
		f.sh("ip link set u1 up")
		for _, line := range []string{
			"addr add 192.0.2.1/24 dev u0",
			"addr add 192.0.2.2/24 dev u0",
			"addr add 10.1.0.1 peer 10.1.9.0/28 dev u0",
			"addr add 2001:db8::1/64 dev u0 nodad",
			"route add default via 192.0.2.254",
			"route add 0.0.0.0/1 via 192.0.2.254",
			"route add 128.0.0.0/1 via 192.0.2.254",
			"route add 10.20.0.0/16 dev u0",
			"route add 10.30.0.0/16 dev u0 table 51820",
			"route add unreachable 10.31.0.0/16",
			"route add blackhole 10.32.0.0/16 table 300",
			"route add local 10.33.0.0/16 dev lo table local",
			"route add 172.16.0.0/12 nexthop dev u0 nexthop dev u1",
			"route add multicast 239.1.0.0/16 dev u0",
			"route add 169.254.0.0/16 dev u0",
			"-6 route add default dev u0",
			"-6 route add fc00::/7 dev u0",
			"-6 route add fd00:1::/48 dev u0 table 52",
			"-6 route add unreachable fd00:2::/48",
			"-6 route add fe80::1:0/112 dev u0",
		} {
			f.sh("ip " + line)
		}
		want := prefixes("10.1.0.1/32", "10.1.9.0/28", "10.20.0.0/16", "10.30.0.0/16", "10.31.0.0/16", "10.32.0.0/16", "10.33.0.0/16",
			"169.254.0.0/16", "172.16.0.0/12", "192.0.2.0/24", "2001:db8::/64", "fd00:1::/48", "fd00:2::/48")
		got, err = f.Prefixes(ctx)
		f.ok(err)
		if d := cmp.Diff(want, got, comparePrefixes()); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	})
}

// TestConcurrent has many callers on one handle; the race detector watches.
func TestConcurrent(t *testing.T) {
	h, err := link.New(link.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	f := fixture{h, t}
	empty := f.dump()
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			n := string(rune('a' + i))
			b := spec.Bridge{Name: "gw-" + n, NetworkID: n, Addresses: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 7, byte(i), 1}), 24)}}
			for j := range 3 {
				v := spec.Veth{EndpointID: n + string(rune('a'+j)), Host: "gv-" + n, Peer: "gp-" + n, Bridge: b.Name}
				_, err1 := h.EnsureBridge(t.Context(), b)
				_, err2 := h.EnsureVeth(t.Context(), v)
				_, err3 := h.Veths(t.Context())
				_, err4 := h.Prefixes(t.Context())
				if err := errors.Join(err1, err2, err3, err4, h.DeleteVeth(t.Context(), v), h.DeleteBridge(t.Context(), b)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	f.unchanged("all of them", empty)
}

func TestInterruptedDump(t *testing.T) {
	if asked, err := link.Interrupted(t.Context(), 3); asked != 4 || err != nil {
		t.Errorf("interrupted 3 times: asked %d times, %v", asked, err)
	}
	asked, err := link.Interrupted(t.Context(), 1000)
	if asked > 20 || !errors.Is(err, nl.ErrDumpInterrupted) || !strings.Contains(err.Error(), "list things") {
		t.Errorf("always interrupted: asked %d times, %v", asked, err)
	}
}

func FuzzParseAddress(f *testing.F) {
	msg := make([]byte, unix.SizeofIfAddrmsg, 32)
	msg[0], msg[1] = unix.AF_INET, 24
	attr := binary.NativeEndian.AppendUint16(nil, 8)
	attr = binary.NativeEndian.AppendUint16(attr, unix.IFA_LOCAL)
	whole := append(append(msg, attr...), 10, 0, 0, 1)
	if s, err := link.ParseAddress(whole); s != "10.0.0.1/24" || err != nil {
		f.Fatalf("%s, %v", s, err)
	}
	f.Add(whole)
	f.Add(whole[:9])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, m []byte) {
		if s, err := link.ParseAddress(m); err == nil {
			if _, err := netip.ParsePrefix(s); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestForwards: a host is asked to forward by the switch of a family, and of IPv4 by
// that of any link.
func TestForwards(t *testing.T) {
	const f4, f6 = "net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"
	const forced = "net/ipv6/conf/card0/force_forwarding"
	inside(t, func(f fixture) {
		wants := func(when string, four, six bool) {
			t.Helper()
			for _, c := range []struct{ six, want bool }{{false, four}, {true, six}} {
				got, err := f.Forwarding(context.Background(), c.six)
				f.ok(err)
				if got != c.want {
					t.Errorf("%s: IPv6 %t is forwarded: %t", when, c.six, got)
				}
			}
		}
		f.set(f4, "0")
		f.set(f6, "0")
		f.sh("ip link add card0 up type ifb")
		wants("off", false, false)
		f.set("net/ipv4/conf/card0/forwarding", "1")
		f.set("net/ipv6/conf/card0/forwarding", "1")
		wants("one link", true, false)
		f.set("net/ipv4/conf/card0/forwarding", "0")
		f.set(f6, "1")
		wants("IPv6", false, true)
		f.set(f4, "1")
		wants("both", true, true)
		if _, err := os.Stat("/proc/sys/" + forced); err == nil {
			f.set(f6, "0")
			f.set(forced, "1")
			wants("forced", true, true)
		}
	})
}
