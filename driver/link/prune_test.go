package link_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netns"

	"github.com/gangway-net/gangway/driver/spec"
)

func TestPrune(t *testing.T) {
	bridged(t, func(f fixture, v spec.Veth) {
		ctx := context.Background()
		f.sh("ip link add foreign alias mine type veth peer name other")
		f.sh("ip link set foreign alias mine")
		f.sh("ip link set br0 alias mine")
		known, unknown := dualStack(), dualStack()
		unknown.Name, unknown.NetworkID, unknown.Addresses = "gw-fedcba987654", otherID, prefixes("10.8.0.1/24")
		f.ensure(known, "bridge "+known.Name+" was missing: created")
		f.ensureVeth(v, "veth "+v.Host+" was missing: created")
		f.sh("ip link add br1 type bridge")
		lent := spec.Bridge{Name: "br1", NetworkID: "a1", Adopted: true}
		if _, err := f.EnsureBridge(ctx, lent); err != nil {
			t.Error(err)
		}
		good := f.dump()

		f.ensure(unknown, "bridge "+unknown.Name+" was missing: created")
		orphan := spec.Veth{EndpointID: "e9", Host: "gv-e9", Peer: "gp-e9", Bridge: unknown.Name}
		f.ensureVeth(orphan, "veth gv-e9 was missing: created")
		f.sh("ip link add br2 type bridge")
		_, err := f.EnsureBridge(ctx, spec.Bridge{Name: "br2", NetworkID: "a2", Adopted: true, Addresses: prefixes("10.9.0.1/24")})
		f.ok(err)

		removed, err := f.Prune(ctx, []spec.Bridge{known, lent}, []spec.Veth{v})
		f.ok(err)
		want := []string{
			"bridge gw-fedcba987654 of the unknown network " + otherID + ": removed",
			"changes to bridge br2 for the unknown network a2: taken back",
			"veth gv-e9 of the unknown endpoint e9: removed",
		}
		if d := cmp.Diff(want, sorted(removed)); d != "" {
			t.Errorf("removed (-want +got):\n%s", d)
		}
		f.sh("ip link del br2")
		f.unchanged("pruning", good)
		removed, err = f.Prune(ctx, []spec.Bridge{known, lent}, []spec.Veth{v})
		if err != nil || removed != nil {
			t.Errorf("second prune: %q, %v", removed, err)
		}
	})
}

// TestPruneRenamed: who only lost its name gets it back, with all that it has. Of two
// that which a container uses stays.
func TestPruneRenamed(t *testing.T) {
	ctx := context.Background()
	prune := func(f fixture, b spec.Bridge, v spec.Veth, want ...string) {
		t.Helper()
		f.lines("Prune", func() ([]string, error) { return f.Prune(ctx, []spec.Bridge{b}, []spec.Veth{v}) }, want)
	}
	bridged(t, func(f fixture, v spec.Veth) {
		b := dualStack()
		v.Bridge = b.Name
		f.ensure(b, "bridge "+b.Name+" was missing: created")
		f.ensureVeth(v, "veth "+v.Host+" was missing: created")
		moved(f, v, func(netns.NsHandle) {
			pair := func() string { return strings.SplitN(f.sh("ip -o link show "+v.Host), ":", 2)[0] }
			used := pair()
			good := f.dump()
			f.rename(b.Name, "one")
			f.rename(v.Host, "two")
			prune(f, b, v, "bridge "+b.Name+" was called one: renamed", "veth "+v.Host+" was called two: renamed")
			// Kernels before 6.2 have it down for that.
			_, err := f.EnsureBridge(ctx, b)
			f.ok(err)
			_, err = f.EnsureVeth(ctx, v)
			f.ok(err)
			f.same(nothing(), f.check([]spec.Bridge{b}, v))
			f.same(good, f.dump())

			// Somebody made them anew before: a daemon that knew nothing of the old ones.
			f.rename(b.Name, "one")
			f.rename(v.Host, "two")
			f.another(func(f fixture) {
				f.ensure(b, "bridge "+b.Name+" was missing: created")
				f.ensureVeth(v, "veth "+v.Host+" was missing: created")
			})
			prune(f, b, v, "a second bridge one of the network "+netID+": removed", "veth "+v.Host+" was called two: renamed")
			f.same(used, pair())

			f.rename(v.Host, "two")
			f.sh("ip link add " + v.Host + " type bridge")
			removed, err := f.Prune(ctx, []spec.Bridge{b}, []spec.Veth{v})
			if err == nil || !strings.Contains(err.Error(), "remove or rename it") || len(removed) > 0 {
				t.Errorf("a foreign link has the name: %q, %v", removed, err)
			}
		})
	})
}
