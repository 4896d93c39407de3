package driver

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/spec"
)

// CheckGateway answers whether the network that options ask for needs gateway
// addresses (GwAllocCheck, engine 28.0 and later; before anything is
// allocated). Options that do not hold are refused here already.
func (d *Driver) CheckGateway(_ context.Context, options map[string]any) (GatewayCheck, error) {
	n, err := config.ParseNetwork(options)
	return GatewayCheck{
		SkipIPv4: n.Mode(false) == config.Isolated || n.InhibitIPv4 && n.Internal,
		SkipIPv6: n.Mode(true) == config.Isolated,
	}, err
}

// CreateNetwork makes a network. The same request twice succeeds; the same id
// with other content is a ConflictError, as is a subnet or a bridge that
// another network holds.
func (d *Driver) CreateNetwork(ctx context.Context, r CreateNetworkRequest) error {
	n, err := newNetwork(r)
	if err != nil {
		return err
	}
	if d.o.Unguarded != "" {
		if err = n.Options.Unguarded(d.o.Unguarded); err != nil {
			return err
		}
	}
	if r.Exclusive {
		if err = d.retireAbandoned(ctx, n); err != nil {
			return err
		}
	}
	unlock, err := d.networks.lock(ctx, n.ID)
	if err != nil {
		return err
	}
	defer unlock()
	elsewhere, err := d.lookAtBridge(ctx, n)
	if err != nil {
		return err
	}
	to := requestedRouters(r)
	defer d.doubt()
	return d.commit(ctx, func(s *state) (change, error) {
		if old := s.networks[n.ID]; old != nil {
			return repeated(old, n, to)
		}
		if err := n.route(to); err != nil {
			return change{}, err
		}
		if err := s.admit(n); err != nil {
			return change{}, err
		}
		if err := n.avoid(elsewhere); err != nil {
			return change{}, err
		}
		return change{network: networkChange{after: n}}, nil
	})
}

// lookAtBridge finds out whether the bridge of a new network is there already, and
// whether it can take the gateway's addresses. It returns the addresses of the
// host's other links that are in the way.
func (d *Driver) lookAtBridge(ctx context.Context, n *Network) (elsewhere []spec.LinkAddress, err error) {
	info, err := d.o.Host.InspectBridge(ctx, n.Bridge, n.subnets())
	if err != nil {
		return nil, err
	}
	if info.Exists && info.Kind != "bridge" {
		return nil, fmt.Errorf("link %s exists and is a %s, not a bridge: choose another com.docker.network.bridge.name", n.Bridge, info.Kind)
	}
	n.Adopted = info.Exists && info.Owner != n.ID
	return info.Elsewhere, d.vacantGateway(ctx, n, info.Addresses)
}

// DeleteNetwork removes a network and every endpoint that is still on it. An
// unknown network is no error: the engine never repeats the call.
func (d *Driver) DeleteNetwork(ctx context.Context, id string) error {
	unlock, err := d.networks.lock(ctx, id)
	if err != nil {
		return err
	}
	var gone []endpointChange
	left, err := d.withdraw(ctx, func(s *state) (change, error) {
		c := change{network: networkChange{before: s.networks[id]}}
		for _, e := range s.members[id] {
			c.endpoints = append(c.endpoints, endpointChange{before: e})
		}
		gone = c.endpoints
		return c, nil
	})
	unlock()
	d.dropFlows(ctx, left)
	d.takeOver(ctx, gone)
	if err != nil {
		d.doubt()
	}
	return err
}

// retireAbandoned removes the networks without endpoints that have n's subnets
// in n's address space, of which the address manager knows nothing any more: the
// connection broke when the engine removed them, and it never repeats that. They
// would be in the way for ever, since no engine can name them. One that an engine
// has named stays until that has answered without it (see Attend): each engine has an
// address manager of its own under the same name, so n may be another engine's.
func (d *Driver) retireAbandoned(ctx context.Context, n *Network) error {
	for _, old := range d.abandoned(n) {
		if _, err := d.forget(ctx, old.ID, d.nobodys); err != nil {
			return fmt.Errorf("remove network %s, which the engine has removed before: %w", short(old.ID), err)
		}
	}
	return nil
}

func (d *Driver) abandoned(n *Network) []*Network {
	d.mu.Lock()
	defer d.mu.Unlock()
	var found []*Network
	for _, old := range d.state.networks {
		empty := len(d.state.members[old.ID]) == 0 && !d.engines.unclaimed.on(old.ID)
		if old.ID != n.ID && empty && d.nobodys(old) && old.Space == n.Space && n.Space != "" && old.overlaps(n) {
			found = append(found, old)
		}
	}
	return found
}

// nobodys says that no engine has named a network, or that the one which did has it no
// more. The caller holds mu.
func (d *Driver) nobodys(n *Network) bool { return n.Engine == "" || d.engines.absent[n.ID] }

// newNetwork turns a request into the network it asks for.
func newNetwork(r CreateNetworkRequest) (*Network, error) {
	if err := checkID("network", r.ID); err != nil {
		return nil, err
	}
	options, err := config.ParseNetwork(r.Options)
	if err != nil {
		return nil, err
	}
	n := &Network{ID: r.ID, Options: options, Bridge: options.Bridge}
	for _, p := range slices.Concat(r.IPv4, r.IPv6) {
		n.Space = p.Space // one address manager a network
	}
	if n.Bridge == "" {
		n.Bridge = bridgeName(n.ID)
	}
	if n.Subnet4, n.Gateway4, err = onePool(r.IPv4, "IPv4"); err != nil {
		return nil, err
	}
	if n.Subnet6, n.Gateway6, err = onePool(r.IPv6, "IPv6"); err != nil {
		return nil, err
	}
	if !n.Subnet4.IsValid() && !n.Subnet6.IsValid() {
		return nil, fmt.Errorf("network %s has no subnet: gangway needs one from the address manager, so leave out --ipam-driver null", short(n.ID))
	}
	return n, nil
}

// onePool checks the pools of one family. A bridge network has one.
func onePool(pools []PoolData, family string) (subnet, gateway netip.Prefix, err error) {
	if len(pools) == 0 {
		return subnet, gateway, nil
	}
	if len(pools) > 1 {
		return subnet, gateway, fmt.Errorf("%d %s subnets (%s, %s, …): a gangway network has one a family; create a network for each",
			len(pools), family, pools[0].Subnet, pools[1].Subnet)
	}
	p := pools[0]
	if p.Subnet != p.Subnet.Masked() || p.Subnet.Addr().Is4() != (family == "IPv4") {
		return subnet, gateway, fmt.Errorf("%s is not an %s subnet", p.Subnet, family)
	}
	// The engine's own address manager takes any.
	if err := config.CheckSubnet(p.Subnet); err != nil {
		return subnet, gateway, err
	}
	if p.Gateway.IsValid() && !p.Subnet.Contains(p.Gateway.Addr()) {
		return subnet, gateway, fmt.Errorf("gateway %s is not inside subnet %s", p.Gateway.Addr(), p.Subnet)
	}
	return p.Subnet, p.Gateway, nil
}

// checkID keeps ids out of names, rules and keys that they could break.
func checkID(what, id string) error {
	ok := func(r rune) bool { return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }
	if id == "" || len(id) > 64 || slices.ContainsFunc([]rune(id), func(r rune) bool { return !ok(r) }) {
		return fmt.Errorf("%s id %q: want 1 to 64 letters and digits", what, id)
	}
	return nil
}

// repeated tells a repeated request from a contradictory one. Routers may be new:
// the first request has come to a version that passed over them. What is wrong with
// them is no reason to refuse a network that there is.
func repeated(old, n *Network, to routers) (change, error) {
	same := *n
	// Whether the bridge was there before was settled by the first request.
	same.Adopted = old.Adopted
	same.Engine = old.Engine
	if same.Options.Equal(old.Options) {
		same.Options = old.Options // in whatever words
	}
	if old.Space == "" {
		same.Space = ""
	}
	bare := same
	err := same.route(to)
	switch {
	case *old == same:
		return change{}, nil
	case *old == bare && err == nil:
		return change{network: networkChange{before: old, after: &same}}, nil
	}
	return change{}, conflictf("network %s exists with bridge %s, subnets %v, gateways %v and %v, options %s; now asked for with bridge %s, subnets %v, gateways %v and %v, options %s",
		short(n.ID), old.Bridge, old.subnets(), old.gateways(), old.defaultGateways(), old.Options,
		same.Bridge, same.subnets(), same.gateways(), same.defaultGateways(), same.Options)
}

// admit checks a new network against all others.
func (s *state) admit(n *Network) error {
	if old := s.bridges[n.Bridge]; old != nil {
		return conflictf("bridge %s belongs to network %s: choose another com.docker.network.bridge.name", n.Bridge, short(old.ID))
	}
	for _, old := range s.networks {
		for _, a := range old.subnets() {
			for _, b := range n.subnets() {
				if a.Overlaps(b) {
					err := conflictf("subnet %s overlaps %s of network %s: choose another --subnet", b, a, short(old.ID))
					err.Subnets = []netip.Prefix{a}
					for _, g := range old.gateways() {
						err.Addresses = append(err.Addresses, g.Addr())
					}
					return err
				}
			}
		}
	}
	return nil
}

// overlaps says whether the networks have addresses in common.
func (n *Network) overlaps(o *Network) bool {
	return slices.ContainsFunc(n.subnets(), func(a netip.Prefix) bool { return slices.ContainsFunc(o.subnets(), a.Overlaps) })
}

// avoid refuses a subnet that holds an address of the host: the bridge's route
// would take the place of the link's. A subnet that only lies within one of the
// host's is the user's choice, as with the built-in driver.
func (n *Network) avoid(host []spec.LinkAddress) error {
	for _, subnet := range n.subnets() {
		for _, a := range host {
			if subnet.Contains(a.Address.Addr()) {
				return conflictf("subnet %s holds the host's address %s (link %s): choose another --subnet", subnet, a.Address.Addr(), a.Link)
			}
		}
	}
	return nil
}
