package driver

import (
	"cmp"
	"context"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/driver/spec"
)

// A container in several networks has at most two endpoints that publish its ports:
// the gateway of IPv4 and that of IPv6. The engine tells neither which of them an
// endpoint is, nor, from 29 on, the one that stays when the other comes or goes: an
// IPv4 endpoint that served the container's ports in both families hears nothing
// when an IPv6 gateway joins. So the ports of a container have one owner, and who
// serves them is decided here, for all of its endpoints at once.

// families are those of host addresses.
type families struct{ four, six bool }

func (f families) has(a netip.Addr) bool { return a.Is4() && f.four || a.Is6() && f.six }

// serving says which host addresses each of the endpoints that publish a container's
// ports serves. Of two gateways, the one that is asked first has one family alone, or
// it would be the gateway of both: that family is its, and the other one the other's.
// Where several could serve a family all the same, it is the latest that was asked;
// without it, who serves it already. A family that nobody has is relayed.
func serving(all []*Endpoint, latest string) map[string]families {
	out := map[string]families{}
	for _, four := range []bool{true, false} {
		e := server(all, latest, four)
		if e == nil {
			continue
		}
		f := out[e.ID]
		f.four, f.six = f.four || four, f.six || !four
		out[e.ID] = f
	}
	return out
}

// server chooses the endpoint that serves a family, nil if there is none at all.
func server(all []*Endpoint, latest string, four bool) *Endpoint {
	ranks := func(e *Endpoint) (family, time int) {
		has, other := e.IPv4.IsValid(), e.IPv6.IsValid()
		if !four {
			has, other = other, has
		}
		switch {
		case !has:
			family = 2
		case other:
			family = 1
		}
		switch {
		case e.ID == latest:
		case slices.ContainsFunc(e.Published, func(r spec.Published) bool { return r.HostIP.Is4() == four }):
			time = 1
		default:
			time = 2
		}
		return family, time
	}
	if len(all) == 0 {
		return nil
	}
	return slices.MinFunc(all, func(a, b *Endpoint) int {
		familyA, timeA := ranks(a)
		familyB, timeB := ranks(b)
		return cmp.Or(cmp.Compare(familyA, familyB), cmp.Compare(timeA, timeB), strings.Compare(a.ID, b.ID))
	})
}

// publishing returns the endpoints of a container that publish ports, besides one,
// and the networks of all of them.
func (s *state) publishing(sandbox string, but *Endpoint) (others []*Endpoint, networks map[string]*Network) {
	networks = map[string]*Network{but.NetworkID: s.networks[but.NetworkID]}
	for _, o := range s.sandboxes[sandbox] {
		n := s.networks[o.NetworkID]
		if o.ID != but.ID && len(o.Publish.Bindings) > 0 && !n.Options.Internal {
			others = append(others, o)
			networks[n.ID] = n
		}
	}
	slices.SortFunc(others, func(a, b *Endpoint) int { return strings.Compare(a.ID, b.ID) })
	return others, networks
}

// withPorts reserves the host ports of a container of which the endpoint before is about
// to become after, fills in what after publishes, and does the rest, which is told how the
// container's other endpoints change. What was reserved is given back unless that
// succeeds. The caller holds the locks of lockSharing.
func (d *Driver) withPorts(ctx context.Context, before, after *Endpoint, do func(others []endpointChange) error) error {
	others, err := d.sharePorts(ctx, before, after)
	if err != nil {
		return err
	}
	if err = do(others); err != nil {
		d.mu.Lock()
		p := d.state.hostPorts(before.Sandbox)
		d.mu.Unlock()
		d.o.Ports.Keep(p)
	}
	return err
}

// sharePorts is the first half of withPorts.
func (d *Driver) sharePorts(ctx context.Context, before, after *Endpoint) ([]endpointChange, error) {
	if len(before.Publish.Bindings)+len(after.Publish.Bindings) == 0 {
		return nil, nil
	}
	d.mu.Lock()
	others, networks := d.state.publishing(before.Sandbox, before)
	d.mu.Unlock()
	group := make([]*Endpoint, 0, len(others)+1)
	for _, o := range others {
		changed := *o
		// Told that another endpoint is the gateway of IPv6, it is not told that
		// that one has left.
		changed.Publish.NoProxy6To4 = o.Publish.NoProxy6To4 && !lastIPv6(before, after, others)
		group = append(group, &changed)
	}
	if after.Sandbox != "" && !networks[after.NetworkID].Options.Internal && len(after.Publish.Bindings) > 0 {
		group = append(group, after)
	}
	latest := after.ID
	if after.Publish.Equal(before.Publish) {
		latest = "" // nobody asked
	}
	serves := serving(group, latest)
	var requests []spec.PortRequest
	for _, e := range group {
		requests = append(requests, portRequests(networks[e.NetworkID], e, serves[e.ID])...)
	}
	var runs []spec.Published
	if len(requests) > 0 {
		var err error
		if runs, err = d.o.Ports.Reserve(ctx, before.Sandbox, requests); err != nil {
			return nil, err
		}
	}
	after.Published = runsOf(after, runs)
	var changes []endpointChange
	for i, o := range others {
		changed := group[i]
		if changed.Published = runsOf(o, runs); !reflect.DeepEqual(changed, o) {
			changes = append(changes, endpointChange{before: o, after: changed})
		}
	}
	return changes, nil
}

// lastIPv6 says that of the endpoints that publish a container's ports the only one
// with IPv6 stops doing so, or loses that.
func lastIPv6(before, after *Endpoint, others []*Endpoint) bool {
	return before.IPv6.IsValid() && len(before.Publish.Bindings) > 0 && (len(after.Publish.Bindings) == 0 || !after.IPv6.IsValid()) &&
		!slices.ContainsFunc(others, func(o *Endpoint) bool { return o.IPv6.IsValid() })
}

// runsOf returns those of a container's runs that lead to one of its endpoints.
func runsOf(e *Endpoint, runs []spec.Published) (own []spec.Published) {
	for _, r := range runs {
		if slices.Contains(e.addrs(), r.ContainerIP) {
			own = append(own, r)
		}
	}
	return own
}

// givingBack does what takes away e's published ports, and is told how the other
// endpoints of the container change. They keep what they have if they cannot get more.
func (d *Driver) givingBack(ctx context.Context, e *Endpoint, do func(others []endpointChange) error) error {
	d.mu.Lock()
	others, _ := d.state.publishing(e.Sandbox, e)
	d.mu.Unlock()
	if e.Sandbox == "" || len(e.Publish.Bindings) == 0 || len(others) == 0 {
		return do(nil)
	}
	bare, done := e.left(), false
	err := d.withPorts(ctx, e, &bare, func(others []endpointChange) error {
		done = true
		return do(others)
	})
	if done {
		return err
	}
	d.o.Log.WithError(err).WithField("ep", short(e.ID)).Warn("another endpoint of the container does not take over the published ports")
	return do(nil)
}

// takeOver has the other endpoints of a container serve what one served that has
// gone with its network or without a call.
func (d *Driver) takeOver(ctx context.Context, gone []endpointChange) {
	for _, c := range gone {
		e := c.before
		if len(e.Publish.Bindings) == 0 {
			continue
		}
		unlock, err := d.lockNetworks(ctx, func(s *state) map[string]bool {
			ids := map[string]bool{}
			for _, o := range s.sandboxes[e.Sandbox] {
				ids[o.NetworkID] = true
			}
			return ids
		})
		if err == nil {
			err = d.givingBack(ctx, e, func(others []endpointChange) error {
				return d.retire(ctx, func(*state) (change, error) { return change{endpoints: others}, nil })
			})
			unlock()
		}
		if err != nil {
			d.o.Log.WithError(err).WithField("ep", short(e.ID)).Warn("another endpoint of the container does not take over the published ports")
		}
	}
}

// lacksIPv6 says whether the container of an endpoint with an IPv6 address has IPv6
// switched off on its interface. The engine takes the address back then, from 29 on
// also from the address manager, and does not tell. Where nobody tells, it is taken
// to be there.
func (d *Driver) lacksIPv6(ctx context.Context, e *Endpoint) bool {
	if e.Sandbox == "" || !e.IPv6.IsValid() {
		return false
	}
	lacks, err := d.o.Links.LacksIPv6(ctx, spec.Veth{EndpointID: e.ID, Host: vethHost(e.ID)})
	if err != nil {
		d.o.Log.WithError(err).WithField("ep", short(e.ID)).Warn("whether the container has IPv6 is not known")
	}
	if lacks {
		d.o.Log.WithField("ep", short(e.ID)).Infof("IPv6 is off in the container: the endpoint gives up %s", e.IPv6.Addr())
	}
	return lacks
}

// giveUpIPv6 has an endpoint do without its IPv6 address. The caller holds the locks
// of lockSharing.
func (d *Driver) giveUpIPv6(ctx context.Context, e *Endpoint) error {
	bare := *e
	bare.IPv6 = netip.Prefix{}
	return d.withPorts(ctx, e, &bare, func(others []endpointChange) error {
		return d.commit(ctx, func(*state) (change, error) {
			return change{endpoints: append([]endpointChange{{before: e, after: &bare}}, others...)}, nil
		})
	})
}

// lockSharing takes the locks of an endpoint's network and of those that its
// container's ports are published on as well, if it publishes any or is about to.
func (d *Driver) lockSharing(ctx context.Context, networkID, endpointID string, publishes bool) (unlock func(), err error) {
	return d.lockNetworks(ctx, func(s *state) map[string]bool {
		return s.sharing(networkID, s.members[networkID][endpointID], publishes)
	})
}

// lockNetworks takes the locks of the networks that which names at the time.
func (d *Driver) lockNetworks(ctx context.Context, which func(*state) map[string]bool) (unlock func(), err error) {
	names := func() []string {
		d.mu.Lock()
		defer d.mu.Unlock()
		return slices.Sorted(maps.Keys(which(d.state)))
	}
	for {
		ids := names()
		if unlock, err = d.networks.lockAll(ctx, ids); err != nil {
			return nil, err
		}
		if slices.Equal(ids, names()) {
			return unlock, nil
		}
		unlock() // somebody has joined or left a network meanwhile
	}
}

// sharing returns the ids of a network and of those that are concerned when an
// endpoint of it publishes or stops publishing. The endpoint may be nil.
func (s *state) sharing(networkID string, e *Endpoint, publishes bool) map[string]bool {
	ids := map[string]bool{networkID: true}
	if e != nil && e.Sandbox != "" && (publishes || len(e.Publish.Bindings) > 0) {
		for _, o := range s.sandboxes[e.Sandbox] {
			ids[o.NetworkID] = true
		}
	}
	return ids
}

// holdersOf returns who on e's network holds an address of it, or the hardware address
// that was asked for, each once.
func (s *state) holdersOf(e *Endpoint) (holders []*Endpoint) {
	if h := s.macHolder(e); h != nil && !e.MACChosen && s.endpoints[e.ID] == nil {
		holders = append(holders, h)
	}
	for _, a := range e.addrs() {
		h := s.holders[a]
		if h != nil && h.ID != e.ID && h.NetworkID == e.NetworkID && !slices.Contains(holders, h) { // once for both families
			holders = append(holders, h)
		}
	}
	return holders
}
