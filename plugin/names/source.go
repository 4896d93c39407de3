package names

import "sync"

const (
	// maxKept bounds the networks and the places of one source: more than a host can
	// have, some ten megabytes.
	maxKept = 1 << 16
	// maxGone bounds what is remembered of what is gone.
	maxGone = 1 << 10
	// maxName bounds a name, in bytes. A longer one counts as unknown: it would be
	// another one if it were cut.
	maxName = 255
)

// Source is what one engine has named.
type Source struct {
	mu *sync.Mutex // the book's; guards the rest
	// networks and places are by the first characters of their ids.
	networks map[string]Network
	places   map[string]Place
	gone     struct {
		networks past[Network]
		places   past[Place]
	}
}

func (s *Source) clear() {
	s.networks, s.places = map[string]Network{}, map[string]Place{}
	s.gone.networks, s.gone.places = past[Network]{}, past[Place]{}
}

// Forget drops all names: the engine cannot be asked, so they may be others by now.
func (s *Source) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
}

// SetNetworks says which networks the engine has, all of them.
func (s *Source) SetNetworks(all []Network) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.networks
	s.networks = map[string]Network{}
	for _, n := range all {
		if len(s.networks) < maxKept && fit(n.ID, n.Name) {
			s.networks[short(n.ID)] = n
		}
	}
	for id, n := range before {
		if _, still := s.networks[id]; !still {
			s.gone.networks.add(id, n)
		}
	}
}

// SetContainers says which places the engine's running containers have, all of them.
func (s *Source) SetContainers(all []Place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replace(all, func(string) bool { return true })
}

// Update says which places some containers have; those that are not among them have
// ended.
func (s *Source) Update(containerIDs []string, places []Place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := map[string]bool{}
	for _, id := range containerIDs {
		asked[id] = true
	}
	s.replace(places, func(id string) bool { return asked[id] })
}

// replace puts places in place of those of the containers that are asked about.
func (s *Source) replace(places []Place, asked func(containerID string) bool) {
	before := map[string]Place{}
	for id, p := range s.places {
		if asked(p.Container.ID) {
			before[id] = p
			delete(s.places, id)
		}
	}
	for _, p := range places {
		if len(s.places) < maxKept && fit(p.EndpointID, p.Container.Name) && len(p.Container.ID) <= maxName && len(p.NetworkID) <= maxName {
			s.places[short(p.EndpointID)] = p
		}
	}
	for id, p := range before {
		if _, still := s.places[id]; !still {
			s.gone.places.add(id, p)
		}
	}
}

// fit says whether a name is one that is kept.
func fit(id, name string) bool {
	return id != "" && name != "" && len(id) <= maxName && len(name) <= maxName
}

// past remembers the newest of what is gone. The zero value is empty.
type past[T any] struct {
	of    map[string]T
	order []string
}

func (p *past[T]) add(id string, what T) {
	if p.of == nil {
		p.of = map[string]T{}
	}
	if _, known := p.of[id]; !known {
		if len(p.order) == maxGone {
			delete(p.of, p.order[0])
			p.order = append(p.order[:0], p.order[1:]...)
		}
		p.order = append(p.order, id)
	}
	p.of[id] = what
}

func (p *past[T]) find(id string) (T, bool) {
	what, ok := p.of[id]
	return what, ok
}
