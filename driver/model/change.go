package model

import (
	"net/netip"
	"slices"
)

// Change is what one verb does: each object before and after, nil for
// "does not exist".
type Change struct {
	Network   NetworkChange
	Endpoints []EndpointChange
	// Host is what is remembered of the host; nil where that stays.
	Host *HostChange
	// Policies are those with names.
	Policies []PolicyChange
	// Learning is who begins or ends to be learned of; nil for nobody. It is not stored.
	Learning *LearningChange
}

// LearningChange says whether a policy is learned of somebody from now on.
type LearningChange struct {
	Of Learner
	On bool
}

// Sandboxes are those of the containers that the endpoints are in, before or after.
func (c Change) Sandboxes() map[string]bool {
	all := map[string]bool{}
	for _, e := range c.Endpoints {
		for _, e := range []*Endpoint{e.Before, e.After} {
			if e != nil && e.Sandbox != "" {
				all[e.Sandbox] = true
			}
		}
	}
	return all
}

// Empty says that nothing changes.
func (c Change) Empty() bool {
	return c.Network == NetworkChange{} && len(c.Endpoints) == 0 && len(c.Policies) == 0 && c.Host == nil && c.Learning == nil
}

// Repoliced says that it changes what counts for who is there already.
func (c Change) Repoliced() bool {
	n := c.Network
	again := n.Before != nil && n.After != nil && n.Before.Exceptions != n.After.Exceptions
	return again || len(c.Policies) > 0 || c.Learning != nil || slices.ContainsFunc(c.Endpoints, func(e EndpointChange) bool {
		return e.Before != nil && e.After != nil && e.Before.Exceptions != e.After.Exceptions
	})
}

// Inverse is the change that undoes c.
func (c Change) Inverse() Change {
	out := Change{Network: NetworkChange{Before: c.Network.After, After: c.Network.Before}}
	for _, e := range slices.Backward(c.Endpoints) {
		out.Endpoints = append(out.Endpoints, EndpointChange{Before: e.After, After: e.Before})
	}
	for _, p := range c.Policies {
		out.Policies = append(out.Policies, PolicyChange{Before: p.After, After: p.Before})
	}
	if l := c.Learning; l != nil {
		out.Learning = &LearningChange{l.Of, !l.On}
	}
	if c.Host != nil {
		out.Host = &HostChange{Before: c.Host.After, After: c.Host.Before}
	}
	return out
}

// NetworkChange is a network before and after; nil for "does not exist".
type NetworkChange struct{ Before, After *Network }

// HostChange is what is remembered of the host before and after.
type HostChange struct{ Before, After HostRecord }

// Bridges returns the bridges of a network that changes.
func (c NetworkChange) Bridges() (names []string) {
	for _, n := range []*Network{c.Before, c.After} {
		if n != nil {
			names = append(names, n.Bridge)
		}
	}
	return names
}

// EndpointChange is an endpoint before and after; nil for "does not exist".
type EndpointChange struct{ Before, After *Endpoint }

// NetworkID is the id of the network that the endpoint is on.
func (c EndpointChange) NetworkID() string {
	if c.After != nil {
		return c.After.NetworkID
	}
	return c.Before.NetworkID
}

// ID is the endpoint's.
func (c EndpointChange) ID() string {
	if c.After != nil {
		return c.After.ID
	}
	return c.Before.ID
}

// Further says that the endpoint is on a further bridge.
func (c EndpointChange) Further() bool {
	return c.Before != nil && c.Before.Further > 0 || c.After != nil && c.After.Further > 0
}

// Left returns the addresses that are in no container any more.
func (c EndpointChange) Left() []netip.Addr {
	if c.Before == nil || c.Before.Sandbox == "" {
		return nil
	}
	return slices.DeleteFunc(c.Before.Addrs(), func(a netip.Addr) bool {
		return c.After != nil && c.After.Sandbox != "" && slices.Contains(c.After.Addrs(), a)
	})
}
