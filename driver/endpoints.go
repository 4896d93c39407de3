package driver

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"reflect"
	"time"

	"github.com/gangway-net/gangway/config"
)

// CreateEndpoint makes an endpoint with the addresses that the engine
// allocated. Nothing of it is in the kernel before Join. An address that
// another endpoint holds is a ConflictError, unless that endpoint has left or its
// link is gone: then the engine forgot it in a crash, and it yields. One that a machine
// on an adopted bridge uses is refused.
func (d *Driver) CreateEndpoint(ctx context.Context, r CreateEndpointRequest) (CreateEndpointResult, error) {
	e, err := newEndpoint(r)
	if err != nil {
		return CreateEndpointResult{}, err
	}
	if err = d.vacantEndpoint(ctx, e); err != nil {
		return CreateEndpointResult{}, err
	}
	if err = d.vacantMAC(ctx, e); err != nil {
		return CreateEndpointResult{}, err
	}
	unlock, err := d.lockNetworks(ctx, func(s *state) map[string]bool {
		ids := map[string]bool{e.NetworkID: true}
		for _, h := range s.holdersOf(e) {
			maps.Copy(ids, s.sharing(h.NetworkID, h, false))
		}
		return ids
	})
	if err != nil {
		return CreateEndpointResult{}, err
	}
	defer unlock()
	if err = d.retireHolders(ctx, e); err != nil {
		return CreateEndpointResult{}, err
	}
	err = d.commit(ctx, func(s *state) (change, error) {
		n := s.networks[e.NetworkID]
		if n == nil {
			return change{}, unknownNetwork(e.NetworkID)
		}
		if old := s.endpoints[e.ID]; old != nil {
			if old.MACChosen && e.MACChosen {
				e.MAC = old.MAC
			}
			return change{}, sameEndpoint(old, e)
		}
		return change{endpoints: []endpointChange{{after: e}}}, s.admitEndpoint(n, e)
	})
	if err != nil || !e.MACChosen {
		return CreateEndpointResult{}, err
	}
	return CreateEndpointResult{MAC: net.HardwareAddr(e.MAC)}, nil
}

// DeleteEndpoint removes an endpoint, joined or not. An unknown one is no
// error: the engine never repeats the call.
func (d *Driver) DeleteEndpoint(ctx context.Context, networkID, endpointID string) error {
	return d.retireEndpoint(ctx, networkID, endpointID, func(*Network, *Endpoint) *Endpoint { return nil })
}

// Join puts the endpoint's link pair in place and says what the engine has to
// do in the container. sandboxKey names the container's namespace. On a routed network the ports that the container
// publishes are open from now on.
func (d *Driver) Join(ctx context.Context, networkID, endpointID, sandboxKey string, options config.EndpointOptions) (JoinResult, error) {
	if sandboxKey == "" {
		return JoinResult{}, fmt.Errorf("endpoint %s joins without a sandbox key", short(endpointID))
	}
	unlock, err := d.networks.lock(ctx, networkID)
	if err != nil {
		return JoinResult{}, err
	}
	defer unlock()
	asked, err := d.askedPorts(networkID, options)
	if err != nil {
		return JoinResult{}, err
	}
	var n *Network
	var e *Endpoint
	err = d.commit(ctx, func(s *state) (_ change, err error) {
		if n, e, err = s.find(networkID, endpointID); err != nil {
			return change{}, err
		}
		if e.Sandbox == sandboxKey {
			return change{}, nil
		}
		if e.Sandbox != "" {
			return change{}, conflictf("endpoint %s is in sandbox %s and cannot join %s as well", short(e.ID), e.Sandbox, sandboxKey)
		}
		joined := *e
		joined.Sandbox, joined.Asked = sandboxKey, asked
		return change{endpoints: []endpointChange{{before: e, after: &joined}}}, nil
	})
	if err != nil {
		return JoinResult{}, err
	}
	return joinResult(n, e), nil
}

// askedPorts returns the ports in Join's options if the network is one that
// opens them.
func (d *Driver) askedPorts(networkID string, options config.EndpointOptions) ([]config.PortBinding, error) {
	d.mu.Lock()
	n := d.state.networks[networkID]
	d.mu.Unlock()
	if n == nil || !n.routed() {
		return nil, nil
	}
	asked, err := config.ParsePublish(options)
	return asked.Bindings, err
}

// joinResult names no gateway on an internal network: the engine would install
// the route and publish the container's ports there. Nor does it name the
// endpoint itself, where that is the gateway.
func joinResult(n *Network, e *Endpoint) JoinResult {
	r := JoinResult{SrcName: vethPeer(e.ID), DstPrefix: n.Options.IfacePrefix, DisableGatewayService: true}
	if n.Options.Internal {
		return r
	}
	// Who has the gateway's address himself has no gateway.
	if g := n.defaultGateway(e.IPv4.Addr()); e.IPv4.IsValid() && g != e.IPv4.Addr() {
		r.Gateway4 = g
	}
	if g := n.defaultGateway(e.IPv6.Addr()); e.IPv6.IsValid() && g != e.IPv6.Addr() {
		r.Gateway6 = g
	}
	return r
}

// Leave takes the endpoint out of its container: published ports go, and nothing
// passes by its link any more. Addresses and link stay until DeleteEndpoint, since
// the engine moves the link back after this call. If it forgets to delete the
// endpoint, that goes after a while (see joinTime). An endpoint that is unknown or
// has left already is no error; engines from 29 on send Leave twice.
func (d *Driver) Leave(ctx context.Context, networkID, endpointID string) error {
	err := d.retireEndpoint(ctx, networkID, endpointID, func(_ *Network, e *Endpoint) *Endpoint {
		left := e.left()
		return &left
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	if e := d.state.members[networkID][endpointID]; e != nil && e.Sandbox == "" {
		d.expected[endpointID] = time.Now()
	}
	return err
}

// retireEndpoint takes away what follow leaves out; nil takes it all. What the
// endpoint served of its container's ports goes back to the others.
func (d *Driver) retireEndpoint(ctx context.Context, networkID, endpointID string, follow func(*Network, *Endpoint) *Endpoint) error {
	left, err := d.withdrawEndpoint(ctx, networkID, endpointID, follow)
	d.dropFlows(ctx, left)
	return err
}

// withdrawEndpoint returns the flows that the endpoint has left.
func (d *Driver) withdrawEndpoint(ctx context.Context, networkID, endpointID string, follow func(*Network, *Endpoint) *Endpoint) (stale, error) {
	unlock, err := d.lockSharing(ctx, networkID, endpointID, false)
	if err != nil {
		return stale{}, err
	}
	defer unlock()
	d.mu.Lock()
	n, e := d.state.networks[networkID], d.state.members[networkID][endpointID]
	d.mu.Unlock()
	if e == nil {
		return stale{}, nil
	}
	after := follow(n, e)
	if after != nil && reflect.DeepEqual(e, after) {
		return stale{}, nil
	}
	var left stale
	err = d.givingBack(ctx, e, func(others []endpointChange) (err error) {
		left, err = d.withdraw(ctx, func(*state) (change, error) {
			return change{endpoints: append([]endpointChange{{before: e, after: after}}, others...)}, nil
		})
		return err
	})
	return left, err
}

// retireHolders removes endpoints that hold e's addresses, or the hardware address
// that was asked for, although they have left, or their link is gone or in no
// container. One whose container has IPv6 switched off gives up its IPv6 address. The
// kernel is asked only when there is a conflict at all.
func (d *Driver) retireHolders(ctx context.Context, e *Endpoint) error {
	d.mu.Lock()
	holders := d.state.holdersOf(e)
	d.mu.Unlock()
	if len(holders) == 0 {
		return nil
	}
	veths, err := d.o.Host.Veths(ctx)
	if err != nil {
		return err
	}
	for _, h := range holders {
		switch {
		case h.Sandbox == "" || !veths[h.ID].Moved:
			d.o.Log.WithField("ep", short(h.ID)).Warn("endpoint is in no container any more and yields its address")
			err = d.givingBack(ctx, h, func(others []endpointChange) error {
				return d.retire(ctx, func(*state) (change, error) {
					return change{endpoints: append([]endpointChange{{before: h}}, others...)}, nil
				})
			})
		case h.IPv6.IsValid() && h.IPv6.Addr() == e.IPv6.Addr() && d.lacksIPv6(ctx, h):
			err = d.giveUpIPv6(ctx, h)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// newEndpoint turns a request into the endpoint it asks for.
func newEndpoint(r CreateEndpointRequest) (*Endpoint, error) {
	if err := checkID("network", r.NetworkID); err != nil {
		return nil, err
	}
	if err := checkID("endpoint", r.EndpointID); err != nil {
		return nil, err
	}
	options, err := config.ParseEndpoint(r.Options)
	if err != nil {
		return nil, err
	}
	e := &Endpoint{ID: r.EndpointID, NetworkID: r.NetworkID, Options: options, IPv4: r.IPv4, IPv6: r.IPv6, MAC: HardwareAddr(r.MAC)}
	if len(e.addrs()) == 0 {
		return nil, fmt.Errorf("endpoint %s has no address: gangway needs one from the address manager", short(e.ID))
	}
	if r.MAC == nil {
		e.MAC, e.MACChosen = chooseMAC(e), true
	}
	if err := e.MAC.check(); err != nil {
		return nil, err
	}
	return e, nil
}

// chooseMAC derives the address from the IPv4 one, as docker's bridge driver
// did until 28: neighbours' caches stay right when an address is used again.
// An endpoint without IPv4 takes the hash of its IPv6 address.
func chooseMAC(e *Endpoint) HardwareAddr {
	if e.IPv4.IsValid() {
		a := e.IPv4.Addr().As4()
		return HardwareAddr{0x02, 0x42, a[0], a[1], a[2], a[3]}
	}
	return hashMAC(e.IPv6.Addr(), 0)
}

// sameEndpoint tells a repeated request from a contradictory one.
func sameEndpoint(old, e *Endpoint) error {
	if old.NetworkID == e.NetworkID && old.IPv4 == e.IPv4 && old.IPv6 == e.IPv6 &&
		bytes.Equal(old.MAC, e.MAC) && old.MACChosen == e.MACChosen && old.Options.Equal(e.Options) {
		return nil
	}
	return conflictf("endpoint %s exists on network %s with addresses %v, mac %s and options %s; now asked for on network %s with %v, %s and options %s",
		short(e.ID), short(old.NetworkID), old.addrs(), net.HardwareAddr(old.MAC), old.Options,
		short(e.NetworkID), e.addrs(), net.HardwareAddr(e.MAC), e.Options)
}

// maxPorts is how many ports the kernel gives a bridge (BR_MAX_PORTS is 1024,
// and port 0 is none). Without this check the engine would hear "exchange full"
// after it has allocated everything.
const maxPorts = 1023

// admitEndpoint checks a new endpoint against its network and the others.
func (s *state) admitEndpoint(n *Network, e *Endpoint) error {
	if len(s.members[n.ID]) >= maxPorts {
		return fmt.Errorf("network %s is full: its bridge %s takes %d containers, the kernel's limit; put this one on another network",
			short(n.ID), n.Bridge, maxPorts)
	}
	for _, p := range []struct{ addr, subnet, gateway netip.Prefix }{
		{e.IPv4, n.Subnet4, n.Gateway4}, {e.IPv6, n.Subnet6, n.Gateway6},
	} {
		if !p.addr.IsValid() {
			continue
		}
		a := p.addr.Addr()
		if !p.subnet.IsValid() || !p.subnet.Contains(a) {
			return fmt.Errorf("address %s is not inside network %s (subnets %v)", a, short(n.ID), n.subnets())
		}
		if what := nobodys(p.subnet, a); what != "" {
			return fmt.Errorf("address %s of network %s is %s: choose another --ip or --ip6", a, short(n.ID), what)
		}
		if p.gateway.IsValid() && p.gateway.Addr() == a && !n.leaves(a) {
			return fmt.Errorf("address %s is the gateway of network %s: choose another --ip", a, short(n.ID))
		}
		if h := s.holders[a]; h != nil {
			err := conflictf("address %s is held by endpoint %s: stop its container or choose another --ip", a, short(h.ID))
			err.Addresses = []netip.Addr{a}
			return err
		}
	}
	return s.admitMAC(e)
}

// find returns an endpoint and its network.
func (s *state) find(networkID, endpointID string) (*Network, *Endpoint, error) {
	n := s.networks[networkID]
	if n == nil {
		return nil, nil, unknownNetwork(networkID)
	}
	e := s.members[networkID][endpointID]
	if e == nil {
		return nil, nil, unknownEndpoint(networkID, endpointID)
	}
	return n, e, nil
}
