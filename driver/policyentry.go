package driver

import (
	"context"
	"slices"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/policy"
)

// PolicyEntry is an entry of the policy of a network, or of a container.
type PolicyEntry struct {
	policy.Entry
	// Own says that the container says so itself, else its network does, or a default.
	Own bool `json:"own,omitempty"`
}

// Incoming says that it is about what comes to a container, and not about what that sends.
func (e PolicyEntry) Incoming() bool { return e.Option == policy.OptionIngress }

// entryOf is what an option as a whole says for an endpoint, or for a network if that is empty;
// of a list that denies nobody knows which item it was.
func entryOf(s *model.State, networkID, endpointID string, of policy.Option) PolicyEntry {
	n := s.Networks[networkID]
	if of == "" || n == nil {
		return PolicyEntry{Entry: policy.Entry{Option: of}}
	}
	e := s.Endpoints[endpointID]
	by := PolicyEntry{Entry: policy.Entry{Option: of}, Own: e != nil && (says(e.Options.Policy, of) || e.Options.Policy.Name != "")}
	texts := plan.PolicyInForce(s, n, e)
	if texts.Allow = ""; of != policy.OptionDeny { // lists may be long: only what is asked for is read
		texts.Deny = ""
	}
	p, _ := policy.Of(texts) // it is closed with an error
	if of != policy.OptionDeny {
		by.Entry = p.Otherwise(of)
	} else if items := p.Denied(); len(items) == 1 {
		by.Entry = items[0]
	}
	return by
}

// nameDenied names the items of lists that have refused what is told of, where a list has
// several: those that have counted. The kernel counts for each item, and for each container, but
// not for both. No lock is held.
func (d *Driver) nameDenied(ctx context.Context, all []Dropped) {
	ask := map[int]config.Policy{}
	var texts []config.Policy
	s, unlock := d.desired.Read()
	for i, one := range all {
		n := s.Networks[one.NetworkID]
		if n == nil || one.By.Entry != (policy.Entry{Option: policy.OptionDeny}) {
			continue
		}
		ask[i] = plan.PolicyInForce(s, n, s.Endpoints[one.EndpointID])
		texts = append(texts, nameless(ask[i]))
	}
	unlock()
	if len(ask) == 0 || d.o.Uses == nil {
		return
	}
	var used []policy.Usage
	var err error
	if !answered(ctx, func() { used, err = d.o.Uses.Uses(ctx, texts) }) || err != nil {
		return // the option stands for them
	}
	for i, p := range ask {
		at := slices.IndexFunc(used, func(u policy.Usage) bool { return u.Texts == nameless(p) })
		if at < 0 {
			continue
		}
		var items []string
		for _, use := range used[at].Entries {
			if use.Option == policy.OptionDeny && !use.Passes && use.Packets > 0 {
				items = append(items, use.Value)
			}
		}
		all[i].By.Value = policy.OneText(items)
	}
}

// nameless is what counts, whoever has said it: equal policies are one in the kernel.
func nameless(texts config.Policy) config.Policy {
	texts.Name = ""
	return texts
}

// says says whether a policy has something of an option.
func says(p config.Policy, of policy.Option) bool {
	return map[policy.Option]string{
		policy.OptionEgress: p.Egress, policy.OptionAllow: p.Allow, policy.OptionDeny: p.Deny, policy.OptionHost: p.Host, policy.OptionIngress: p.Ingress,
		policy.OptionNames: p.Names,
	}[of] != ""
}

// deciding is the entry that has refused a packet: the kernel tells of which option, and the
// policy which item.
func deciding(s *model.State, p DroppedPacket, r firewall.Refused) PolicyEntry {
	at := p.From
	if r.Option == policy.OptionIngress {
		at = p.To
	}
	by := entryOf(s, at.NetworkID, at.EndpointID, r.Option)
	n := s.Networks[at.NetworkID]
	if r.Option != policy.OptionDeny || n == nil {
		return by
	}
	of, _ := policy.Of(plan.PolicyInForce(s, n, s.Endpoints[at.EndpointID])) // it is closed with an error
	asked := policy.Packet{From: p.From.Addr, To: p.To.Addr, Proto: policy.ProtocolNumber(p.Protocol), Port: p.To.Port}
	for _, host := range []bool{false, true} {
		if v := of.Why(asked, host); !v.Passes && v.By.Option == r.Option {
			by.Entry = v.By
			return by
		}
	}
	return by
}
