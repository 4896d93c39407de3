package link_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/driver/spec"
	"github.com/gangway-net/gangway/integration/testkit"
)

// furtherOf is a further bridge of br0.
func furtherOf(number int) spec.FurtherBridge {
	return spec.FurtherBridge{NetworkID: netID, Number: number, Name: fmt.Sprintf("gw-%s-%d", netID[:9], number), First: "br0", MTU: 1400}
}

func (f fixture) ensureFurther(b spec.FurtherBridge, want ...string) {
	f.t.Helper()
	f.lines("EnsureFurtherBridge", func() ([]string, error) { return f.EnsureFurtherBridge(context.Background(), b) }, want)
}

// ownBridge has br0 be the network's own.
func ownBridge(t *testing.T, do func(f fixture, first spec.Bridge)) {
	t.Helper()
	inside(t, func(f fixture) {
		first := spec.Bridge{Name: "br0", NetworkID: netID, MTU: 1400}
		_, err := f.EnsureBridge(context.Background(), first)
		f.ok(err)
		do(f, first)
	})
}

// TestFurtherBridgeLife: what a further bridge is made of, and that nothing is left of it.
func TestFurtherBridgeLife(t *testing.T) {
	ownBridge(t, func(f fixture, first spec.Bridge) {
		b, ctx := furtherOf(2), context.Background()
		empty := f.dump()
		f.ensureFurther(b, "bridge "+b.Name+" was missing: created", "veth "+b.Near()+" was missing: created")
		mac := strings.Fields(f.sh("ip -br link show dev br0"))[2]
		f.contains(f.sh("ip -d link show dev "+b.Name), "alias gangway:"+netID+"/2\n", "group 18264", "UP", "stp_state 0")
		f.contains(f.sh("ip -d link show dev "+b.Near()), "master br0", "mtu 1400", "link/ether "+mac, "alias gangway:"+netID+"/2\n", "UP", "hairpin off", "isolated off", "bcast_flood on", "mcast_flood on")
		f.contains(f.sh("ip -d link show dev "+b.Far()), "master "+b.Name, "mtu 1400", "alias gangway:"+netID+"/2/far", "UP", "isolated off", "bcast_flood on")
		for _, name := range []string{b.Name, b.Near(), b.Far()} {
			if got := f.sysctl("net/ipv6/conf/" + name + "/disable_ipv6"); got != "1" {
				t.Errorf("disable_ipv6 of %s is %s", name, got)
			}
		}
		f.contains(f.sh("tc filter show dev "+b.Name+" ingress"), "bpf")
		f.contains(f.sh("tc filter show dev "+b.Near()+" ingress"), "mirred (Ingress Redirect to device br0)")
		b.Isolated = true
		f.ensureFurther(b, "veth "+b.Near()+": broadcast from other ports was true: set to false", "veth "+b.Near()+": multicast from other ports was true: set to false")
		f.ok(f.DeleteFurtherBridge(ctx, b))
		f.ok(f.DeleteFurtherBridge(ctx, b))
		f.unchanged("creating and deleting", empty)
		b.First = "br9"
		f.refuses("EnsureFurtherBridge", func() error { _, err := f.EnsureFurtherBridge(ctx, b); return err }, "no bridge of that name", "br9")
	})
}

// TestFurtherBridgeFollows: what follows the way out grows with it and never shrinks, and without a size is as the first bridge.
func TestFurtherBridgeFollows(t *testing.T) {
	ownBridge(t, func(f fixture, _ spec.Bridge) {
		b := furtherOf(2)
		b.Follows, b.MTU = true, 0
		f.ensureFurther(b, "bridge "+b.Name+" was missing: created", "veth "+b.Near()+" was missing: created")
		f.contains(f.sh("ip link show dev "+b.Near()), "mtu 1400")
		b.MTU = 1450
		f.ensureFurther(b, "veth "+b.Near()+": MTU was 1400: set to 1450", "veth "+b.Far()+": MTU was 1400: set to 1450")
		b.MTU = 1300
		f.ensureFurther(b)
	})
}

// TestFurtherBridgeNames: links of others under the names are left alone, and what a crash leaves is gone on with.
func TestFurtherBridgeNames(t *testing.T) {
	b := furtherOf(2)
	for _, c := range []struct{ name, before, refused string }{
		{"a link of others", "ip link add " + b.Name + " type bridge", "is not the network's"},
		{"another kind", "ip link add " + b.Name + " type veth", "is not the network's"},
		{"near end of others", "ip link add " + b.Near() + " type bridge", "is not the network's"},
		{"far end of others", "ip link add " + b.Far() + " type bridge", "create veth"},
		{"unfinished bridge", "ip link add " + b.Name + " group 18264 type bridge", ""},
		{"unfinished pair", "ip link add " + b.Near() + " type veth peer name " + b.Far(), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			ownBridge(t, func(f fixture, first spec.Bridge) {
				f.sh(c.before)
				before := f.dump()
				_, err := f.EnsureFurtherBridge(context.Background(), b)
				if c.refused == "" {
					f.ok(err)
					f.ensureFurther(b)
					return
				}
				if err == nil || !strings.Contains(err.Error(), c.refused) {
					t.Errorf("%v, want %q", err, c.refused)
				}
				f.unchanged("refusing", before)
				f.ok(f.DeleteFurtherBridge(context.Background(), b))
				f.unchanged("deleting what is of others", before)
			})
		})
	}
}

// TestFurtherBridgePruned: a further bridge that belongs to nobody goes with what joins it, one that is wanted stays, and gets its
// names back; its joining pair is no pair of an endpoint.
func TestFurtherBridgePruned(t *testing.T) {
	ownBridge(t, func(f fixture, first spec.Bridge) {
		b, ctx := furtherOf(2), context.Background()
		f.ensureFurther(b, "bridge "+b.Name+" was missing: created", "veth "+b.Near()+" was missing: created")
		v := pair(b.Name)
		v.First = "br0"
		f.ensureVeth(v, "veth "+v.Host+" was missing: created")
		f.contains(f.sh("ip -d link show dev "+v.Host), "master "+b.Name, "hairpin off")
		want := []spec.Bridge{first, {Name: b.Name, NetworkID: b.Owner()}}
		f.lines("Prune", func() ([]string, error) { return f.Prune(ctx, want, []spec.Veth{v}) }, nil)
		if got := f.veths(); len(got) != 1 || got[epID].NetworkID != netID || got[epID].Further != 2 || got[epID].Bridge != b.Name {
			t.Errorf("pairs %+v", got)
		}
		for _, name := range []string{b.Name, b.Near(), b.Far()} {
			f.rename(name, "other")
			f.lines("Prune", func() ([]string, error) { return f.Prune(ctx, want, []spec.Veth{v}) }, []string{kindOf(b, name) + " " + name + " was called other: renamed"})
			_, err := f.EnsureFurtherBridge(ctx, b)
			f.ok(err)
		}
		f.ok(f.DeleteVeth(ctx, v))
		removed, err := f.Prune(ctx, []spec.Bridge{first}, nil)
		f.ok(err)
		if len(removed) < 2 || strings.Contains(f.dump(), netID+"/") {
			t.Errorf("removed %q, left\n%s", removed, f.dump())
		}
	})
}

// TestFurtherBridgePorts: what joins the bridges is no foreign port and leads nowhere outside, and a port of others on a further
// bridge is one of the network.
func TestFurtherBridgePorts(t *testing.T) {
	ownBridge(t, func(f fixture, _ spec.Bridge) {
		b, ctx := furtherOf(2), context.Background()
		f.ensureFurther(b, "bridge "+b.Name+" was missing: created", "veth "+b.Near()+" was missing: created")
		foreign, err := f.ForeignPorts(ctx)
		if f.ok(err); len(foreign) != 0 {
			t.Errorf("foreign ports %+v", foreign)
		}
		f.sh("ip link add tap0 master " + b.Name + " type veth peer name tap1")
		if foreign, err = f.ForeignPorts(ctx); len(foreign) != 1 || foreign[0].NetworkID != netID || foreign[0].Bridge != b.Name {
			t.Errorf("foreign ports %+v, %v", foreign, err)
		}
		outside, err := f.Outside(ctx)
		f.ok(err)
		for _, o := range outside {
			if o.Name == b.Name || o.Name == b.Near() || o.Name == b.Far() {
				t.Errorf("%s leads outside", o.Name)
			}
		}
	})
}

// TestFurtherBridgeLeavesForeign: who has put a port on a further bridge stays on the network when that goes, whoever takes it away, and is
// on no bridge without a first one.
func TestFurtherBridgeLeavesForeign(t *testing.T) {
	for name, c := range map[string]struct {
		remove func(f fixture, first spec.Bridge, b spec.FurtherBridge) error
		master string
	}{
		"the last container leaves": {func(f fixture, _ spec.Bridge, b spec.FurtherBridge) error {
			return f.DeleteFurtherBridge(context.Background(), b)
		}, "br0"},
		"after a restart": {func(f fixture, first spec.Bridge, _ spec.FurtherBridge) error {
			_, err := f.Prune(context.Background(), []spec.Bridge{first}, nil)
			return err
		}, "br0"},
		"the network is gone": {func(f fixture, _ spec.Bridge, _ spec.FurtherBridge) error {
			_, err := f.Prune(context.Background(), nil, nil)
			return err
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			ownBridge(t, func(f fixture, first spec.Bridge) {
				b := furtherOf(2)
				f.ensureFurther(b, "bridge "+b.Name+" was missing: created", "veth "+b.Near()+" was missing: created")
				f.sh("ip link add tap0 type veth peer name tap1")
				f.sh("ip link set tap0 up master " + b.Name)
				f.ok(c.remove(f, first, b))
				if port := f.sh("ip link show dev tap0"); !strings.Contains(port, ",UP") || strings.Contains(port, "master") != (c.master != "") || !strings.Contains(port, c.master) {
					t.Errorf("the port is %s", port)
				}
				if strings.Contains(f.dump(), b.Name) {
					t.Error("the bridge is there")
				}
			})
		})
	}
}

func kindOf(b spec.FurtherBridge, name string) string {
	if name == b.Name {
		return "bridge"
	}
	return "veth"
}

// TestForwarded: the first bridge knows where an address is for as long as the port is there, and forgets it when told.
func TestForwarded(t *testing.T) {
	ownBridge(t, func(f fixture, first spec.Bridge) {
		b, ctx := furtherOf(2), context.Background()
		e := spec.Forwarded{EndpointID: epID, Port: b.Near(), MAC: net.HardwareAddr{2, 0x42, 10, 7, 0, 2}}
		amiss := func(want bool) {
			f.t.Helper()
			got, err := f.Amiss(ctx, []spec.Object{e})
			if f.ok(err); (len(got) > 0) != want {
				t.Errorf("amiss: %v, want %t", got, want)
			}
		}
		amiss(false) // the port comes first
		_, err := f.Ensure(ctx, e)
		f.ok(err)
		f.ensureFurther(b, "bridge "+b.Name+" was missing: created", "veth "+b.Near()+" was missing: created")
		amiss(true)
		fixed, err := f.Ensure(ctx, e)
		if f.ok(err); len(fixed) != 1 {
			t.Errorf("mended %q", fixed)
		}
		f.contains(f.sh("bridge fdb show brport "+b.Near()), e.MAC.String()+" master br0 static")
		amiss(false)
		f.ok(f.Remove(ctx, e))
		f.ok(f.Remove(ctx, e))
		amiss(true)
		if show := f.sh("bridge fdb show brport " + b.Near()); strings.Contains(show, e.MAC.String()) {
			t.Errorf("left: %s", show)
		}
	})
}

// large is how many containers TestThreeThousand has.
const large = 3000

// TestThreeThousand: 3000 containers on one network of three bridges, on links alone. One look shows nothing amiss; what one
// sends to another comes to that one, and what is for everybody to each once.
func TestThreeThousand(t *testing.T) {
	ownBridge(t, func(f fixture, first spec.Bridge) {
		ctx, began := context.Background(), time.Now()
		bridges := []spec.Bridge{first}
		for number := 2; number <= 3; number++ {
			b := furtherOf(number)
			_, err := f.EnsureFurtherBridge(ctx, b)
			f.ok(err)
			bridges = append(bridges, spec.Bridge{Name: b.Name, NetworkID: b.Owner()})
		}
		var all []spec.Veth
		for i := range large {
			v := thousandth(i)
			_, err := f.EnsureVeth(ctx, v)
			if f.ok(err); err != nil {
				return
			}
			if v.First != "" {
				_, err = f.Ensure(ctx, spec.Forwarded{EndpointID: v.EndpointID, Port: spec.NearEnd(v.Bridge), MAC: v.MAC})
				f.ok(err)
			}
			all = append(all, v)
		}
		made := time.Since(began)
		began = time.Now()
		c, err := f.Check(ctx, spec.Scope{All: true}, bridges, all)
		f.ok(err)
		if len(c.Gone)+len(c.Orphans) > 0 || len(c.Outside) != large {
			t.Errorf("gone %d, orphans %v, outside of a container %d", len(c.Gone), c.Orphans, len(c.Outside))
		}
		t.Logf("%d pairs made in %s, looked at in %s", large, made, time.Since(began))
		f.crosses(all[0], all[999], all[1000], all[1999], all[2000], all[large-1])
	})
}

// thousandth is the pair of the i-th container, on the i/1000-th bridge.
func thousandth(i int) spec.Veth {
	v := pair("br0")
	v.EndpointID = fmt.Sprintf("%012d", i)
	v.Host, v.Peer = "gv-"+v.EndpointID, "gp-"+v.EndpointID
	v.Addresses = []netip.Addr{netip.AddrFrom4([4]byte{10, 7, byte(i / 200), byte(10 + i%200)})}
	v.MAC = net.HardwareAddr{2, 0x42, 10, 7, byte(i / 200), byte(10 + i%200)}
	v.Reserved = []netip.Prefix{netip.MustParsePrefix("10.7.0.0/16")}
	if number := i/1000 + 1; number > 1 {
		v.Bridge, v.First = furtherOf(number).Name, "br0"
	}
	return v
}

// crosses has each of the containers send to each other one, and to everybody.
func (f fixture) crosses(some ...spec.Veth) {
	f.t.Helper()
	sockets := map[string]int{}
	w := &wire{fixture: f}
	for _, v := range some {
		f.sh("ip link set " + v.Peer + " up")
		f.eventually("forwarding port", func() error {
			if show := f.sh("bridge link show dev " + v.Host); !strings.Contains(show, "state forwarding") {
				return fmt.Errorf("%s", show)
			}
			return nil
		})
		sockets[v.Peer] = w.socket(v.Peer)
	}
	everybody := net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	frame := func(to net.HardwareAddr, from spec.Veth, text string) []byte {
		return append(append(append([]byte{}, to...), append(from.MAC[:6:6], 0x88, 0xb5)...), []byte(fmt.Sprintf("%-46s", text))...)
	}
	for _, from := range some {
		for _, to := range some {
			w.send(sockets[from.Peer], frame(to.MAC, from, "for "+to.Host+" of "+from.Host))
		}
		w.send(sockets[from.Peer], frame(everybody, from, "for all of "+from.Host))
		w.send(sockets[from.Peer], frame(everybody, from, "last of "+from.Host))
		for _, to := range some {
			if to.Peer == from.Peer {
				continue
			}
			counts, buf := map[string]int{}, make([]byte, 2048)
			for counts["last of "+from.Host] == 0 {
				n, _, err := testkit.Receive(sockets[to.Peer], buf)
				if err != nil {
					f.t.Errorf("%s heard %v of %s, and nothing more: %v", to.Host, counts, from.Host, err)
					return
				}
				if text := strings.TrimSpace(string(buf[14:n])); strings.HasSuffix(text, " of "+from.Host) {
					counts[text]++
				}
			}
			if len(counts) != 3 || counts["for "+to.Host+" of "+from.Host] != 1 || counts["for all of "+from.Host] != 1 {
				f.t.Errorf("%s heard %v of %s", to.Host, counts, from.Host)
			}
		}
	}
}
