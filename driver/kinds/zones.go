package kinds

import (
	"context"
	"slices"
	"time"

	"github.com/gangway-net/gangway/driver/commit"
	"github.com/gangway-net/gangway/driver/drift"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
)

// Zones has a manager of the host's firewall let bridges be that would reject
// what they forward. Package firewalld is the real one. Where there is no such
// manager, nothing is done; one that does not answer is an error soon.
type Zones interface {
	// Enter puts a bridge, which need not exist yet, where its packets pass.
	Enter(ctx context.Context, bridge string) error
	// Leave undoes Enter. What is gone already is no error.
	Leave(ctx context.Context, bridge string) error
	// Sync makes it so for the bridges that want names and no others of gangway,
	// and returns one line for each that was not as it should be. It asks want when
	// it is the only one to change anything; who is about to enter or to leave is
	// moving, and left alone.
	Sync(ctx context.Context, want func() (bridges, moving []string)) (fixed []string, err error)
}

// zones are the places of bridges in the zone of the host's firewall manager. A manager that
// does not follow, say because it reloads, is no reason to refuse a network: the check
// asks it again.
type zones struct{ Parts }

func (z zones) actions() commit.Actions[spec.Zone] {
	return commit.Actions[spec.Zone]{
		Ensure: func(ctx context.Context, o spec.Zone) ([]string, error) {
			if z.Zones != nil {
				z.warn(ctx, z.Zones.Enter(ctx, o.Bridge))
			}
			return nil, nil
		},
		Remove: func(ctx context.Context, o spec.Zone) error {
			if z.Zones != nil {
				z.warn(ctx, z.Zones.Leave(ctx, o.Bridge))
			}
			return nil
		},
	}
}

// warn tells of what a manager does not do. At the daemon's end nobody waits for it.
func (z zones) warn(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		z.Log.WithError(err).Warn("the host's firewall manager does not follow; it is asked again")
	}
}

// check has the manager let the bridges be. It may take its time, which is none of ours.
func (z zones) check(ctx context.Context, c *drift.Comparison) {
	if c.Linkless() || z.Zones == nil {
		return
	}
	defer c.Waited(time.Now())
	c.Note(z.Zones.Sync(ctx, z.zoned))
}

// zoned returns the bridges that have to be in the zone, and those that a verb is
// about to have enter or leave it. A verb is among the latter from the moment on at
// which the state follows it, so that whoever compares the zone with both takes
// nothing for damage that is a verb's.
//
// A bridge that gangway only uses is in neither: see plan.Zones. Behind it may be a whole network, to
// which the host would be opened.
func (z zones) zoned() (bridges, moving []string) {
	s, unlock := z.Desired.Read()
	defer unlock()
	moving = z.Desired.AllMoving()
	for _, v := range z.Owners.Unclaimed() {
		if !z.Desired.Moving(v.Bridge) && s.Bridges[v.Bridge] == nil && !slices.Contains(moving, v.Bridge) {
			moving = append(moving, v.Bridge)
		}
	}
	for name, n := range s.Bridges {
		for _, zone := range plan.Zones(n, s.Further(n.ID)) {
			if !z.Desired.Moving(name) {
				bridges = append(bridges, zone.Bridge)
			}
		}
	}
	slices.Sort(bridges)
	slices.Sort(moving)
	return bridges, moving
}
