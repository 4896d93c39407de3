package plan

import (
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// Plan is what should be there, in no order. An object that several owners need is in
// it several times.
type Plan []spec.Object

func (p *Plan) add(objects ...spec.Object) { *p = append(*p, objects...) }

// addAll adds objects of one type.
func addAll[T spec.Object](p *Plan, objects []T) {
	for _, o := range objects {
		p.add(o)
	}
}

// Of returns the objects of a type.
func Of[T spec.Object](p Plan) (all []T) {
	for _, o := range p {
		if t, is := o.(T); is {
			all = append(all, t)
		}
	}
	return all
}

// Rules are the objects that are rules of the firewall.
func (p Plan) Rules() (r firewall.Ruleset) {
	for _, o := range p {
		r.Add(o)
	}
	return r
}

// Facts are what the kernel says and nobody stores, and what plans depend on.
type Facts struct {
	// Outside are the links that lead outside, sorted.
	Outside []spec.Outside
	// Uplink is the MTU of the way out; 0 if that is not known.
	Uplink int
	// Prefixes are the IPv6 prefixes that the host has, in the order in which networks take them.
	Prefixes []spec.HostPrefix
	// Users say of addresses outside that the host may answer for, by a link that is named with
	// each, who else has them there; "" for nobody. Those that are not among them have not been asked for.
	Users map[spec.Proxied]string
	// Closed are the families that the host forwards for gangway's sake alone.
	Closed firewall.Families
	// High are the ranges of source ports for what goes out, of protocols that have not
	// all high ports.
	High []firewall.HighPorts
	// Looked says that somebody looks at what is refused.
	Looked bool
	// Unclaimed says that containers of networks that the state does not know use the
	// rules, too.
	Unclaimed bool
}
