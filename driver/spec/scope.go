package spec

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Scope says which links of the host something is about. The zero value stands
// for none. All stands for everything.
type Scope struct {
	// All stands for every link, those to come included.
	All bool
	// Links are names of links, as they are or were called.
	Links map[string]bool
	// Outside stands for what leads outside (see Outside), which is none of gangway's, and
	// for rules of policy routing.
	Outside bool
}

// Has says whether a link of that name is meant.
func (s Scope) Has(name string) bool { return s.All || s.Links[name] }

// Empty says whether nothing is meant.
func (s Scope) Empty() bool { return !s.All && !s.Outside && len(s.Links) == 0 }

// namedLinks is how many links a text about a scope names.
const namedLinks = 8

// String says in words what is meant.
func (s Scope) String() string {
	if s.All {
		return "all links"
	}
	names := slices.Sorted(maps.Keys(s.Links))
	var parts []string
	switch n := len(names); {
	case n == 0:
		parts = append(parts, "no link")
	case n > namedLinks:
		parts = append(parts, fmt.Sprintf("links %s and %d more", strings.Join(names[:namedLinks], ", "), n-namedLinks))
	default:
		parts = append(parts, "links "+strings.Join(names, ", "))
	}
	if s.Outside {
		parts = append(parts, "what leads outside")
	}
	return strings.Join(parts, ", ")
}

// Add means the link of that name as well; an empty one is nobody's.
func (s *Scope) Add(name string) {
	switch {
	case s.All || name == "":
		return
	case s.Links == nil:
		s.Links = map[string]bool{}
	}
	s.Links[name] = true
}

// Join means the links of another scope as well.
func (s *Scope) Join(o Scope) {
	if o.All {
		*s = Scope{All: true}
		return
	}
	s.Outside = s.Outside || o.Outside
	for name := range o.Links {
		s.Add(name)
	}
}
