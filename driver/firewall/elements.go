package firewall

import (
	"slices"

	"github.com/gangway-net/gangway/driver/spec"
)

// The elements of a Ruleset are objects. A new kind of element is a type with Kind and
// Key, a field of Ruleset, and a line in Add and in All.

// Closed is a family of Ruleset.Closed.
type Closed struct{ Six bool }

// Add adds an element, and says whether it was one.
func (r *Ruleset) Add(o spec.Object) bool {
	switch e := o.(type) {
	case Network:
		r.Networks = append(r.Networks, e)
	case Port:
		r.Ports = append(r.Ports, e)
	case Open:
		r.Open = append(r.Open, e)
	case Direct:
		r.Direct = append(r.Direct, e)
	case Keep:
		r.Keep = append(r.Keep, e)
	case spec.Outside:
		r.Outside = append(r.Outside, e)
	case HighPorts:
		r.HighPorts = append(r.HighPorts, e)
	case Closed:
		r.Closed = r.Closed.With(Family(e.Six))
	default:
		return false
	}
	return true
}

// All returns the elements.
func (r Ruleset) All() []spec.Object {
	all := slices.Concat(objects(r.Networks), objects(r.Ports), objects(r.Open), objects(r.Direct), objects(r.Keep), objects(r.HighPorts), objects(r.Outside))
	for _, six := range []bool{false, true} {
		if r.Closed.Has(six) {
			all = append(all, Closed{six})
		}
	}
	return all
}

func objects[T spec.Object](list []T) []spec.Object {
	all := make([]spec.Object, len(list))
	for i, e := range list {
		all[i] = e
	}
	return all
}

// Kind and Key make Network an Object.
func (n Network) Kind() spec.Kind { return "rules of a network" }

// Key is the id.
func (n Network) Key() any { return n.ID }

// Kind and Key make Port an Object.
func (p Port) Kind() spec.Kind { return "published ports" }

// Key is the run itself.
func (p Port) Key() any { return p }

// Kind and Key make Open an Object.
func (o Open) Kind() spec.Kind { return "open ports" }

// Key is the run itself.
func (o Open) Key() any { return o }

// Kind and Key make Direct an Object.
func (d Direct) Kind() spec.Kind { return "container on several networks" }

// Key is the container on the network itself.
func (d Direct) Key() any { return d }

// Kind and Key make Keep an Object.
func (k Keep) Kind() spec.Kind { return "kept source ports" }

// Key is the run itself.
func (k Keep) Key() any { return k }

// Kind and Key make HighPorts an Object.
func (h HighPorts) Kind() spec.Kind { return "source ports" }

// Key is the protocol.
func (h HighPorts) Key() any { return h.Proto }

// Kind and Key make Closed an Object.
func (c Closed) Kind() spec.Kind { return "closed family" }

// Key is the family itself.
func (c Closed) Key() any { return c }
