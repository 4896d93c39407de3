package resolver

import (
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
	// inUse are the policies with names, and how many have each.
	inUse map[config.Policy]int
	// parsed has each policy once.
	parsed map[config.Policy]policy.Policy
}

// bound is a binding with its policy.
type bound struct {
	policy.Binding
	policy policy.Policy
}

func (b *book) set(all []policy.Binding) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.own, b.networks, b.inUse, b.parsed = nil, nil, nil, nil
	b.changeLocked(nil, all)
}

func (b *book) change(remove, add []policy.Binding) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.changeLocked(remove, add)
}

func (b *book) changeLocked(remove, add []policy.Binding) {
	if b.own == nil {
		b.own, b.networks, b.inUse, b.parsed = map[netip.Addr]bound{}, map[string]bound{}, map[config.Policy]int{}, map[config.Policy]policy.Policy{}
	}
	for _, r := range remove {
		b.drop(r)
	}
	for _, n := range add {
		b.put(n)
	}
}

// drop takes a binding away, unless another one has its place by now.
func (b *book) drop(r policy.Binding) {
	if was, there := b.networks[r.Bridge]; r.EndpointID == "" && there && was.Key() == r.Key() {
		delete(b.networks, r.Bridge)
		b.count(was, -1)
	}
	gone := false
	for _, a := range r.Addrs {
		was, there := b.own[a]
		if !there || was.Key() != r.Key() {
			continue
		}
		delete(b.own, a)
		if !gone {
			b.count(was, -1)
		}
		gone = true
	}
}

// put adds a binding, in the place of one that is for the same.
func (b *book) put(n policy.Binding) {
	p, known := b.parsed[n.Texts]
	if !known {
		p = n.Policy()
	}
	of := bound{n, p}
	if n.EndpointID == "" {
		if was, there := b.networks[n.Bridge]; there {
			b.count(was, -1)
		}
		b.networks[n.Bridge] = of
		b.count(of, 1)
		return
	}
	for i, a := range n.Addrs {
		if was, there := b.own[a]; there && i == 0 {
			b.count(was, -1)
		}
		b.own[a] = of
	}
	if len(n.Addrs) > 0 {
		b.count(of, 1)
	}
}

func (b *book) count(of bound, by int) {
	if !of.policy.Asks() {
		return
	}
	b.parsed[of.Texts] = of.policy
	if b.inUse[of.Texts] += by; b.inUse[of.Texts] <= 0 {
		delete(b.inUse, of.Texts)
		delete(b.parsed, of.Texts)
	}
}

// policies are those with names that somebody has.
func (b *book) policies() map[config.Policy]policy.Policy {
	b.mu.RLock()
	defer b.mu.RUnlock()
	all := map[config.Policy]policy.Policy{}
	for texts := range b.inUse {
		all[texts] = b.parsed[texts]
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

// find returns whose policy counts for who asks by a link; none, if that has no names.
func (b *book) find(link string, from netip.Addr) (bound, bool) {
	of, found := b.whose(link, from)
	return of, found && of.policy.Asks()
}
