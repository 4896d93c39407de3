package kinds

import (
	"context"
	"fmt"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/driver/commit"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/lock"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// Forwarder turns forwarding on. Package link is the real one.
type Forwarder interface {
	// EnableForwarding turns forwarding on for the families asked for, and
	// returns one line for each switch it had to turn.
	EnableForwarding(ctx context.Context, ipv4, ipv6 bool) (fixed []string, err error)
}

// Forwards tells of forwarding. Package link is the real one.
type Forwards interface {
	// Forwarding says whether the host forwards packets of a family, if only from some
	// link.
	Forwarding(ctx context.Context, six bool) (bool, error)
}

// Forwarding is what turning it on takes.
type Forwarding struct {
	Forwarder
	Forwards
	// Remember makes a change of what is remembered of the host, and Follow has the rules
	// follow it.
	Remember func(commit.Planner) error
	Follow   func(context.Context) error
	// Router says that the user wants a router: nothing is closed.
	Router bool
}

// forwarding is the passing of packets from link to link, which stays on until the host boots.
//
// Whoever turns it on makes the host a router for everybody: it would pass packets of
// its neighbours on to whatever else it is joined to. So a family that nobody's setting
// has the host forward is closed first (see firewall.Ruleset), and stays closed until
// the host boots: what was turned on is noted before it is. One that was on already is
// somebody else's choice, and stays as it is.
type forwarding struct {
	Forwarding
	log *logrus.Entry
	// switching lets one at a time turn forwarding on.
	switching *lock.Lock
}

func (f forwarding) actions() commit.Actions[spec.Forwarding] {
	return commit.Actions[spec.Forwarding]{Ensure: f.ensure, Tells: true}
}

// ensure turns the forwarding of a family on, and returns a line for each switch that it had
// to turn.
func (f forwarding) ensure(ctx context.Context, o spec.Forwarding) ([]string, error) {
	unlock, err := f.switching.Take(ctx)
	if err != nil {
		return nil, fmt.Errorf("wait for another network's forwarding: %w", err)
	}
	defer unlock()
	on, err := f.Forwards.Forwarding(ctx, o.Six)
	if err != nil {
		return nil, err
	}
	family := firewall.Family(o.Six)
	if !on {
		if err := f.close(ctx, family); err != nil {
			return nil, err
		}
	}
	return f.EnableForwarding(ctx, family.V4, family.V6)
}

// close notes that gangway turns the forwarding of a family on, and has the rules
// follow: they close it, unless the user wants a router.
func (f forwarding) close(ctx context.Context, family firewall.Families) error {
	news := false
	err := f.Remember(func(s *model.State) (model.Change, error) {
		if news = !s.Host.Turned().Has(family.V6); !news {
			return model.Change{}, nil
		}
		return model.Change{Host: &model.HostChange{Before: s.Host, After: s.Host.Turning(family)}}, nil
	})
	if err != nil {
		return fmt.Errorf("note that forwarding was off: %w", err)
	}
	if f.Router {
		return nil
	}
	if err := f.Follow(ctx); err != nil {
		return fmt.Errorf("keep the host from being a router: %w", err)
	}
	if news {
		f.log.Infof("%s forwarding was off and is turned on for the networks alone: what the host's other links would pass on to one another is dropped, "+
			"unless a rule of yours accepts it; GANGWAY_FORWARDING=open makes the host a router", name(family.V6))
	}
	return nil
}

func name(six bool) string {
	if six {
		return "IPv6"
	}
	return "IPv4"
}
