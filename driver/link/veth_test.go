package link_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/gangway-net/gangway/driver/spec"
)

// bridged runs f with a bridge of the name br0.
func bridged(t *testing.T, f func(fixture, spec.Veth)) {
	t.Helper()
	inside(t, func(x fixture) {
		x.sh("ip link add br0 up type bridge")
		f(x, pair("br0"))
	})
}

func TestVethLife(t *testing.T) {
	bridged(t, func(f fixture, v spec.Veth) {
		empty := f.dump()
		f.ensureVeth(v, "veth "+v.Host+" was missing: created")
		f.contains(f.sh("ip -d addr show dev "+v.Host), "master br0", "mtu 1400", "alias gangway:"+epID, "UP", "qlen 1000", "hairpin on")
		f.contains(f.sh("ip -d addr show dev "+v.Peer), "mtu 1400", "link/ether 02:42:0a:07:00:02", "qlen 1000")
		if got := f.sysctl("net/ipv6/conf/" + v.Host + "/disable_ipv6"); got != "1" {
			t.Errorf("disable_ipv6 of the host end is %s", got)
		}
		f.ok(f.DeleteVeth(context.Background(), v))
		f.ok(f.DeleteVeth(context.Background(), v))
		f.unchanged("creating and deleting", empty)
	})
}

// An isolated port takes no flooded frames of others, with and without
// br_netfilter, and the kernel's own isolation is off: with br_netfilter, frames
// to published ports go from port to port.
func TestVethIsolation(t *testing.T) {
	bridged(t, func(f fixture, v spec.Veth) {
		v.Isolated = true
		for _, bridged := range []string{"1", "0"} {
			f.sh("sysctl -w net/bridge/bridge-nf-call-iptables=" + bridged + " net/bridge/bridge-nf-call-ip6tables=" + bridged)
			f.ensureVeth(v, "veth "+v.Host+" was missing: created")
			f.contains(f.sh("ip -d link show dev "+v.Host), "isolated off", "mcast_flood off", "bcast_flood off", " flood on", "hairpin on")
			f.sh("bridge link set dev " + v.Host + " isolated on mcast_flood on bcast_flood on")
			f.ensureVeth(v, "veth "+v.Host+": isolation from other ports was true: set to false",
				"veth "+v.Host+": broadcast from other ports was true: set to false",
				"veth "+v.Host+": multicast from other ports was true: set to false")
			f.ok(f.DeleteVeth(context.Background(), v))
		}
		v.Isolated = false
		f.ensureVeth(v, "veth "+v.Host+" was missing: created")
		f.contains(f.sh("ip -d link show dev "+v.Host), "isolated off", "mcast_flood on", "bcast_flood on", "hairpin on")
	})
}

func TestVethDrift(t *testing.T) {
	const created = "veth HOST was missing: created"
	tests := map[string]struct {
		break_, lines []string
	}{
		"unslaved":     {[]string{"ip link set HOST nomaster"}, []string{"veth HOST: was not on bridge br0: attached"}},
		"other bridge": {[]string{"ip link add br1 type bridge", "ip link set HOST master br1"}, []string{"veth HOST: was not on bridge br0: attached"}},
		"no hairpin":   {[]string{"bridge link set dev HOST hairpin off"}, []string{"veth HOST: hairpin mode was false: set to true"}},
		"down":         {[]string{"ip link set HOST down"}, []string{"veth HOST: was down: set up"}},
		"mtu": {[]string{"ip link set HOST mtu 1300", "ip link set PEER mtu 1301"},
			[]string{"veth HOST: MTU of HOST was 1300: set to 1400", "veth HOST: MTU of PEER was 1301: set to 1400"}},
		"IPv6":            {[]string{"sysctl -w net/ipv6/conf/HOST/disable_ipv6=0"}, []string{"veth HOST: IPv6 was on: disabled on the host end"}},
		"gone":            {[]string{"ip link del HOST"}, []string{created}},
		"peer renamed":    {[]string{"ip link set PEER name x"}, []string{created}},
		"peer's address":  {[]string{"ip link set PEER address 02:00:00:00:00:09"}, []string{created}},
		"host renamed":    {[]string{"ip link set HOST down", "ip link set HOST name x"}, []string{created}},
		"unfinished pair": {[]string{"ip link del HOST", "ip link add HOST type veth peer name PEER"}, []string{created}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bridged(t, func(f fixture, v spec.Veth) {
				names := strings.NewReplacer("HOST", v.Host, "PEER", v.Peer)
				f.ensureVeth(v, names.Replace(created))
				good := f.dump()
				for _, line := range tt.break_ {
					f.sh(names.Replace(line))
				}
				var want []string
				for _, line := range tt.lines {
					want = append(want, names.Replace(line))
				}
				f.ensureVeth(v, want...)
				if name == "other bridge" {
					f.sh("ip link del br1")
				}
				f.unchanged("breaking and mending", good)
			})
		})
	}
}

func TestVethRefused(t *testing.T) {
	tests := map[string]struct {
		prepare []string
		change  func(*spec.Veth)
		words   []string
	}{
		"no bridge":      {change: func(v *spec.Veth) { v.Bridge = "br9" }, words: []string{"gv-e0e1e2e3e4e5", "bridge br9", "does not exist"}},
		"not a bridge":   {change: func(v *spec.Veth) { v.Bridge = "lo" }, words: []string{"bridge lo"}},
		"foreign host":   {prepare: []string{"ip link add gv-e0e1e2e3e4e5 type bridge"}, words: []string{"gv-e0e1e2e3e4e5", "bridge of that name"}},
		"foreign veth":   {prepare: []string{"ip link add gv-e0e1e2e3e4e5 up type veth peer name x"}, words: []string{"veth of that name"}},
		"other endpoint": {prepare: []string{"ip link add gv-e0e1e2e3e4e5 type veth peer name x", "ip link set gv-e0e1e2e3e4e5 alias gangway:e9"}, words: []string{"gangway:e9"}},
		"foreign peer":   {prepare: []string{"ip link add gp-e0e1e2e3e4e5 type veth peer name x"}, words: []string{"gp-e0e1e2e3e4e5", "exists"}},
		"long name":      {change: func(v *spec.Veth) { v.Host += "f" }, words: []string{"16 bytes"}},
		"bad peer":       {change: func(v *spec.Veth) { v.Peer = "a b" }, words: []string{"peer", "' '"}},
		"same names":     {change: func(v *spec.Veth) { v.Peer = v.Host }, words: []string{"same name"}},
		"no endpoint":    {change: func(v *spec.Veth) { v.EndpointID = "" }, words: []string{"endpoint id"}},
		"short address":  {change: func(v *spec.Veth) { v.MAC = v.MAC[:5] }, words: []string{"6 bytes"}},
		"multicast":      {change: func(v *spec.Veth) { v.MAC = net.HardwareAddr{1, 0, 0, 0, 0, 1} }, words: []string{"multicast"}},
		"huge MTU":       {change: func(v *spec.Veth) { v.MTU = 1 << 20 }, words: []string{"gv-e0e1e2e3e4e5"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bridged(t, func(f fixture, v spec.Veth) {
				for _, line := range tt.prepare {
					f.sh(line)
				}
				if tt.change != nil {
					tt.change(&v)
				}
				f.refuses("EnsureVeth", func() error { _, err := f.EnsureVeth(context.Background(), v); return err }, tt.words...)
				before := f.dump()
				f.ok(f.DeleteVeth(context.Background(), v))
				f.unchanged("DeleteVeth", before)
			})
		})
	}
}

// moved runs f with the pair's peer as eth0 in another namespace, as the
// engine leaves it.
func moved(f fixture, v spec.Veth, do func(container netns.NsHandle)) {
	f.t.Helper()
	here, err := netns.Get()
	f.ok(err)
	defer here.Close()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	container, err := netns.New()
	if err != nil {
		f.t.Error(err)
		return
	}
	defer container.Close()
	f.ok(netns.Set(here))
	peer, err := netlink.LinkByName(v.Peer)
	if err != nil {
		f.t.Error(err)
		return
	}
	f.ok(netlink.LinkSetNsFd(peer, int(container)))
	inner, err := netlink.NewHandleAt(container)
	if err != nil {
		f.t.Error(err)
		return
	}
	defer inner.Close()
	eth, err := inner.LinkByName(v.Peer)
	if err != nil {
		f.t.Error(err)
		return
	}
	f.ok(inner.LinkSetName(eth, "eth0"))
	do(container)
}

// TestVethInContainer mends the host end and never touches the container's.
func TestVethInContainer(t *testing.T) {
	bridged(t, func(f fixture, v spec.Veth) {
		f.ensureVeth(v, "veth "+v.Host+" was missing: created")
		moved(f, v, func(container netns.NsHandle) {
			f.ensureVeth(v)
			index := f.veths()[epID].PeerIndex
			// The number of a link says nothing outside of its namespace.
			f.sh(fmt.Sprintf("ip link add decoy index %d type bridge", index))
			f.sh("ip link set " + v.Host + " nomaster down mtu 1300")
			v.MAC = net.HardwareAddr{2, 0, 0, 0, 0, 1}
			f.ensureVeth(v,
				"veth "+v.Host+": MTU of "+v.Host+" was 1300: set to 1400",
				"veth "+v.Host+": was not on bridge br0: attached",
				"veth "+v.Host+": was down: set up")
			if got := f.veths()[epID].PeerIndex; got != index {
				t.Errorf("the container's end is number %d, was %d", got, index)
			}
			f.ok(f.DeleteVeth(context.Background(), v))
			inner, err := netlink.NewHandleAt(container)
			f.ok(err)
			defer inner.Close()
			if _, err := inner.LinkByName("eth0"); err == nil {
				t.Error("the container's end is still there")
			}
		})
	})
}

// TestVethDetached: of a container that left nothing passes any more, however the
// engine goes on with its end, and what somebody opens is closed again.
func TestVethDetached(t *testing.T) {
	bridged(t, func(f fixture, v spec.Veth) {
		left := spec.Veth{EndpointID: v.EndpointID, Host: v.Host, Peer: v.Peer, Detached: true}
		f.ensureVeth(left) // there is none: nothing to do
		f.ensureVeth(v, "veth "+v.Host+" was missing: created")
		f.sh("ip addr add 10.7.0.1/24 dev br0")
		moved(f, v, func(container netns.NsHandle) {
			inner, err := netlink.NewHandleAt(container)
			f.ok(err)
			defer inner.Close()
			eth, err := inner.LinkByName("eth0")
			f.ok(err)
			f.ok(inner.LinkSetUp(eth))
			received := func() uint64 {
				now, lost := inner.LinkByName("eth0")
				f.ok(lost)
				return now.Attrs().Statistics.RxPackets
			}
			// The neighbour's question for the container's address.
			ask := func() {
				f.sh("ip neigh flush dev br0")
				_ = exec.Command("ping", "-c1", "-W1", "10.7.0.2").Run()
			}
			before := received()
			if ask(); received() == before {
				t.Error("nothing reached the container before it left")
			}
			down, off := "veth "+v.Host+" of a container that left was up: set down", "veth "+v.Host+" of a container that left was on a bridge: taken off"
			f.ensureVeth(left, down, off)
			f.ensureVeth(left)
			before = received()
			if ask(); received() != before {
				t.Errorf("%d frames reached the container after it left", received()-before)
			}
			for line, fixed := range map[string]string{"ip link set HOST up": down, "ip link set HOST master br0": off} {
				f.sh(strings.ReplaceAll(line, "HOST", v.Host))
				if c := f.check(nil, left); !c.Amiss[epID] || len(c.Gone)+len(c.Outside) != 0 {
					t.Errorf("%s: %+v", line, c)
				}
				f.ensureVeth(left, fixed)
			}
			f.same(nothing(), f.check(nil, left))
			// The engine puts it back.
			f.ok(inner.LinkSetDown(eth))
			f.ok(inner.LinkSetName(eth, v.Peer))
			here, err := netns.Get()
			f.ok(err)
			defer here.Close()
			f.ok(inner.LinkSetNsFd(eth, int(here)))
			f.same(nothing(), f.check(nil, left))
			f.ok(f.DeleteVeth(context.Background(), left))
			f.same(nothing(), f.check(nil, left))
		})
	})
}

func (f fixture) veths() map[string]spec.VethInfo {
	f.t.Helper()
	all, err := f.Veths(context.Background())
	f.ok(err)
	return all
}

func TestVeths(t *testing.T) {
	bridged(t, func(f fixture, v spec.Veth) {
		f.sh("ip link add foreign type veth peer name other")
		f.ensureVeth(v, "veth "+v.Host+" was missing: created")
		index := func(name string) int {
			l, err := netlink.LinkByName(name)
			if err != nil {
				f.t.Error(err)
				return 0
			}
			return l.Attrs().Index
		}
		want := map[string]spec.VethInfo{
			epID: {Host: v.Host, HostIndex: index(v.Host), Peer: v.Peer, PeerIndex: index(v.Peer), Bridge: v.Bridge},
		}
		if d := cmp.Diff(want, f.veths()); d != "" {
			t.Errorf("peer here (-want +got):\n%s", d)
		}
		moved(f, v, func(container netns.NsHandle) {
			inner, err := netlink.NewHandleAt(container)
			f.ok(err)
			defer inner.Close()
			eth, err := inner.LinkByName("eth0")
			if err != nil {
				f.t.Error(err)
				return
			}
			want := map[string]spec.VethInfo{
				epID: {Host: v.Host, HostIndex: index(v.Host), Peer: "eth0", PeerIndex: eth.Attrs().Index, Moved: true, Bridge: v.Bridge, NetworkID: "n1"},
			}
			f.sh("ip link set br0 alias " + spec.OwnerAlias + "n1")
			if d := cmp.Diff(want, f.veths()); d != "" {
				t.Errorf("peer moved (-want +got):\n%s", d)
			}
		})
	})
}

// TestPortLimit fills a bridge to the kernel's limit.
func TestPortLimit(t *testing.T) {
	bridged(t, func(f fixture, v spec.Veth) {
		var script strings.Builder
		for i := range 1023 {
			fmt.Fprintf(&script, "link add p%d master br0 type veth peer name q%d\n", i, i)
		}
		file := t.TempDir() + "/batch"
		f.ok(os.WriteFile(file, []byte(script.String()), 0o600))
		f.sh("ip -batch " + file)
		f.refuses("EnsureVeth", func() error { _, err := f.EnsureVeth(context.Background(), v); return err },
			"bridge br0 holds 1023 ports", "use another network")
		f.sh("ip link del p17")
		f.ensureVeth(v, "veth "+v.Host+" was missing: created")
	})
}

// TestLacksIPv6: whether the container's end may have IPv6 is seen from outside, and
// nothing of the host's own links is taken for it.
func TestLacksIPv6(t *testing.T) {
	bridged(t, func(f fixture, v spec.Veth) {
		lacks := func(what string, want bool) {
			f.t.Helper()
			got, err := f.LacksIPv6(context.Background(), v)
			if f.ok(err); got != want {
				t.Errorf("%s: %t, want %t", what, got, want)
			}
		}
		lacks("no pair", false)
		f.ensureVeth(v, "veth "+v.Host+" was missing: created")
		f.sh("sysctl -qw net.ipv6.conf." + v.Peer + ".disable_ipv6=1")
		lacks("not in a container yet", false)
		f.sh("sysctl -qw net.ipv6.conf." + v.Peer + ".disable_ipv6=0")
		moved(f, v, func(container netns.NsHandle) {
			f.sh(fmt.Sprintf("ip link add decoy index %d type bridge", f.veths()[epID].PeerIndex))
			inNamespace(f, container, "sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1")
			lacks("not set up yet", false)
			inNamespace(f, container, "ip link set eth0 up")
			for _, off := range []string{"0", "1", "0"} {
				inNamespace(f, container, "sysctl -qw net.ipv6.conf.eth0.disable_ipv6="+off)
				f.sh("sysctl -qw net.ipv6.conf.decoy.disable_ipv6=" + map[string]string{"0": "1", "1": "0"}[off])
				lacks("disable_ipv6="+off, off == "1")
			}
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			if _, err := f.LacksIPv6(ctx, v); err != nil && !strings.Contains(err.Error(), v.Host) {
				t.Errorf("without time: %v", err)
			}
			other := v
			other.EndpointID = "e9"
			if got, err := f.LacksIPv6(context.Background(), other); got || err != nil {
				t.Errorf("another endpoint's name: %t, %v", got, err)
			}
		})
	})
}

// inNamespace runs a command line in another network namespace.
func inNamespace(f fixture, ns netns.NsHandle, line string) {
	f.t.Helper()
	here, err := netns.Get()
	f.ok(err)
	defer here.Close()
	f.ok(netns.Set(ns))
	defer func() { f.ok(netns.Set(here)) }()
	f.sh(line)
}
