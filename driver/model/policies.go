package model

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/gangway-net/gangway/config"
)

// PolicyKeys is what the keys of named policies begin with in the store.
const PolicyKeys = "policy/"

// NamedPolicy is a policy that the administrator keeps under a name. Values are never changed
// once they are part of the state.
type NamedPolicy struct {
	Name string
	// Text is the document as it was given, with its comments.
	Text string
	// Policy is what the text says.
	Policy config.Policy
}

// PolicyChange is a named policy before and after; nil for "does not exist".
type PolicyChange struct{ Before, After *NamedPolicy }

func (c PolicyChange) name() string {
	if c.After != nil {
		return c.After.Name
	}
	return c.Before.Name
}

// Exception is what the administrator allows or denies beside a policy, for some time or for
// good.
type Exception struct {
	Deny bool `json:",omitempty"`
	// To is one destination, in its one form.
	To string
	// Until is when it ends by itself; nil for never.
	Until *time.Time `json:",omitempty"`
}

// Over says that it has ended by itself.
func (e Exception) Over(now time.Time) bool { return e.Until != nil && !now.Before(*e.Until) }

// Exceptions are those of a network or of an endpoint; nil has none. They never change, they are
// replaced: networks compare with ==.
type Exceptions struct{ All []Exception }

// List are the exceptions, in the order of their making.
func (x *Exceptions) List() []Exception {
	if x == nil {
		return nil
	}
	return x.All
}

// With has one exception more, in the place of one of the same destination.
func (x *Exceptions) With(e Exception) *Exceptions {
	return &Exceptions{append(x.without(e.To), e)}
}

func (x *Exceptions) without(to string) []Exception {
	return slices.DeleteFunc(slices.Clone(x.List()), func(e Exception) bool { return e.To == to })
}

// Without has no exception for a destination; had says that there was one.
func (x *Exceptions) Without(to string) (left *Exceptions, had bool) {
	rest := x.without(to)
	had = len(rest) < len(x.List())
	if len(rest) == 0 {
		return nil, had
	}
	return &Exceptions{rest}, had
}

// At are those that have not ended by then; ended says that some have.
func (x *Exceptions) At(now time.Time) (left *Exceptions, ended bool) {
	rest := slices.DeleteFunc(slices.Clone(x.List()), func(e Exception) bool { return e.Over(now) })
	switch {
	case len(rest) == len(x.List()):
		return x, false
	case len(rest) == 0:
		return nil, true
	}
	return &Exceptions{rest}, true
}

// to are the destinations that are allowed, or denied.
func (x *Exceptions) to(deny bool) (all []string) {
	for _, e := range x.List() {
		if e.Deny == deny {
			all = append(all, e.To)
		}
	}
	return all
}

// Layer is a source of what a policy says. What an earlier one says counts before a later one.
type Layer struct {
	From   LayerKind
	Policy config.Policy
}

// LayerKind says where words of a policy come from.
type LayerKind string

// The layers of a policy.
const (
	OfContainer LayerKind = "container"
	OfNetwork   LayerKind = "network"
	OfName      LayerKind = "policy"
	OfMissing   LayerKind = "missing policy"
	OfSettings  LayerKind = "setting"
)

// Layers are those that count for a network, or for one container on it if e is not nil, the first
// one first: what is said outright goes before what a policy says by its name, and what
// is said for one container before what is said for all. In the place of a policy that is not there
// comes one that closes all: who named it wanted something closed, and nobody knows what.
func (s *State) Layers(n *Network, e *Endpoint) []Layer { return s.appendLayers(nil, n, e) }

// appendLayers adds the layers to a list.
func (s *State) appendLayers(all []Layer, n *Network, e *Endpoint) []Layer {
	name := n.Options.Policy.Name
	if e != nil {
		all = append(all, Layer{OfContainer, e.Options.Policy})
		name = cmp.Or(e.Options.Policy.Name, name)
	}
	all = append(all, Layer{OfNetwork, n.Options.Policy})
	if named := s.Policies[name]; named != nil {
		all = append(all, Layer{OfName, named.Policy})
	} else if name != "" {
		all = append(all, Layer{OfMissing, config.Policy{Egress: config.EgressDeny, Ingress: config.None, Host: config.None}})
	}
	return append(all, Layer{OfSettings, s.Defaults})
}

// Said is what the layers say together of who may talk to the containers of a network, or to one
// of them if e is not nil, and to whom they may.
func (s *State) Said(n *Network, e *Endpoint) (p config.Policy) {
	var room [4]Layer // no more, and with each change: not on the heap
	for _, l := range s.appendLayers(room[:0], n, e) {
		p = p.Over(l.Policy)
	}
	return p
}

// PolicyOf is what counts: what was said, with the exceptions, and with what names of networks
// stand for.
func (s *State) PolicyOf(n *Network, e *Endpoint) config.Policy {
	p := s.Said(n, e)
	for _, x := range s.exceptions(n, e) {
		p.Deny = config.WithEntries(p.Deny, x.to(true)...)
		p.Allow = config.WithEntries(p.Allow, adding(p, x.to(false))...)
	}
	return s.withNetworks(p)
}

// adding are the exceptions that add to what is allowed: where everything is, those of other
// networks alone.
func adding(p config.Policy, allow []string) []string {
	if cmp.Or(p.Egress, config.EgressOpen) != config.EgressOpen {
		return allow
	}
	return slices.DeleteFunc(allow, func(to string) bool { return len((config.Policy{Allow: to}).NamedNetworks()) == 0 })
}

// exceptions are those that count. What a network allows adds to the list that its containers
// have of it: one with a list of its own keeps that. What it denies, it denies to all of them.
func (s *State) exceptions(n *Network, e *Endpoint) (all []*Exceptions) {
	of := n.Exceptions
	if e != nil && e.ownAllow() && of != nil {
		of = &Exceptions{slices.DeleteFunc(slices.Clone(of.All), func(x Exception) bool { return !x.Deny })}
	}
	for _, x := range []*Exceptions{of, e.exceptions()} {
		if len(x.List()) > 0 {
			all = append(all, x)
		}
	}
	return all
}

func (e *Endpoint) exceptions() *Exceptions {
	if e == nil {
		return nil
	}
	return e.Exceptions
}

// OwnPolicy says that something is said for the container alone.
func (e *Endpoint) OwnPolicy() bool {
	return e.Options.Policy != config.Policy{} || e.Exceptions != nil
}

// ownAllow says that a container may have another list of what is allowed than its network.
func (e *Endpoint) ownAllow() bool {
	return e.Options.Policy.Allow != "" || e.Options.Policy.Name != ""
}

// Users are who names a policy: networks, and endpoints that do so themselves, sorted by id.
func (s *State) Users(name string) (networks []*Network, endpoints []*Endpoint) {
	for _, id := range slices.Sorted(maps.Keys(s.Networks)) {
		if s.Networks[id].Options.Policy.Name == name {
			networks = append(networks, s.Networks[id])
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.Endpoints)) {
		if s.Endpoints[id].Options.Policy.Name == name {
			endpoints = append(endpoints, s.Endpoints[id])
		}
	}
	return networks, endpoints
}

// KnowsPolicy refuses the name of a policy that is not there.
func (s *State) KnowsPolicy(name string) error {
	if name == "" || s.Policies[name] != nil {
		return nil
	}
	what := fmt.Sprintf("gangway.policy names %q, and there is no such policy", name)
	if near := config.Nearest(name, slices.Sorted(maps.Keys(s.Policies))); near != "" {
		return fmt.Errorf("%s: did you mean %s? gangway policy ls lists them", what, near)
	}
	if len(s.Policies) == 0 {
		return errors.New(what + ", nor any other: make it with gangway policy apply FILE")
	}
	return errors.New(what + ": gangway policy ls lists them, gangway policy apply FILE makes one")
}

func (s *State) decodePolicy(key string, value []byte) error {
	p := &NamedPolicy{}
	if err := decodeAll(value, p); err != nil {
		return err
	}
	if PolicyKeys+p.Name != key {
		return fmt.Errorf("names policy %q", p.Name)
	}
	s.Apply(Change{Policies: []PolicyChange{{After: p}}})
	return nil
}
