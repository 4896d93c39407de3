package driver

import (
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// plan is what should be there, in no order. An object that several owners need is in
// it several times.
type plan []spec.Object

func (p *plan) add(objects ...spec.Object) { *p = append(*p, objects...) }

// addAll adds objects of one type.
func addAll[T spec.Object](p *plan, objects []T) {
	for _, o := range objects {
		p.add(o)
	}
}

// of returns the objects of a type.
func of[T spec.Object](p plan) (all []T) {
	for _, o := range p {
		if t, is := o.(T); is {
			all = append(all, t)
		}
	}
	return all
}

// rules are the objects that are rules of the firewall.
func (p plan) rules() (r firewall.Ruleset) {
	for _, o := range p {
		r.Add(o)
	}
	return r
}

// facts are what the kernel says and nobody stores, and what plans depend on.
type facts struct {
	// outside are the links that lead outside, sorted.
	outside []spec.Outside
	// closed are the families that the host forwards for gangway's sake alone.
	closed firewall.Families
	// high are the ranges of source ports for what goes out, of protocols that have not
	// all high ports.
	high []firewall.HighPorts
	// unclaimed says that containers of networks that the state does not know use the
	// rules, too.
	unclaimed bool
}
