package driver

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/policy"
)

// admitPolicy refuses a network whose policy does not hold, or could be got around.
func (d *Driver) admitPolicy(s *model.State, n *model.Network) error {
	err := s.KnowsPolicy(n.Options.Policy.Name)
	if err == nil {
		err = d.holding(s).of(n, nil)
	}
	if err != nil {
		return fmt.Errorf("policy of network %s: %w", model.Short(n.ID), err)
	}
	return nil
}

// admitOwnPolicy does so for one that a container has for itself.
func (d *Driver) admitOwnPolicy(s *model.State, n *model.Network, e *model.Endpoint) error {
	if e.Options.Policy == (config.Policy{}) {
		return nil
	}
	err := s.KnowsPolicy(e.Options.Policy.Name)
	switch {
	case n.Options.Lock:
		err = errors.New("the network has gangway.lock=true, so its containers have no policy of their own: leave the options out")
	case err == nil:
		err = d.holding(s).ofOne(n, e)
	}
	if err != nil {
		return fmt.Errorf("policy of endpoint %s on network %s (%s): %w", model.Short(e.ID), model.Short(n.ID), e.Options, err)
	}
	return nil
}

// holding checks whether policies hold in a state. It reads each once: a hundred networks may
// name one of ten thousand entries.
type holding struct {
	d     *Driver
	state *model.State
	known map[config.Policy]readPolicy
}

// readPolicy is a policy that was read, and what Check says of it.
type readPolicy struct {
	policy.Policy
	unreadable, unsound error
}

func (d *Driver) holding(s *model.State) holding {
	return holding{d, s, map[config.Policy]readPolicy{}}
}

func (h holding) read(texts config.Policy) readPolicy {
	r, known := h.known[texts]
	if !known {
		if r.Policy, r.unreadable = policy.Of(texts); r.unreadable == nil {
			r.unsound = r.Check(true, true)
		}
		h.known[texts] = r
	}
	return r
}

// inForce checks what was said, and returns what counts: exceptions can close what nothing else
// does.
func (h holding) inForce(said, counts config.Policy) (policy.Policy, error) {
	r := h.read(said)
	if err := cmp.Or(r.unreadable, r.unsound); err != nil || counts == said {
		return r.Policy, err
	}
	if r = h.read(counts); r.unreadable != nil {
		return r.Policy, r.unreadable
	}
	return r.Policy, r.Fits()
}

// ofOne checks the policy of one container. Whose a packet is, is known by its source.
func (h holding) ofOne(n *model.Network, e *model.Endpoint) error {
	switch d := h.d; {
	case n.Options.AntiSpoofing == config.SpoofingAllowed:
		return errors.New("the network has gangway.anti_spoofing=false, so its containers can take each other's addresses: leave one of them out, or give the policy to the network")
	case d.o.Unguarded != "":
		return fmt.Errorf("this host cannot keep containers from taking each other's addresses: %s; load the kernel modules sch_ingress and cls_bpf, or give the policy to the network", d.o.Unguarded)
	}
	return h.of(n, e)
}

// of checks what counts for a network, or for one container on it. A policy with a name is for networks of
// either family: only in options an entry of a family that the network lacks is a mistake.
func (h holding) of(n *model.Network, e *model.Endpoint) error {
	said, options := h.state.Said(n, e), n.Options.Policy
	if e != nil {
		options = e.Options.Policy.Over(options)
	}
	p, err := h.inForce(said, h.state.PolicyOf(n, e))
	if err == nil {
		err = cmp.Or(matches(options, said.Egress, n), h.strict(said, n, e), peered(p, n), audited(options, n))
	}
	switch d := h.d; {
	case err != nil:
		return err
	case p.Open() && !plan.ClosesHost(n):
		return nil
	case d.o.Unpoliced != "":
		return fmt.Errorf("this host cannot keep it: %s", d.o.Unpoliced)
	case p.Open():
		return nil
	}
	return seen(p, n)
}

// seen refuses a policy where the host does not see what it is about: what leaves by another machine on the
// bridge does not pass it.
func seen(p policy.Policy, n *model.Network) error {
	switch {
	case n.OnLAN():
		return fmt.Errorf("containers and their neighbours on the LAN of %s reach each other without the host: leave gangway.uplink out, or the policy; GANGWAY_DEFAULT_EGRESS, _INGRESS and _HOST count for networks that have none", n.Options.Uplink)
	case n.Adopted && p.Outward():
		return fmt.Errorf("bridge %s was there before, and what leaves by its other ports does not pass the host: leave com.docker.network.bridge.name out", n.Bridge)
	case p.Outward() && n.LeavesElsewhere():
		return errors.New("another machine on the bridge is the gateway, so what leaves does not pass the host: leave com.docker.network.bridge.inhibit_ipv4 and other gateways out")
	}
	return nil
}

// audited refuses a policy that refuses nothing where what opens the host is closed.
func audited(options config.Policy, n *model.Network) error {
	if plan.ClosesHost(n) && options.Audits() {
		return errors.New("gangway.mode=audit would let containers reach the host, which is closed to them on such a network: leave it out")
	}
	return nil
}

// strict refuses strict names where a policy has none.
func (h holding) strict(said config.Policy, n *model.Network, e *model.Endpoint) error {
	names := n.Options.Policy.Names
	if e != nil {
		names = e.Options.Policy.Names
	}
	if names == config.NamesStrict && !h.read(said).HasNames() {
		return errors.New("gangway.egress.names=strict is about names, and gangway.egress.allow has none: leave one of them out")
	}
	return nil
}

// peered refuses other networks in a policy where the host does not see who has to do with them.
func peered(p policy.Policy, n *model.Network) error {
	switch {
	case p.Peered() && n.OnLAN():
		return fmt.Errorf("containers on the LAN of %s have to do with other networks without the host: leave gangway.uplink out, or network:NAME", n.Options.Uplink)
	case p.Asking() && (n.Adopted || n.LeavesElsewhere()):
		return errors.New("others than its containers send from the bridge, and not all by the host, so gangway.egress.allow cannot have network:NAME: leave com.docker.network.bridge.name and inhibit_ipv4, and other gateways out")
	}
	return nil
}

// AddressesOf are those that a container has on a network, of which one is known; none, if
// nobody has that.
func (d *Driver) AddressesOf(a netip.Addr) []netip.Addr {
	s, unlock := d.desired.Read()
	defer unlock()
	if e := s.Holders[a]; e != nil {
		return e.Addrs()
	}
	return nil
}

// matches refuses entries of a family that the network lacks.
func matches(lists config.Policy, egress string, n *model.Network) error {
	p, err := policy.Of(config.Policy{Egress: egress, Allow: lists.Allow, Deny: lists.Deny, Ingress: lists.Ingress})
	if err != nil {
		return err
	}
	return p.Check(n.Subnet4.IsValid(), n.Subnet6.IsValid())
}

// forEverybody says that anybody may reach the container that has an address.
func (d *Driver) forEverybody(a netip.Addr) bool {
	s, unlock := d.desired.Read()
	defer unlock()
	texts := d.o.Policy
	e := s.Holders[a]
	for _, n := range s.Networks {
		switch {
		case e != nil && e.NetworkID == n.ID:
			texts = s.PolicyOf(n, e)
		case e == nil && n.Contains(a):
			texts = s.PolicyOf(n, nil)
		}
	}
	p, _ := policy.Of(texts) // it is closed with an error
	return p.Everybody || p.Audit
}
