package driver

import (
	"bytes"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/spec"
)

// Network is one network that should exist. Values are never changed once
// they are part of the state.
type Network struct {
	ID      string
	Options config.Network
	// Bridge is the link's name; Adopted says that it was there before.
	Bridge  string
	Adopted bool
	// Subnet4 and Subnet6 are masked; invalid if the network lacks the family.
	Subnet4, Subnet6 netip.Prefix
	// Gateway4 and Gateway6 carry the subnet's prefix length; invalid for none.
	Gateway4, Gateway6 netip.Prefix
	// Router4 and Router6 are the containers' default gateways where the user has
	// named others than the bridge's addresses.
	Router4, Router6 netip.Addr
	// Space is the address space of the subnets; empty for a network that was
	// stored before this was known.
	Space string `json:",omitempty"`
	// Engine is whose the network is; empty until an engine has named it.
	Engine string `json:",omitempty"`
}

// Endpoint is one container's place on a network. Values are never changed
// once they are part of the state.
type Endpoint struct {
	ID, NetworkID string
	// Options are those of this one container.
	Options config.Endpoint
	// IPv4 and IPv6 carry the subnet's prefix length; invalid for none.
	IPv4, IPv6 netip.Prefix
	MAC        HardwareAddr
	// MACChosen says that the engine left the choice of MAC to us.
	MACChosen bool
	// Sandbox is the engine's key of the container's namespace; empty until
	// the endpoint joined.
	Sandbox string
	// Asked is what the container publishes, as long as another network of it
	// is asked to do so; only of an endpoint of a routed network, which opens
	// these ports all the same.
	Asked []config.PortBinding `json:",omitempty"`
	// Publish is what was asked to be published, and Published where it is.
	Publish   config.Publish
	Published []spec.Published
}

// HardwareAddr is a net.HardwareAddr that is stored as text.
type HardwareAddr net.HardwareAddr

// MarshalText gives the colon form.
func (h HardwareAddr) MarshalText() ([]byte, error) {
	return []byte(net.HardwareAddr(h).String()), nil
}

// UnmarshalText takes the colon form.
func (h *HardwareAddr) UnmarshalText(b []byte) error {
	mac, err := net.ParseMAC(string(b))
	if err != nil {
		return fmt.Errorf("hardware address: %w", err)
	}
	*h = HardwareAddr(mac)
	return nil
}

// check refuses what no single interface can have.
func (h HardwareAddr) check() error {
	if len(h) != 6 || h[0]&1 != 0 || bytes.Equal(h, make([]byte, 6)) {
		return fmt.Errorf("mac address %s: want six bytes of a single interface, such as 02:42:0a:00:00:02", net.HardwareAddr(h))
	}
	return nil
}

// left is the endpoint outside of any container.
func (e *Endpoint) left() Endpoint {
	left := *e
	left.Sandbox, left.Asked, left.Publish, left.Published = "", nil, config.Publish{}, nil
	return left
}

// addrs returns the endpoint's addresses without prefix lengths.
func (e *Endpoint) addrs() []netip.Addr {
	var out []netip.Addr
	for _, p := range []netip.Prefix{e.IPv4, e.IPv6} {
		if p.IsValid() {
			out = append(out, p.Addr())
		}
	}
	return out
}

// reached returns the addresses that published ports can lead to; invalid for none.
func (e *Endpoint) reached() (four, six netip.Addr) {
	four, six = e.IPv4.Addr(), e.IPv6.Addr()
	if !forwarded(six) {
		six = netip.Addr{}
	}
	return four, six
}

// subnets returns the network's subnets, IPv4 first.
func (n *Network) subnets() []netip.Prefix {
	var out []netip.Prefix
	for _, p := range []netip.Prefix{n.Subnet4, n.Subnet6} {
		if p.IsValid() {
			out = append(out, p)
		}
	}
	return out
}

// routed says whether a family of the network is routed.
func (n *Network) routed() bool {
	return slices.ContainsFunc(n.subnets(), func(p netip.Prefix) bool { return n.Options.Mode(p.Addr().Is6()) == config.Routed })
}

// forwarded returns the subnets whose packets may pass from link to link. The
// kernel forwards none from a link-local IPv6 address (ip6_forward), and looks for
// one only on the link that the packet came by; every link has such addresses, so
// that no rule can go by them.
func (n *Network) forwarded() []netip.Prefix {
	return slices.DeleteFunc(n.subnets(), func(p netip.Prefix) bool { return !forwarded(p.Addr()) })
}

func forwarded(a netip.Addr) bool { return a.IsValid() && (a.Is4() || !a.IsLinkLocalUnicast()) }

// gateways returns the network's gateway addresses, IPv4 first.
func (n *Network) gateways() []netip.Prefix {
	var out []netip.Prefix
	for _, p := range []netip.Prefix{n.Gateway4, n.Gateway6} {
		if p.IsValid() {
			out = append(out, p)
		}
	}
	return out
}

// state is everything that should exist, with the indexes that keep the checks
// of a verb independent of how much there is.
type state struct {
	networks  map[string]*Network
	endpoints map[string]*Endpoint
	// members lists the endpoints of each network.
	members map[string]map[string]*Endpoint
	// sandboxes lists the endpoints in each container's namespace. The lists never
	// change, they are replaced.
	sandboxes map[string][]*Endpoint
	// bridges and holders lead from a bridge or an address to who holds it.
	bridges map[string]*Network
	holders map[netip.Addr]*Endpoint
	// high are the published ports that what goes out must not get.
	high *publishedHigh
}

func newState() *state {
	return &state{
		networks:  map[string]*Network{},
		endpoints: map[string]*Endpoint{},
		members:   map[string]map[string]*Endpoint{},
		sandboxes: map[string][]*Endpoint{},
		bridges:   map[string]*Network{},
		holders:   map[netip.Addr]*Endpoint{},
		high:      newPublishedHigh(),
	}
}

// change is what one verb does: each object before and after, nil for
// "does not exist".
type change struct {
	network   networkChange
	endpoints []endpointChange
}

// snapshot returns what compile needs of the state, which does not follow it.
// Networks and endpoints never change, they are replaced.
func (s *state) snapshot() *state {
	members := make(map[string]map[string]*Endpoint, len(s.members))
	for id, on := range s.members {
		members[id] = maps.Clone(on)
	}
	return &state{networks: maps.Clone(s.networks), members: members, sandboxes: maps.Clone(s.sandboxes)}
}

// publishedUDP returns the UDP ports that all endpoints have.
func (s *state) publishedUDP() (runs []spec.Published) {
	for _, e := range s.endpoints {
		for _, r := range e.Published {
			if r.Proto == spec.UDP {
				runs = append(runs, r)
			}
		}
	}
	return runs
}

type networkChange struct{ before, after *Network }

// bridges returns the bridges of a network that changes.
func (c networkChange) bridges() (names []string) {
	for _, n := range []*Network{c.before, c.after} {
		if n != nil {
			names = append(names, n.Bridge)
		}
	}
	return names
}

type endpointChange struct{ before, after *Endpoint }

// network is the id of the network that the endpoint is on.
func (c endpointChange) network() string {
	if c.after != nil {
		return c.after.NetworkID
	}
	return c.before.NetworkID
}

// left returns the addresses that are in no container any more.
func (c endpointChange) left() []netip.Addr {
	if c.before == nil || c.before.Sandbox == "" {
		return nil
	}
	return slices.DeleteFunc(c.before.addrs(), func(a netip.Addr) bool {
		return c.after != nil && c.after.Sandbox != "" && slices.Contains(c.after.addrs(), a)
	})
}

// sandboxes are those of the containers that the endpoints are in, before or after.
func (c change) sandboxes() map[string]bool {
	all := map[string]bool{}
	for _, e := range c.endpoints {
		for _, e := range []*Endpoint{e.before, e.after} {
			if e != nil && e.Sandbox != "" {
				all[e.Sandbox] = true
			}
		}
	}
	return all
}

func (c change) empty() bool {
	return c.network == networkChange{} && len(c.endpoints) == 0
}

// inverse is the change that undoes c.
func (c change) inverse() change {
	out := change{network: networkChange{before: c.network.after, after: c.network.before}}
	for _, e := range slices.Backward(c.endpoints) {
		out.endpoints = append(out.endpoints, endpointChange{before: e.after, after: e.before})
	}
	return out
}

// apply makes the state follow c.
func (s *state) apply(c change) {
	for _, e := range c.endpoints {
		s.dropEndpoint(e.before)
	}
	if n := c.network.before; n != nil {
		delete(s.networks, n.ID)
		delete(s.bridges, n.Bridge)
		if len(s.members[n.ID]) == 0 {
			delete(s.members, n.ID)
		}
	}
	if n := c.network.after; n != nil {
		s.networks[n.ID] = n
		s.bridges[n.Bridge] = n
	}
	for _, e := range c.endpoints {
		s.addEndpoint(e.after)
	}
}

func (s *state) dropEndpoint(e *Endpoint) {
	if e == nil {
		return
	}
	if is := s.endpoints[e.ID]; is != nil {
		s.high.drop(is)
	}
	delete(s.endpoints, e.ID)
	delete(s.members[e.NetworkID], e.ID)
	if len(s.members[e.NetworkID]) == 0 {
		delete(s.members, e.NetworkID)
	}
	if e.Sandbox != "" {
		s.sandboxes[e.Sandbox] = slices.DeleteFunc(slices.Clone(s.sandboxes[e.Sandbox]), func(o *Endpoint) bool { return o.ID == e.ID })
		if len(s.sandboxes[e.Sandbox]) == 0 {
			delete(s.sandboxes, e.Sandbox)
		}
	}
	for _, a := range e.addrs() {
		if h := s.holders[a]; h != nil && h.ID == e.ID {
			delete(s.holders, a)
		}
	}
}

func (s *state) addEndpoint(e *Endpoint) {
	if e == nil {
		return
	}
	if is := s.endpoints[e.ID]; is != nil {
		s.high.drop(is)
	}
	s.endpoints[e.ID] = e
	s.high.add(e)
	if s.members[e.NetworkID] == nil {
		s.members[e.NetworkID] = map[string]*Endpoint{}
	}
	s.members[e.NetworkID][e.ID] = e
	if e.Sandbox != "" {
		s.sandboxes[e.Sandbox] = append(slices.Clone(s.sandboxes[e.Sandbox]), e)
	}
	for _, a := range e.addrs() {
		s.holders[a] = e
	}
}

// short cuts an id for names, logs and rules. Ids of swarm networks have 25
// characters, so nothing may be assumed about the length.
func short(id string) string { return id[:min(len(id), 12)] }
