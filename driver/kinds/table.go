package kinds

import (
	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/driver/commit"
	"github.com/gangway-net/gangway/driver/drift"
	"github.com/gangway-net/gangway/driver/lock"
	"github.com/gangway-net/gangway/driver/owners"
	"github.com/gangway-net/gangway/driver/spec"
)

// Parts are what the kinds work with.
type Parts struct {
	Kernel Kernel
	Ports  Ports
	// Zones is nil where there is no manager of the host's firewall.
	Zones      Zones
	Forwarding Forwarding
	Desired    *commit.Desired
	Owners     *owners.Book
	Health     *drift.Health
	Log        *logrus.Entry
}

// Table lists the kinds of objects in the order in which they come, and are checked;
// they go in the opposite one. The firewall's rules, which are one step both ways,
// have their place between the first and the others:
//   - Host ports come before rules lead there, and go after: nobody else gets a port that
//     rules still lead to a container.
//   - Links come after rules and go before, so that a container is never reachable
//     without its network's isolation.
//   - The host answers for a container when its pair is there, and first ends that.
//   - The manager of the host's firewall comes last: it may take its time.
//
// How an object prints itself is part of it; see spec.Object.
func Table(p Parts) drift.Kinds {
	ports := hostPorts{p.Ports, p.Desired, p.Health}
	passing := forwarding{p.Forwarding, p.Log, lock.New()}
	addresses := proxied{p}
	zones := zones{p}
	return drift.Kinds{
		First: []drift.Kind{
			{Kind: commit.KindOf(spec.KindHostPorts, ports.actions()), Check: ports.check},
		},
		Then: []drift.Kind{
			{Kind: commit.KindOf(spec.KindBridge, inKernel[spec.Bridge](p.Kernel)), Check: checkLinks},
			{Kind: commit.KindOf(spec.KindFurtherBridge, inKernel[spec.FurtherBridge](p.Kernel)), CheckedWith: spec.KindBridge},
			{Kind: commit.KindOf(spec.KindLANPort, inKernel[spec.LANPort](p.Kernel)), Check: lanPorts(p).check},
			{Kind: commit.KindOf(spec.KindSteering, inKernel[spec.Steering](p.Kernel)), Check: steerings(p).check},
			{Kind: commit.KindOf(spec.KindNDPProxy, inKernel[spec.NDPProxy](p.Kernel)), Check: ndpProxies{p}.check},
			{Kind: commit.KindOf(spec.KindForwarding, passing.actions()), CheckedWith: spec.KindBridge},
			{Kind: commit.KindOf(spec.KindPair, pairs(p.Kernel)), CheckedWith: spec.KindBridge},
			{Kind: commit.KindOf(spec.KindForwarded, inKernel[spec.Forwarded](p.Kernel)), Check: forwarded(p).check},
			{Kind: commit.KindOf(spec.KindShaper, inKernel[spec.Shaper](p.Kernel)), Check: shapers(p).check},
			{Kind: commit.KindOf(spec.KindMirror, inKernel[spec.Mirror](p.Kernel)), Check: mirrors(p).check},
			{Kind: commit.KindOf(spec.KindProxied, inKernel[spec.Proxied](p.Kernel)), Check: addresses.check},
			{Kind: commit.KindOf(spec.KindZone, zones.actions()), Check: zones.check},
		},
	}
}
