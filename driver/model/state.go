package model

import (
	"maps"
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/spec"
)

// State is everything that should exist, with the indexes that keep the checks
// of a verb independent of how much there is.
type State struct {
	Networks  map[string]*Network
	Endpoints map[string]*Endpoint
	places
	// Bridges and holders lead from a bridge or an address to who holds it, macs from a hardware
	// address on a network.
	Bridges map[string]*Network
	Holders map[netip.Addr]*Endpoint
	macs    map[macKey]*Endpoint
	Common
	// High are the published ports that what goes out must not get.
	High *HighPorts
}

// places list endpoints by where they are, and networks by what they are called.
type places struct {
	// Members lists the endpoints of each network.
	Members map[string]map[string]*Endpoint
	// Watchers lists those of them that get copies of what the others send.
	Watchers map[string]map[string]*Endpoint
	// Sandboxes lists the endpoints in each container's namespace. The lists never
	// change, they are replaced.
	Sandboxes map[string][]*Endpoint
	// crowds count those on further bridges.
	crowds crowds
	// Called lists networks by name. The lists never change, they are replaced.
	Called map[string][]*Network
}

// macKey is a hardware address on a network, which no two endpoints have.
type macKey struct{ network, mac string }

// Common is what is no network's.
type Common struct {
	// Host is what is remembered of the host.
	Host HostRecord
	// Policies are those that have names. Defaults is what counts for networks that say
	// nothing themselves; it is not stored.
	Policies map[string]*NamedPolicy
	Defaults config.Policy
	// Learning are those of whom somebody learns a policy just now, which no restart outlives.
	Learning map[Learner]bool
}

// Learner is a network of which a policy is learned, or one container on it.
type Learner struct {
	NetworkID string
	// EndpointID is empty for all containers of the network.
	EndpointID string
}

// NewState returns a state in which there is nothing.
func NewState() *State {
	return &State{
		Networks:  map[string]*Network{},
		Endpoints: map[string]*Endpoint{},
		places: places{
			Members: map[string]map[string]*Endpoint{}, Watchers: map[string]map[string]*Endpoint{}, Sandboxes: map[string][]*Endpoint{},
			crowds: crowds{}, Called: map[string][]*Network{},
		},
		Bridges: map[string]*Network{},
		Holders: map[netip.Addr]*Endpoint{},
		macs:    map[macKey]*Endpoint{},
		High:    newHighPorts(),
		Common:  Common{Policies: map[string]*NamedPolicy{}, Learning: map[Learner]bool{}},
	}
}

// Snapshot returns what compile needs of the state, which does not follow it.
// Networks and endpoints never change, they are replaced.
func (s *State) Snapshot() *State {
	members := make(map[string]map[string]*Endpoint, len(s.Members))
	for id, on := range s.Members {
		members[id] = maps.Clone(on)
	}
	return &State{
		Networks: maps.Clone(s.Networks), places: places{Members: members, Sandboxes: maps.Clone(s.Sandboxes), crowds: maps.Clone(s.crowds), Called: maps.Clone(s.Called)},
		Common: Common{Policies: maps.Clone(s.Policies), Defaults: s.Defaults, Learning: maps.Clone(s.Learning)},
	}
}

// Apply makes the state follow c.
func (s *State) Apply(c Change) {
	for _, e := range c.Endpoints {
		s.dropEndpoint(e.Before)
	}
	if n := c.Network.Before; n != nil {
		s.uncall(s.Networks[n.ID])
		delete(s.Networks, n.ID)
		delete(s.Bridges, n.Bridge)
		if len(s.Members[n.ID]) == 0 {
			delete(s.Members, n.ID)
		}
	}
	if n := c.Network.After; n != nil {
		s.call(n)
		s.Networks[n.ID] = n
		s.Bridges[n.Bridge] = n
	}
	for _, e := range c.Endpoints {
		s.addEndpoint(e.After)
	}
	if c.Host != nil {
		s.Host = c.Host.After
	}
	if l := c.Learning; l != nil {
		if delete(s.Learning, l.Of); l.On {
			s.Learning[l.Of] = true
		}
	}
	for _, p := range c.Policies {
		if delete(s.Policies, p.name()); p.After != nil {
			s.Policies[p.After.Name] = p.After
		}
	}
}

func (s *State) dropEndpoint(e *Endpoint) {
	if e == nil {
		return
	}
	if is := s.Endpoints[e.ID]; is != nil {
		s.High.drop(is)
		s.crowds.count(is, -1)
	}
	delete(s.Endpoints, e.ID)
	delete(s.Members[e.NetworkID], e.ID)
	if len(s.Members[e.NetworkID]) == 0 {
		delete(s.Members, e.NetworkID)
	}
	delete(s.Watchers[e.NetworkID], e.ID)
	if len(s.Watchers[e.NetworkID]) == 0 {
		delete(s.Watchers, e.NetworkID)
	}
	if e.Sandbox != "" {
		s.Sandboxes[e.Sandbox] = slices.DeleteFunc(slices.Clone(s.Sandboxes[e.Sandbox]), func(o *Endpoint) bool { return o.ID == e.ID })
		if len(s.Sandboxes[e.Sandbox]) == 0 {
			delete(s.Sandboxes, e.Sandbox)
		}
	}
	for _, a := range e.Addrs() {
		if h := s.Holders[a]; h != nil && h.ID == e.ID {
			delete(s.Holders, a)
		}
	}
	if key := e.macKey(); s.macs[key] != nil && s.macs[key].ID == e.ID {
		delete(s.macs, key)
	}
}

func (s *State) addEndpoint(e *Endpoint) {
	if e == nil {
		return
	}
	if is := s.Endpoints[e.ID]; is != nil {
		s.High.drop(is)
		s.crowds.count(is, -1)
	}
	s.Endpoints[e.ID] = e
	s.High.add(e)
	s.crowds.count(e, +1)
	if s.Members[e.NetworkID] == nil {
		s.Members[e.NetworkID] = map[string]*Endpoint{}
	}
	s.Members[e.NetworkID][e.ID] = e
	if e.Options.Promiscuous {
		if s.Watchers[e.NetworkID] == nil {
			s.Watchers[e.NetworkID] = map[string]*Endpoint{}
		}
		s.Watchers[e.NetworkID][e.ID] = e
	}
	if e.Sandbox != "" {
		s.Sandboxes[e.Sandbox] = append(slices.Clone(s.Sandboxes[e.Sandbox]), e)
	}
	for _, a := range e.Addrs() {
		s.Holders[a] = e
	}
	s.macs[e.macKey()] = e
}

// Find returns an endpoint and its network; what is not known is an error.
func (s *State) Find(networkID, endpointID string) (*Network, *Endpoint, error) {
	n := s.Networks[networkID]
	if n == nil {
		return nil, nil, UnknownNetwork(networkID)
	}
	e := s.Members[networkID][endpointID]
	if e == nil {
		return nil, nil, unknownEndpoint(networkID, endpointID)
	}
	return n, e, nil
}

// PublishedUDP returns the UDP ports that all endpoints have.
func (s *State) PublishedUDP() (runs []spec.Published) {
	for _, e := range s.Endpoints {
		for _, r := range e.Published {
			if r.Proto == spec.UDP {
				runs = append(runs, r)
			}
		}
	}
	return runs
}

// Publishing returns the endpoints of a container that publish ports, besides one,
// and the networks of all of them.
func (s *State) Publishing(sandbox string, but *Endpoint) (others []*Endpoint, networks map[string]*Network) {
	networks = map[string]*Network{but.NetworkID: s.Networks[but.NetworkID]}
	for _, o := range s.Sandboxes[sandbox] {
		n := s.Networks[o.NetworkID]
		if o.ID != but.ID && len(o.Publish.Bindings) > 0 && !n.Options.Internal {
			others = append(others, o)
			networks[n.ID] = n
		}
	}
	slices.SortFunc(others, func(a, b *Endpoint) int { return strings.Compare(a.ID, b.ID) })
	return others, networks
}

// Sharing returns the ids of a network and of those that are concerned when an
// endpoint of it publishes or stops publishing. The endpoint may be nil.
func (s *State) Sharing(networkID string, e *Endpoint, publishes bool) map[string]bool {
	ids := map[string]bool{networkID: true}
	if e != nil && e.Sandbox != "" && (publishes || len(e.Publish.Bindings) > 0) {
		for _, o := range s.Sandboxes[e.Sandbox] {
			ids[o.NetworkID] = true
		}
	}
	return ids
}

// macHolder returns the other endpoint of e's network that has e's hardware
// address.
func (s *State) macHolder(e *Endpoint) *Endpoint {
	if h := s.macs[e.macKey()]; h != nil && h.ID != e.ID {
		return h
	}
	return nil
}

func (e *Endpoint) macKey() macKey { return macKey{e.NetworkID, string(e.MAC)} }

// HoldersOf returns who on e's network holds an address of it, or the hardware address
// that was asked for, each once.
func (s *State) HoldersOf(e *Endpoint) (holders []*Endpoint) {
	if h := s.macHolder(e); h != nil && !e.MACChosen && s.Endpoints[e.ID] == nil {
		holders = append(holders, h)
	}
	for _, a := range e.Addrs() {
		h := s.Holders[a]
		if h != nil && h.ID != e.ID && h.NetworkID == e.NetworkID && !slices.Contains(holders, h) { // once for both families
			holders = append(holders, h)
		}
	}
	return holders
}

// Whose says which container a sandbox is of, by an endpoint in it: that is what a name
// is known of.
func (s *State) Whose(sandbox string) string {
	if list := s.Sandboxes[sandbox]; len(list) > 0 {
		return "endpoint " + Short(list[0].ID)
	}
	return "container " + Short(path.Base(sandbox))
}
