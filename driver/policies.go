package driver

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/policy"
)

// admitPolicy refuses a network whose policy does not hold, or could be got around.
func (d *Driver) admitPolicy(n *model.Network) error {
	if err := d.holds(n, n.Policy); err != nil {
		return fmt.Errorf("policy of network %s: %w", model.Short(n.ID), err)
	}
	return nil
}

// admitOwnPolicy does so for one that a container has for itself. Whose a packet is, is known
// by its source.
func (d *Driver) admitOwnPolicy(n *model.Network, e *model.Endpoint) error {
	if e.Options.Policy == (config.Policy{}) {
		return nil
	}
	err := d.holds(n, e.Options.Policy.Over(n.Policy))
	switch {
	case n.Options.Lock:
		err = errors.New("the network has gangway.lock=true, so its containers have no policy of their own: leave the options out")
	case n.Options.AntiSpoofing == config.SpoofingAllowed:
		err = errors.New("the network has gangway.anti_spoofing=false, so its containers can take each other's addresses: leave one of them out, or give the policy to the network")
	case d.o.Unguarded != "":
		err = fmt.Errorf("this host cannot keep containers from taking each other's addresses: %s; load the kernel modules sch_ingress and cls_bpf, or give the policy to the network", d.o.Unguarded)
	}
	if err != nil {
		return fmt.Errorf("policy of endpoint %s on network %s (%s): %w", model.Short(e.ID), model.Short(n.ID), e.Options, err)
	}
	return nil
}

// holds checks a policy for a network. What leaves by another machine on the bridge does not
// pass the host.
func (d *Driver) holds(n *model.Network, texts config.Policy) error {
	p, err := policy.Of(texts)
	if err == nil {
		err = p.Check(n.Subnet4.IsValid(), n.Subnet6.IsValid())
	}
	switch {
	case err != nil:
		return err
	case p.Open():
		return nil
	case d.o.Unpoliced != "":
		return fmt.Errorf("this host cannot keep it: %s", d.o.Unpoliced)
	case n.Adopted && p.Outward():
		return fmt.Errorf("bridge %s was there before, and what leaves by its other ports does not pass the host: leave com.docker.network.bridge.name out", n.Bridge)
	case p.Outward() && n.LeavesElsewhere():
		return errors.New("another machine on the bridge is the gateway, so what leaves does not pass the host: leave com.docker.network.bridge.inhibit_ipv4 and other gateways out")
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

// forEverybody says that anybody may reach the container that has an address.
func (d *Driver) forEverybody(a netip.Addr) bool {
	s, unlock := d.desired.Read()
	defer unlock()
	texts := d.o.Policy
	for _, n := range s.Networks {
		if n.Contains(a) {
			texts = n.Policy
		}
	}
	if e := s.Holders[a]; e != nil {
		texts = e.Options.Policy.Over(texts)
	}
	return texts.Ingress == "" || texts.Ingress == config.Any || texts.Mode == config.ModeAudit
}
