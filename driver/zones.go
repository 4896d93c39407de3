package driver

import (
	"context"
	"slices"

	"github.com/gangway-net/gangway/driver/spec"
)

// enterZone has a bridge enter the zone of the host's firewall manager. A manager that
// does not follow, say because it reloads, is no reason to refuse a network: Reconcile
// asks it again.
func (d *Driver) enterZone(ctx context.Context, z spec.Zone) ([]string, error) {
	if d.o.Zones != nil {
		d.warnZone(d.o.Zones.Enter(ctx, z.Bridge))
	}
	return nil, nil
}

func (d *Driver) leaveZone(ctx context.Context, z spec.Zone) error {
	if d.o.Zones != nil {
		d.warnZone(d.o.Zones.Leave(ctx, z.Bridge))
	}
	return nil
}

func (d *Driver) warnZone(err error) {
	if err != nil {
		d.o.Log.WithError(err).Warn("the host's firewall manager does not follow; it is asked again")
	}
}

// zoned returns the bridges that have to be in the zone, and those that a verb is
// about to have enter or leave it. A verb is among the latter from the moment on at
// which the state follows it, so that whoever compares the zone with both takes
// nothing for damage that is a verb's.
//
// A bridge that gangway only uses is in neither: it is the administrator's, and so
// is its place there. Behind it may be a whole network, to which the host would be
// opened.
func (d *Driver) zoned() (bridges, moving []string) {
	s, unlock := d.desired.Read()
	defer unlock()
	moving = d.desired.AllMoving()
	for _, v := range d.owners.Unclaimed() {
		if !d.desired.Moving(v.Bridge) && s.Bridges[v.Bridge] == nil && !slices.Contains(moving, v.Bridge) {
			moving = append(moving, v.Bridge)
		}
	}
	for name, n := range s.Bridges {
		if !n.Adopted && !d.desired.Moving(name) {
			bridges = append(bridges, name)
		}
	}
	slices.Sort(bridges)
	slices.Sort(moving)
	return bridges, moving
}
