package driver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/commit"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/policy"
)

// PolicyStatus is a named policy as the admin API shows it.
type PolicyStatus struct {
	Name string `json:"name"`
	// Text is the document as it was applied.
	Text string `json:"text"`
	// Policy is what it says, each word in its one form.
	Policy config.Policy `json:"says"`
	// Networks name it, and Endpoints do so for themselves.
	Networks  []string `json:"networks"`
	Endpoints []string `json:"endpoints"`
}

// PolicyOutcome is what applying a document does.
type PolicyOutcome struct {
	Name string `json:"name"`
	// Action is one of PolicyActions.
	Action string `json:"action"`
	// Before and After are the texts.
	Before string `json:"before,omitempty"`
	After  string `json:"after"`
	// Networks and Endpoints are those that it changes.
	Networks  []string `json:"networks"`
	Endpoints []string `json:"endpoints"`
}

// What applying a document does.
const (
	PolicyCreated   = "created"
	PolicyChanged   = "changed"
	PolicyUnchanged = "unchanged"
)

// errUsersMoved says that others use a policy by now than those whose locks are held.
var errUsersMoved = errors.New("others use the policy by now")

// UnknownPolicyError says that no policy has a name.
type UnknownPolicyError struct{ msg string }

func (e *UnknownPolicyError) Error() string { return e.msg }

// Policies lists the named policies, sorted by name.
func (d *Driver) Policies() []PolicyStatus {
	s, unlock := d.desired.Read()
	defer unlock()
	out := []PolicyStatus{}
	for _, name := range slices.Sorted(maps.Keys(s.Policies)) {
		p := s.Policies[name]
		status := PolicyStatus{Name: name, Text: p.Text, Policy: p.Policy}
		status.Networks, status.Endpoints = userIDs(s, name)
		out = append(out, status)
	}
	return out
}

// userIDs are the ids of who names a policy.
func userIDs(s *model.State, name string) (networks, endpoints []string) {
	networks, endpoints = []string{}, []string{}
	n, e := s.Users(name)
	for _, n := range n {
		networks = append(networks, n.ID)
	}
	for _, e := range e {
		endpoints = append(endpoints, e.ID)
	}
	return networks, endpoints
}

// ApplyPolicies makes policies what they say, all or none in one step, for running containers
// too: flows that are forbidden by now are ended. The same again changes nothing. With dry it
// says what would become of them.
func (d *Driver) ApplyPolicies(ctx context.Context, all []model.NamedPolicy, dry bool) (out []PolicyOutcome, err error) {
	var names []string
	for _, p := range all {
		names = append(names, p.Name)
	}
	look := func(s *model.State) (model.Change, error) {
		out = out[:0]
		var c model.Change
		for _, p := range all {
			o, change := outcome(s, p)
			out = append(out, o)
			c.Policies = append(c.Policies, change...)
		}
		return c, d.admitNamed(s, c)
	}
	if dry {
		s, unlock := d.desired.Read()
		defer unlock()
		_, err = look(s)
		return out, err
	}
	if err = d.changePolicies(ctx, names, look); err != nil {
		return nil, err
	}
	for _, o := range out {
		if o.Action != PolicyUnchanged {
			d.o.Log.Infof("policy %s: %s, in use by %d networks and %d containers of their own", o.Name, o.Action, len(o.Networks), len(o.Endpoints))
		}
	}
	return out, nil
}

func outcome(s *model.State, p model.NamedPolicy) (PolicyOutcome, []model.PolicyChange) {
	o := PolicyOutcome{Name: p.Name, Action: PolicyCreated, After: p.Text}
	o.Networks, o.Endpoints = userIDs(s, p.Name)
	old := s.Policies[p.Name]
	if old != nil {
		o.Action, o.Before = PolicyChanged, old.Text
	}
	if old != nil && *old == p {
		o.Action = PolicyUnchanged
		return o, nil
	}
	return o, []model.PolicyChange{{Before: old, After: &p}}
}

// RemovePolicy removes a policy that nobody names.
func (d *Driver) RemovePolicy(ctx context.Context, name string) error {
	return d.changePolicies(ctx, []string{name}, func(s *model.State) (model.Change, error) {
		p := s.Policies[name]
		if p == nil {
			return model.Change{}, unknownPolicy(s, name)
		}
		if networks, endpoints := s.Users(name); len(networks)+len(endpoints) > 0 {
			return model.Change{}, inUse(name, networks, endpoints)
		}
		return model.Change{Policies: []model.PolicyChange{{Before: p}}}, nil
	})
}

// missingPolicies says which policies are named and not there: the state that had them was lost.
func (d *Driver) missingPolicies() (lines []string) {
	s, unlock := d.desired.Read()
	defer unlock()
	users := map[string][]string{}
	for _, n := range s.Networks {
		if name := n.Options.Policy.Name; name != "" && s.Policies[name] == nil {
			users[name] = append(users[name], "network "+model.Short(n.ID))
		}
	}
	for _, e := range s.Endpoints {
		if name := e.Options.Policy.Name; name != "" && s.Policies[name] == nil {
			users[name] = append(users[name], "endpoint "+model.Short(e.ID))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(users)) {
		slices.Sort(users[name])
		first, more := users[name][0], ""
		if others := len(users[name]) - 1; others > 0 {
			more = fmt.Sprintf(", as do %d others", others)
		}
		lines = append(lines, fmt.Sprintf("policy %s is not there, and %s names it%s", name, first, more))
	}
	return lines
}

func unknownPolicy(s *model.State, name string) error {
	msg := fmt.Sprintf("there is no policy %q", name)
	if near := config.Nearest(name, slices.Sorted(maps.Keys(s.Policies))); near != "" {
		msg += ": did you mean " + near + "?"
	}
	return &UnknownPolicyError{msg}
}

func inUse(name string, networks []*model.Network, endpoints []*model.Endpoint) error {
	var who []string
	for _, n := range networks {
		who = append(who, "network "+model.Short(n.ID))
	}
	for _, e := range endpoints {
		who = append(who, "endpoint "+model.Short(e.ID))
	}
	const most = 10
	more := ""
	if len(who) > most {
		more = fmt.Sprintf(" and %d more", len(who)-most)
	}
	return model.Conflictf("policy %s is in use by %s%s: remove these first, or apply it with other words", name, strings.Join(who[:min(len(who), most)], ", "), more)
}

// changePolicies makes a change of named policies, with the locks of all networks that it
// concerns.
func (d *Driver) changePolicies(ctx context.Context, names []string, look commit.Planner) error {
	var locked map[string]bool
	which := func(s *model.State) map[string]bool {
		locked = map[string]bool{commit.PoliciesLock: true}
		for _, name := range names {
			networks, endpoints := s.Users(name)
			for _, n := range networks {
				locked[n.ID] = true
			}
			for _, e := range endpoints {
				locked[e.NetworkID] = true
			}
		}
		return locked
	}
	for {
		unlock, err := d.lockNetworks(ctx, which)
		if err != nil {
			return err
		}
		held := locked
		err = d.writer.Commit(ctx, func(s *model.State) (model.Change, error) {
			for id := range which(s) {
				if !held[id] {
					return model.Change{}, errUsersMoved
				}
			}
			return look(s)
		})
		unlock()
		if !errors.Is(err, errUsersMoved) {
			return err
		}
	}
}

// admitNamed refuses policies that contradict themselves, or with which what counts for
// somebody would not hold. The state is the one before the change.
func (d *Driver) admitNamed(s *model.State, c model.Change) error {
	s.Apply(c)
	defer s.Apply(c.Inverse())
	h := d.holding(s)
	for _, p := range c.Policies {
		if err := contradicts(p.After.Policy); err != nil {
			return fmt.Errorf("policy %s: %w", p.After.Name, err)
		}
		networks, endpoints := s.Users(p.After.Name)
		for _, n := range networks {
			if err := h.of(n, nil); err != nil {
				return fmt.Errorf("policy %s on network %s: %w", p.After.Name, model.Short(n.ID), err)
			}
			endpoints = slices.AppendSeq(endpoints, maps.Values(s.Members[n.ID]))
		}
		for _, e := range endpoints {
			if e.Options.Policy == (config.Policy{}) {
				continue
			}
			if err := h.ofOne(s.Networks[e.NetworkID], e); err != nil {
				return fmt.Errorf("policy %s for endpoint %s: %w", p.After.Name, model.Short(e.ID), err)
			}
		}
	}
	return nil
}

// contradicts refuses a policy with an entry that can never match, whatever is said beside it.
func contradicts(texts config.Policy) error {
	if texts.Egress == "" { // a network may say it
		texts.Egress = config.EgressDeny
	}
	p, err := policy.Of(texts)
	if err == nil {
		err = p.Check(true, true)
	}
	return err
}
