package driver

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/policy"
)

// PolicyUses tells how often the entries of policies have decided; package policed has the
// real ones.
type PolicyUses interface {
	// Uses is about these policies, or about all if texts is nil.
	Uses(ctx context.Context, texts []config.Policy) ([]policy.Usage, error)
}

// Decisions are how often the entries of a policy have decided: of that of a network, or of a
// container that has one of its own. They count since it has been in the kernel.
type Decisions struct {
	NetworkID string `json:"network"`
	// EndpointID is empty for the network's.
	EndpointID string `json:"endpoint,omitempty"`
	// Policy is its name in the kernel. Sharers is how many networks and containers besides
	// have the very same: they are counted together.
	Policy  string `json:"policy"`
	Sharers int    `json:"sharers,omitempty"`
	// Audited says that what is refused passes nevertheless.
	Audited bool         `json:"audited,omitempty"`
	Entries []policy.Use `json:"entries"`
}

// Verdict is what became of the packets of an entry, in a word.
func (d Decisions) Verdict(of policy.Use) string {
	switch {
	case of.Passes:
		return "passed"
	case d.Audited:
		return "audited"
	}
	return "refused"
}

// mostMeasured is how many policies are measured for metrics: reading takes time for each.
const mostMeasured = 256

// Decisions lists those of all policies, of a network with its containers, or of an endpoint:
// where that has none of its own, of its network.
func (d *Driver) Decisions(ctx context.Context, of string) ([]Decisions, error) {
	return d.decisions(ctx, of, 0)
}

// decisions reads at most so many policies; 0 for all.
func (d *Driver) decisions(ctx context.Context, of string, most int) ([]Decisions, error) {
	if d.o.Uses == nil {
		return []Decisions{}, nil
	}
	bound, sharers := d.bound(of)
	var texts []config.Policy
	known := map[config.Policy]bool{}
	for _, b := range bound {
		if !known[b.texts] && (most == 0 || len(texts) < most) {
			known[b.texts] = true
			texts = append(texts, b.texts)
		}
	}
	if len(texts) == 0 {
		return []Decisions{}, nil
	}
	var used []policy.Usage
	var err error
	if !answered(ctx, func() { used, err = d.o.Uses.Uses(ctx, texts) }) {
		return nil, fmt.Errorf("ask the kernel what policies have decided: %w", context.DeadlineExceeded)
	}
	if err != nil {
		return nil, err
	}
	out := []Decisions{}
	for _, b := range bound {
		i := slices.IndexFunc(used, func(u policy.Usage) bool { return u.Texts == b.texts })
		if i < 0 {
			continue // not in the kernel yet, or beyond the bound
		}
		out = append(out, Decisions{
			NetworkID: b.network, EndpointID: b.endpoint, Policy: used[i].ID, Sharers: sharers[b.texts] - 1,
			Audited: b.texts.Audits(), Entries: used[i].Entries,
		})
	}
	return out, nil
}

// boundPolicy is a policy with whose it is.
type boundPolicy struct {
	network, endpoint string
	texts             config.Policy
}

// bound are the policies that are asked for, and how many have each.
func (d *Driver) bound(of string) (all []boundPolicy, sharers map[config.Policy]int) {
	s, unlock := d.desired.Read()
	defer unlock()
	sharers = map[config.Policy]int{}
	add := func(n *model.Network, e *model.Endpoint, wanted bool) {
		b := boundPolicy{network: n.ID, texts: nameless(plan.PolicyInForce(s, n, e))}
		if e != nil {
			b.endpoint = e.ID
		}
		if p, err := policy.Of(b.texts); err == nil && p.Open() {
			return // it decides nothing
		}
		if sharers[b.texts]++; wanted {
			all = append(all, b)
		}
	}
	for id, n := range s.Networks {
		one := s.Endpoints[of]
		instead := one != nil && one.NetworkID == id && !plan.OwnPolicy(s, n, one)
		add(n, nil, of == "" || of == id || instead)
		for _, e := range s.Members[id] {
			if plan.OwnPolicy(s, n, e) {
				add(n, e, of == "" || of == id || of == e.ID)
			}
		}
	}
	slices.SortFunc(all, func(a, b boundPolicy) int {
		return cmp.Or(cmp.Compare(a.network, b.network), cmp.Compare(a.endpoint, b.endpoint))
	})
	return all, sharers
}
