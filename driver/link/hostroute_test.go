package link_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/driver/spec"
)

// TestHostRoutes: the host's routes by a bridge come with it and back to it, are marked, and go
// with it; one of somebody else stays, and is an error.
func TestHostRoutes(t *testing.T) {
	inside(t, func(f fixture) {
		ctx := context.Background()
		b := dualStack()
		b.Routes = []spec.Route{
			{To: netip.MustParsePrefix("10.9.0.0/16"), Via: netip.MustParseAddr("10.7.0.5")},
			{To: netip.MustParsePrefix("fd09::/64"), Via: netip.MustParseAddr("fd07::5")},
		}
		f.ensure(b, "bridge "+b.Name+" was missing: created")
		f.contains(f.sh("ip route show proto 71")+f.sh("ip -6 route show proto 71"), "10.9.0.0/16 via 10.7.0.5 dev "+b.Name, "fd09::/64 via fd07::5 dev "+b.Name)
		f.ensure(b)
		f.sh("ip route del 10.9.0.0/16")
		f.ensure(b, "bridge "+b.Name+": route to 10.9.0.0/16 by 10.7.0.5 was missing: added")
		f.sh("ip -6 route del fd09::/64")
		f.sh("ip route replace 10.9.0.0/16 via 10.7.0.6 dev " + b.Name)
		if _, err := f.EnsureBridge(ctx, b); err == nil || !strings.Contains(err.Error(), "the host has another route to 10.9.0.0/16") {
			t.Errorf("beside a route of others: %v", err)
		}
		f.contains(f.sh("ip route show 10.9.0.0/16"), "via 10.7.0.6")
		f.sh("ip route del 10.9.0.0/16")
		f.ensure(b, "bridge "+b.Name+": route to 10.9.0.0/16 by 10.7.0.5 was missing: added", "bridge "+b.Name+": route to fd09::/64 by fd07::5 was missing: added")
		f.ok(f.DeleteBridge(ctx, b))
		if left := f.sh("ip route show proto 71") + f.sh("ip -6 route show proto 71"); left != "" {
			t.Errorf("left: %s", left)
		}
	})
}

// TestHostRoutesOfAdopted: a bridge that is given back has no route of gangway's any more, and all
// others.
func TestHostRoutesOfAdopted(t *testing.T) {
	bridged(t, func(f fixture, _ spec.Veth) {
		ctx := context.Background()
		f.sh("ip address add 10.7.0.1/24 dev br0")
		f.sh("ip route add 10.8.0.0/16 via 10.7.0.9")
		before := f.dump()
		b := spec.Bridge{Name: "br0", NetworkID: "a1", Adopted: true, Addresses: prefixes("10.7.0.1/24"),
			Routes: []spec.Route{{To: netip.MustParsePrefix("10.9.0.0/16"), Via: netip.MustParseAddr("10.7.0.5")}}}
		_, err := f.EnsureBridge(ctx, b)
		f.ok(err)
		f.contains(f.sh("ip route"), "10.9.0.0/16 via 10.7.0.5", "10.8.0.0/16 via 10.7.0.9")
		f.ok(f.DeleteBridge(ctx, b))
		f.unchanged("giving it back", before)
	})
}
