package link_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netns"

	"github.com/gangway-net/gangway/driver/spec"
)

func (f fixture) check(bridges []spec.Bridge, veths ...spec.Veth) spec.LinkCheck {
	f.t.Helper()
	c, err := f.Check(context.Background(), bridges, veths)
	f.ok(err)
	return c
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
		"name":         "ip link set HOST name other",
	}
	for name, damage := range tests {
		bridged(t, func(f fixture, v spec.Veth) {
			f.sh("ip link add br1 up type bridge")
			f.ensureVeth(v, "veth "+v.Host+" was missing: created")
			if !f.check(nil, v).Amiss[epID] {
				t.Error("a pair that no container has yet is not amiss")
			}
			moved(f, v, func(netns.NsHandle) {
				if c := f.check(nil, v); c.Amiss[epID] || c.Gone[epID] || c.Strays {
					t.Errorf("as it should be: %+v", c)
				}
				f.sh(strings.ReplaceAll(damage, "HOST", v.Host))
				c := f.check(nil, v)
				if want := name != "nothing"; c.Amiss[epID] != want || c.Gone[epID] || c.Strays {
					t.Errorf("%s: %+v", name, c)
				}
			})
			f.ok(f.DeleteVeth(context.Background(), v))
		})
	}
}

func TestCheckSeesGoneAndStrays(t *testing.T) {
	bridged(t, func(f fixture, v spec.Veth) {
		empty := spec.LinkCheck{Gone: map[string]bool{}, Amiss: map[string]bool{}}
		want := empty
		want.Gone = map[string]bool{epID: true}
		f.same(want, f.check(nil, v))
		f.ensureVeth(v, "veth "+v.Host+" was missing: created")
		want = empty
		want.Strays = true
		f.same(want, f.check(nil))
		f.ok(f.DeleteVeth(context.Background(), v))

		own := spec.Bridge{Name: "gw-own", NetworkID: netID}
		lent := spec.Bridge{Name: "br0", NetworkID: otherID, Adopted: true}
		for _, b := range []spec.Bridge{own, lent} {
			_, err := f.EnsureBridge(context.Background(), b)
			f.ok(err)
		}
		f.same(empty, f.check([]spec.Bridge{own, lent}))
		f.same(want, f.check([]spec.Bridge{own}))
		f.same(want, f.check([]spec.Bridge{lent}))
		_, err := f.Sweep(context.Background(), nil, nil)
		f.ok(err)
		f.same(empty, f.check(nil))
	})
}

func (f fixture) same(want, got spec.LinkCheck) {
	f.t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		f.t.Errorf("(-want +got):\n%s", d)
	}
}
