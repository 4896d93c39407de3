package policy

import (
	"cmp"
	"slices"

	"github.com/gangway-net/gangway/config"
)

// Use is how often an entry of a policy has decided: packets that began a flow, or were to.
// What follows in a flow that is known meets no entry, and is not counted.
type Use struct {
	Entry
	// Passes says that they passed; else they were refused, or in mode audit would have been.
	Passes  bool   `json:"passes"`
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// Usage is that of all entries of a policy, since it has been in force: for all networks and
// containers that have the same one.
type Usage struct {
	// ID is the policy's name in the kernel.
	ID      string
	Texts   config.Policy
	Entries []Use
}

// InOrder are uses in the order in which the policy has the entries, those among them that
// have not decided. What else has been counted comes last.
func (p Policy) InOrder(used []*Use) (all []Use) {
	type decision struct {
		Entry
		passes bool
	}
	place := map[decision]int{}
	for _, u := range p.entries() {
		if at := (decision{u.Entry, u.Passes}); !isKey(place, at) {
			place[at] = len(all)
			all = append(all, u)
		}
	}
	var more []Use
	for _, u := range used {
		if i, known := place[decision{u.Entry, u.Passes}]; known {
			all[i].Packets += u.Packets
			all[i].Bytes += u.Bytes
		} else if u.Packets > 0 {
			more = append(more, *u)
		}
	}
	slices.SortFunc(more, func(a, b Use) int { return cmp.Compare(a.String(), b.String()) })
	return append(all, more...)
}

func isKey[K comparable, V any](m map[K]V, k K) bool {
	_, there := m[k]
	return there
}

// entries are what a packet can be decided by. An egress that is open decides nothing.
func (p Policy) entries() (all []Use) {
	add := func(passes bool, e Entry) { all = append(all, Use{Entry: e, Passes: passes}) }
	for i := range p.Deny {
		if p.Deny[i].Name == "" { // else it is refused as a question
			add(false, listed(OptionDeny, &p.Deny[i]))
		}
	}
	for i := range p.Allow {
		if p.Allow[i].Name == "" && p.Allow[i].Group != config.GroupDNS {
			add(true, listed(OptionAllow, &p.Allow[i]))
		}
	}
	for _, ports := range p.named() {
		add(true, p.ByName(ports))
	}
	if p.Egress == config.EgressInternet {
		add(true, p.Otherwise(OptionEgress))
	}
	if p.Egress != config.EgressOpen {
		add(false, p.Otherwise(OptionEgress))
	}
	if !p.WholeHost {
		for _, h := range p.HostPorts {
			add(true, hostPort(h))
		}
		add(false, p.Otherwise(OptionHost))
	}
	if !p.Everybody {
		for _, s := range p.Ingress {
			if !s.Nobody {
				add(true, listed(OptionIngress, s))
			}
		}
		add(false, p.Otherwise(OptionIngress))
	}
	return all
}
