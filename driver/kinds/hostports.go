package kinds

import (
	"context"
	"slices"

	"github.com/gangway-net/gangway/driver/commit"
	"github.com/gangway-net/gangway/driver/drift"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
)

// Ports holds host ports with bound sockets. Their owners are containers, by
// the keys of their sandboxes. Package hostport is the real one.
type Ports interface {
	// Hold holds a container's ports and leads them to it, each for itself, beside what
	// else it has. It returns a line for what it took, and one for what it could not
	// have. An error says that what it has is not relayed.
	Hold(ctx context.Context, p spec.HostPorts) (held, unheld []string, err error)
	// Trim releases what the container has beyond these ports.
	Trim(p spec.HostPorts)
	// Lacking returns the containers that do not hold exactly what is given for them,
	// with the relays; of those that are not given who has anything.
	Lacking(want []spec.HostPorts) (sandboxes []string)
}

// hostPorts are host ports and their relays: objects as links and rules are, but of this
// process. They are gone when it ends, and what somebody took meanwhile, or an address
// that the host does not have yet, keeps them from coming back. Rules lead to the
// container all the same, so the endpoint lives on without its holder.
type hostPorts struct {
	ports   Ports
	desired *commit.Desired
	health  *drift.Health
}

func (h hostPorts) actions() commit.Actions[spec.HostPorts] {
	return commit.Actions[spec.HostPorts]{Ensure: h.hold, Trim: h.trim, Remove: h.release}
}

// hold holds a container's ports beside what else it has, until trim
// is told. What is in the way is told, and tried again by each check. An error says
// that a port which is held is not relayed.
func (h hostPorts) hold(ctx context.Context, p spec.HostPorts) (held []string, err error) {
	held, unheld, err := h.ports.Hold(ctx, p)
	if err == nil {
		h.tell(p.Sandbox, unheld)
	}
	return held, err
}

// trim gives up what a container has beyond these ports.
func (h hostPorts) trim(_ context.Context, p spec.HostPorts) error {
	h.ports.Trim(p)
	return nil
}

// release gives up all that a container has.
func (h hostPorts) release(ctx context.Context, p spec.HostPorts) error {
	h.tell(p.Sandbox, nil)
	return h.trim(ctx, spec.HostPorts{Sandbox: p.Sandbox})
}

// tell publishes which ports of a container are not held.
func (h hostPorts) tell(sandbox string, unheld []string) {
	whose := ""
	if len(unheld) > 0 {
		s, unlock := h.desired.Read()
		whose = s.Whose(sandbox)
		unlock()
	}
	h.health.TellUnheld(sandbox, whose, unheld)
}

// wanted are the ports that a container has to hold, and whose they are.
func (h hostPorts) wanted(sandbox string) (p spec.HostPorts, whose string) {
	s, unlock := h.desired.Read()
	defer unlock()
	return plan.HostPorts(s, sandbox), s.Whose(sandbox)
}

// check compares what is held with the state, and holds what is missing and can
// be. What could not be held is tried again each time.
func (h hostPorts) check(ctx context.Context, c *drift.Comparison) {
	unheld := h.health.Unheld()
	if !c.All() && len(unheld) == 0 {
		return
	}
	var want []spec.HostPorts
	wanted := map[string]bool{}
	s, unlock := h.desired.Read()
	for sandbox := range s.Sandboxes {
		if p := plan.HostPorts(s, sandbox); len(p.Runs) > 0 {
			want, wanted[sandbox] = append(want, p), true
		}
	}
	unlock()
	lacking := h.ports.Lacking(want)
	for _, sandbox := range lacking {
		if wanted[sandbox] {
			c.Note(h.holdMissing(ctx, c, sandbox))
		} else {
			c.Alone(ctx, func() ([]string, error) { return h.releaseStray(ctx, sandbox) })
		}
	}
	for _, sandbox := range unheld {
		if !slices.Contains(lacking, sandbox) {
			h.tell(sandbox, nil)
		}
	}
}

// releaseStray gives up what no endpoint publishes. It runs while no verb does: one that took
// ports away while the comparison looked has given them up by now.
func (h hostPorts) releaseStray(ctx context.Context, sandbox string) ([]string, error) {
	p, whose := h.wanted(sandbox)
	if len(p.Runs) > 0 || !slices.Contains(h.ports.Lacking(nil), sandbox) {
		return nil, nil
	}
	return []string{"host ports of " + whose + ", which publishes none: released"}, h.release(ctx, p)
}

// holdMissing makes a container hold what its endpoints publish, with the locks of their
// networks: a verb that publishes has more for a moment.
func (h hostPorts) holdMissing(ctx context.Context, c *drift.Comparison, sandbox string) (fixed []string, err error) {
	unlock := c.LockSoon(ctx, func(s *model.State) map[string]bool {
		ids := map[string]bool{}
		for _, e := range s.Sandboxes[sandbox] {
			ids[e.NetworkID] = true
		}
		return ids
	})
	if unlock == nil {
		return nil, nil
	}
	defer unlock()
	p, whose := h.wanted(sandbox)
	if len(p.Runs) == 0 {
		return nil, nil
	}
	held, err := h.hold(ctx, p)
	h.ports.Trim(p)
	for _, line := range held {
		fixed = append(fixed, line+" of "+whose+" was not held, or led elsewhere: held")
	}
	return fixed, err
}
