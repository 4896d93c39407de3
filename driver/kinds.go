package driver

import (
	"context"

	"github.com/gangway-net/gangway/driver/commit"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// kinds lists the kinds of objects in the order in which they come, and are checked (see
// repair); they go in the opposite one. The firewall's rules, which are one step both ways,
// have their place between the first and the others:
//   - Host ports come before rules lead there, and go after: nobody else gets a port that
//     rules still lead to a container.
//   - Links come after rules and go before, so that a container is never reachable
//     without its network's isolation.
//   - The manager of the host's firewall comes last: it may take its time.
func (d *Driver) kinds() commit.Kinds {
	return commit.Kinds{
		First: []commit.Kind{
			commit.KindOf(spec.KindHostPorts, commit.Actions[spec.HostPorts]{Ensure: d.holdPorts, Trim: d.keepPorts, Remove: d.releasePorts}),
		},
		Then: []commit.Kind{
			commit.KindOf(spec.KindBridge, commit.Actions[spec.Bridge]{Ensure: d.o.Links.EnsureBridge, Remove: d.o.Links.DeleteBridge}),
			commit.KindOf(spec.KindForwarding, commit.Actions[spec.Forwarding]{Ensure: d.ensureForwarding}),
			commit.KindOf(spec.KindPair, commit.Actions[spec.Veth]{Ensure: d.o.Links.EnsureVeth, Trim: d.cutPair, Remove: d.o.Links.DeleteVeth}),
			commit.KindOf(spec.KindZone, commit.Actions[spec.Zone]{Ensure: d.enterZone, Remove: d.leaveZone}),
		},
	}
}

func (d *Driver) cutPair(ctx context.Context, v spec.Veth) error {
	_, err := d.o.Links.EnsureVeth(ctx, v)
	return err
}

func (d *Driver) ensureForwarding(ctx context.Context, f spec.Forwarding) ([]string, error) {
	fixed, err := d.forward(ctx, firewall.Family(f.Six))
	for _, line := range fixed {
		d.o.Log.Info(line)
	}
	return fixed, err
}
