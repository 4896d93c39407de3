package nftables

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/policy"
)

// policyState is what the policy table is for. Values are never changed.
type policyState struct {
	// bridges has the bindings on each bridge, by key.
	bridges map[string]map[any]bound
	// policies are those that somebody has.
	policies map[config.Policy]*inForce
	// known is what the table has from the process before; nil if all there is, is known.
	known knownPolicies
	log   bool
	// serving is where the daemon is for policies with names.
	serving policy.Serving
}

// bound is a binding with its policy.
type bound struct {
	policy.Binding
	*inForce
}

// with returns the state with other bindings.
func (s policyState) with(remove, add []policy.Binding) policyState {
	next := s
	if next.bridges = maps.Clone(s.bridges); next.bridges == nil {
		next.bridges = map[string]map[any]bound{}
	}
	fresh := map[string]bool{}
	on := func(bridge string) map[any]bound {
		if !fresh[bridge] {
			fresh[bridge], next.bridges[bridge] = true, maps.Clone(next.bridges[bridge])
		}
		if next.bridges[bridge] == nil {
			next.bridges[bridge] = map[any]bound{}
		}
		return next.bridges[bridge]
	}
	for _, b := range remove {
		delete(on(b.Bridge), b.Key())
	}
	n := naming{was: s, fresh: map[config.Policy]*inForce{}}
	for _, b := range add {
		on(b.Bridge)[b.Key()] = bound{b, n.of(b)}
	}
	maps.DeleteFunc(next.bridges, func(_ string, of map[any]bound) bool { return len(of) == 0 })
	next.policies = n.name(next.bridges)
	return next
}

func (s policyState) empty() bool { return len(s.bridges) == 0 }

// of are the bindings of one bridge.
func (s policyState) of(bridge string) []bound {
	return slices.SortedFunc(maps.Values(s.bridges[bridge]), func(a, b bound) int {
		return strings.Compare(a.Key().(string), b.Key().(string))
	})
}

func (s policyState) all() (all []policy.Binding) {
	for _, bridge := range slices.Sorted(maps.Keys(s.bridges)) {
		for _, b := range s.of(bridge) {
			all = append(all, b.Binding)
		}
	}
	return all
}

// named are the policies that somebody has, by name.
func (s policyState) named() map[string]*inForce {
	all := map[string]*inForce{}
	for _, p := range s.policies {
		all[p.id] = p
	}
	return all
}

// having is the policy that counts for a container's address; nil for none.
func (s policyState) having(a netip.Addr) (network *inForce) {
	for _, of := range s.bridges {
		for _, b := range of {
			switch {
			case slices.Contains(b.Addrs, a):
				return b.inForce
			case b.EndpointID == "" && slices.ContainsFunc(b.Subnets, func(p netip.Prefix) bool { return p.Contains(a) }):
				network = b.inForce
			}
		}
	}
	return network
}

// whose is having for many addresses.
func (s policyState) whose() func(netip.Addr) *inForce {
	own := map[netip.Addr]*inForce{}
	var networks []bound
	for _, of := range s.bridges {
		for _, b := range of {
			for _, a := range b.Addrs {
				own[a] = b.inForce
			}
			if b.EndpointID == "" {
				networks = append(networks, b)
			}
		}
	}
	return func(a netip.Addr) *inForce {
		if p := own[a]; p != nil {
			return p
		}
		for _, b := range networks {
			if slices.ContainsFunc(b.Subnets, func(p netip.Prefix) bool { return p.Contains(a) }) {
				return b.inForce
			}
		}
		return nil
	}
}

// image is what a part of the table has, or all of it.
type image struct {
	sets   map[string]*set
	chains []chain
	items  contents
}

func (i *image) add(p policyPart) {
	maps.Copy(i.sets, p.sets)
	i.chains = append(i.chains, p.chains...)
	for name, items := range p.items {
		if i.items[name] == nil {
			i.items[name] = items // most are in one part alone
			continue
		}
		maps.Copy(i.items[name], items)
	}
}

func newImage() image { return image{sets: map[string]*set{}, items: contents{}} }

// image is all that the table has for the state; nothing where nobody has a policy.
func (s policyState) image() image {
	i := newImage()
	if s.empty() {
		return i
	}
	rows := rowsOfPolicy()
	i.add(policyPart{sets: setsOf(everyRow()), chains: policyChains(s.log), items: contents{}})
	for _, h := range headers() {
		all := rows.public.of(h)
		ranges4or6(policy.Public(), h, receiver)(i.items.put, &all)
	}
	i.add(resolverPart(s.serving.Questions))
	i.add(readerPart(s.serving.Connections))
	named := s.named()
	for _, id := range slices.Sorted(maps.Keys(named)) {
		i.add(named[id].part())
	}
	for _, bridge := range slices.Sorted(maps.Keys(s.bridges)) {
		i.add(bridgePart(s.of(bridge)))
	}
	return i
}
