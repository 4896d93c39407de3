package driver

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/policy"
)

// LearnedNames tells which addresses allowed names have opened; package policed has the real
// ones. It may wait for the kernel: no lock of the driver's is held meanwhile.
type LearnedNames interface {
	// Learned are those that are open for these.
	Learned(of []policy.Who) []policy.Learned
	// Names are those by which somebody has learned of an address, also a while ago.
	Names(who policy.Who, to netip.Addr) []string
}

// LearnedName is an address that is open since an allowed name has it.
type LearnedName struct {
	Name    string     `json:"name"`
	Address netip.Addr `json:"address"`
	// Ports are those of the entry, as it has them; empty for all.
	Ports string    `json:"ports,omitempty"`
	Until time.Time `json:"until"`
}

// whoLearns are those for whom addresses are open that a container reaches: itself, and all that
// have its policy. Of a network these are the latter alone.
func whoLearns(s *model.State, n *model.Network, e *model.Endpoint) []policy.Who {
	all := []policy.Who{{Policy: nameless(plan.PolicyInForce(s, n, e))}}
	if e != nil {
		for _, a := range e.Addrs() {
			all = append(all, policy.Who{Addr: a})
		}
	}
	return all
}

func (d *Driver) whoLearns(of Whom) ([]policy.Who, error) {
	s, unlock := d.desired.Read()
	defer unlock()
	n, e, err := find(s, of)
	if err != nil {
		return nil, err
	}
	return whoLearns(s, n, e), nil
}

// learnedBy asks for what is open for a container, or by the policy of a network. The caller
// holds no lock.
func (d *Driver) learnedBy(of Whom) ([]policy.Learned, error) {
	who, err := d.whoLearns(of)
	if err != nil || d.o.Learned == nil {
		return nil, err
	}
	return d.o.Learned.Learned(who), nil
}

// namesRefused has the names by which somebody had learned of an address that is refused now:
// they are not allowed for that port, or not any more. The caller holds no lock.
func (d *Driver) namesRefused(p DroppedPacket) []string {
	if d.o.Learned == nil || p.By.Option != policy.OptionEgress || p.From.EndpointID == "" || !p.To.Addr.IsValid() {
		return nil
	}
	who, err := d.whoLearns(Whom{p.From.NetworkID, p.From.EndpointID})
	if err != nil {
		return nil // it is gone
	}
	var names []string
	for _, w := range who {
		names = append(names, d.o.Learned.Names(w, p.To.Addr)...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// namesOf are the names that have opened an address.
func namesOf(all []policy.Learned, to netip.Addr) (names []string) {
	for _, l := range all {
		if l.To == to && !slices.Contains(names, l.Name) {
			names = append(names, l.Name)
		}
	}
	return names
}

// learnedNames is what was learned, once for each name, address and ports, for the longest time.
func learnedNames(all []policy.Learned) (out []LearnedName) {
	for _, l := range all {
		n := LearnedName{Name: l.Name, Address: l.To, Until: l.Until.UTC().Round(time.Second)}
		if l.Ports != (config.Ports{}) {
			n.Ports = l.Ports.String()
		}
		i := slices.IndexFunc(out, func(o LearnedName) bool { return o.Name == n.Name && o.Address == n.Address && o.Ports == n.Ports })
		switch {
		case i < 0:
			out = append(out, n)
		case out[i].Until.Before(n.Until):
			out[i].Until = n.Until
		}
	}
	slices.SortFunc(out, func(a, b LearnedName) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), a.Address.Compare(b.Address), cmp.Compare(a.Ports, b.Ports))
	})
	return out
}
