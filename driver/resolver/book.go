package resolver

import (
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/policy"
)

// book has the bindings by what is known of a question: the link and the address.
type book struct {
	mu       sync.RWMutex
	own      map[netip.Addr]bound
	networks map[string]bound
	// inUse has each policy once: a thousand containers may have ten thousand entries in common.
	inUse map[config.Policy]*shared
}

// bound is a binding with its policy.
type bound struct {
	policy.Binding
	*shared
}

// shared is a policy, and how many have it. Of one without names nothing more is kept.
type shared struct {
	policy policy.Policy
	asks   bool
	users  int
}

func (b *book) set(all []policy.Binding) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.own, b.networks, b.inUse = nil, nil, nil
	b.changeLocked(nil, all)
}

func (b *book) change(remove, add []policy.Binding) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.changeLocked(remove, add)
}

func (b *book) changeLocked(remove, add []policy.Binding) {
	if b.own == nil {
		b.own, b.networks, b.inUse = map[netip.Addr]bound{}, map[string]bound{}, map[config.Policy]*shared{}
	}
	for _, r := range remove {
		b.drop(r)
	}
	for _, n := range add {
		b.put(n)
	}
	maps.DeleteFunc(b.inUse, func(_ config.Policy, s *shared) bool { return s.users <= 0 })
}

// drop takes a binding away, unless another one has its place by now.
func (b *book) drop(r policy.Binding) {
	if was, there := b.networks[r.Bridge]; r.EndpointID == "" && there && was.Key() == r.Key() {
		delete(b.networks, r.Bridge)
		was.users--
	}
	gone := false
	for _, a := range r.Addrs {
		was, there := b.own[a]
		if !there || was.Key() != r.Key() {
			continue
		}
		delete(b.own, a)
		if !gone {
			was.users--
		}
		gone = true
	}
}

// put adds a binding, in the place of one that is for the same.
func (b *book) put(n policy.Binding) {
	s := b.inUse[n.Texts]
	if s == nil {
		s = &shared{policy: n.Policy()}
		if s.asks = s.policy.Asks(); !s.asks {
			s.policy = policy.Policy{}
		}
		b.inUse[n.Texts] = s
	}
	of := bound{n, s}
	if n.EndpointID == "" {
		if was, there := b.networks[n.Bridge]; there {
			was.users--
		}
		b.networks[n.Bridge] = of
		of.users++
		return
	}
	for i, a := range n.Addrs {
		if was, there := b.own[a]; there && i == 0 {
			was.users--
		}
		b.own[a] = of
	}
	if len(n.Addrs) > 0 {
		of.users++
	}
}

// policies are those with names that somebody has.
func (b *book) policies() map[config.Policy]policy.Policy {
	b.mu.RLock()
	defer b.mu.RUnlock()
	all := map[config.Policy]policy.Policy{}
	for texts, s := range b.inUse {
		if s.asks {
			all[texts] = s.policy
		}
	}
	return all
}

// whose returns whose policy counts for who has sent something by a link.
func (b *book) whose(link string, from netip.Addr) (bound, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	of, found := b.own[from]
	if !found || of.Bridge != link {
		of, found = b.networks[link]
		found = found && slices.ContainsFunc(of.Subnets, func(p netip.Prefix) bool { return p.Contains(from) })
	}
	return of, found
}

// counts returns which policy counts for who has sent something by a link; an open one where
// nobody has said anything.
func (b *book) counts(link string, from netip.Addr) (config.Policy, policy.Policy) {
	of, found := b.whose(link, from)
	switch {
	case !found:
		of = bound{}
	case of.asks:
		return of.Texts, of.policy
	}
	return of.Texts, of.Policy() // of one without names the texts alone are kept
}

// find returns whose policy counts for who asks by a link; none, if that has no names.
func (b *book) find(link string, from netip.Addr) (bound, bool) {
	of, found := b.whose(link, from)
	return of, found && of.asks
}
