package link_test

import (
	"context"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/gangway-net/gangway/driver/spec"
)

// check looks at all links, and at each by its name, which has to show the same; a
// look at others shows nothing.
func (f fixture) check(bridges []spec.Bridge, veths ...spec.Veth) spec.LinkCheck {
	f.t.Helper()
	look := func(of spec.Scope) spec.LinkCheck {
		c, err := f.Check(context.Background(), of, bridges, veths)
		f.ok(err)
		return c
	}
	all := look(spec.Scope{All: true})
	var each spec.Scope
	links, err := netlink.LinkList()
	f.ok(err)
	for _, l := range links {
		each.Add(l.Attrs().Name)
	}
	for _, v := range veths {
		each.Add(v.Host)
	}
	f.same(all, look(each))
	var others spec.Scope
	others.Add("lo")
	others.Add("none")
	f.same(nothing(), look(others))
	f.same(nothing(), look(spec.Scope{}))
	return all
}

// nothing is what a look at links shows that are as they should be.
func nothing() spec.LinkCheck {
	return spec.LinkCheck{Gone: map[string]bool{}, Amiss: map[string]bool{}, Outside: map[string]bool{}, Orphans: map[string]bool{}}
}

// What EnsureVeth would mend, one look at all links shows.
func TestCheckSeesDrift(t *testing.T) {
	tests := map[string]string{
		"nothing":      "true",
		"no master":    "ip link set HOST nomaster",
		"other master": "ip link set HOST master br1",
		"down":         "ip link set HOST down",
		"mtu":          "ip link set HOST mtu 1300",
		"hairpin":      "bridge link set dev HOST hairpin off",
		"isolation":    "bridge link set dev HOST isolated on",
		"ipv6":         "sysctl -w net.ipv6.conf.HOST.disable_ipv6=0",
	}
	for name, damage := range tests {
		bridged(t, func(f fixture, v spec.Veth) {
			f.sh("ip link add br1 up type bridge")
			f.ensureVeth(v, "veth "+v.Host+" was missing: created")
			if c := f.check(nil, v); !c.Amiss[epID] || !c.Outside[epID] {
				t.Errorf("a pair that no container has yet: %+v", c)
			}
			moved(f, v, func(netns.NsHandle) {
				if c := f.check(nil, v); c.Amiss[epID] || c.Outside[epID] || c.Gone[epID] || len(c.Orphans) > 0 {
					t.Errorf("as it should be: %+v", c)
				}
				f.sh(strings.ReplaceAll(damage, "HOST", v.Host))
				c := f.check(nil, v)
				if want := name != "nothing"; c.Amiss[epID] != want || c.Gone[epID] || len(c.Orphans) > 0 {
					t.Errorf("%s: %+v", name, c)
				}
			})
			f.ok(f.DeleteVeth(context.Background(), v))
		})
	}
}

func TestCheckSeesGoneAndStrays(t *testing.T) {
	bridged(t, func(f fixture, v spec.Veth) {
		gone := nothing()
		gone.Gone[epID] = true
		f.same(gone, f.check(nil, v))
		orphans := func(names ...string) spec.LinkCheck {
			c := nothing()
			for _, name := range names {
				c.Orphans[name] = true
			}
			return c
		}
		f.ensureVeth(v, "veth "+v.Host+" was missing: created")
		f.same(orphans(v.Host), f.check(nil))
		moved(f, v, func(netns.NsHandle) {
			f.sh("ip link set " + v.Host + " down")
			f.sh("ip link set " + v.Host + " name other")
			f.same(orphans("other"), f.check(nil, v))
			f.sh("ip link set other name " + v.Host)
		})
		f.ok(f.DeleteVeth(context.Background(), v))

		own := spec.Bridge{Name: "gw-own", NetworkID: netID}
		lent := spec.Bridge{Name: "br0", NetworkID: otherID, Adopted: true}
		for _, b := range []spec.Bridge{own, lent} {
			_, err := f.EnsureBridge(context.Background(), b)
			f.ok(err)
		}
		f.same(nothing(), f.check([]spec.Bridge{own, lent}))
		f.same(orphans(lent.Name), f.check([]spec.Bridge{own}))
		f.same(orphans(own.Name), f.check([]spec.Bridge{lent}))
		f.sh("ip link set gw-own down")
		f.sh("ip link set gw-own name other")
		f.same(orphans("other"), f.check([]spec.Bridge{own, lent}))
		_, err := f.Prune(context.Background(), nil, nil)
		f.ok(err)
		f.same(nothing(), f.check(nil))
	})
}

// The filter of a pair that is kept from the others knows its bridge's hardware
// address, which another one's does not.
func TestCheckOfABridge(t *testing.T) {
	for _, isolated := range []bool{true, false} {
		bridged(t, func(f fixture, v spec.Veth) {
			fixMAC(f)
			v = filtered(v)
			v.Isolated = isolated
			f.ensureVeth(v, "veth "+v.Host+" was missing: created")
			moved(f, v, func(netns.NsHandle) {
				f.same(nothing(), f.check(nil, v))
				f.sh("ip link set br0 address 02:00:00:00:00:aa")
				var of spec.Scope
				of.Add(v.Bridge)
				c, err := f.Check(context.Background(), of, nil, []spec.Veth{v})
				f.ok(err)
				want := nothing()
				if isolated {
					want.Amiss[epID] = true
				}
				f.same(want, c)
			})
		})
	}
}
