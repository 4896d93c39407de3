package names

import (
	"regexp"
	"slices"
	"sync"

	"github.com/gangway-net/gangway/printable"
)

// Container is a container as its engine calls it. The zero value is an unknown one.
type Container struct{ ID, Name string }

// Network is a network as its engine calls it.
type Network struct{ ID, Name string }

// Place is a container's place on a network.
type Place struct {
	EndpointID, NetworkID string
	Container             Container
}

// Book answers what something is called. It is safe for concurrent use, and a nil Book
// knows no names. One daemon may serve several engines: each is a Source of its own, so
// that one that goes takes no other's names along. Ids are unique among all.
type Book struct {
	// ids finds ids in texts, links those in names of links as well.
	ids, links *regexp.Regexp

	mu      sync.Mutex
	sources []*Source
}

// New returns an empty book.
func New() *Book {
	return &Book{
		ids:   regexp.MustCompile(`\b(?:network|endpoint) [0-9a-z]{12}\b`),
		links: regexp.MustCompile(`\b(?:(?:network |gw-)([0-9a-z]{12})|(?:endpoint |gv-|gp-)([0-9a-z]{12}))\b`),
	}
}

// Source returns a new part of the book, for one engine.
func (b *Book) Source() *Source {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := &Source{mu: &b.mu}
	s.clear()
	b.sources = append(b.sources, s)
	return s
}

// Network returns the name of a network, "" if it is not known.
func (b *Book) Network(id string) string {
	n, _ := b.network(short(id), false)
	if n.ID != id {
		return ""
	}
	return n.Name
}

// Container returns the container that has an endpoint now.
func (b *Book) Container(endpointID string) Container {
	p, _ := b.place(short(endpointID), false)
	if p.EndpointID != endpointID {
		return Container{}
	}
	return p.Container
}

// network finds a network by the first characters of its id. What is gone is found if
// past is set.
func (b *Book) network(id string, past bool) (n Network, ok bool) {
	if b == nil {
		return n, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.sources {
		if n, ok = s.networks[id]; ok {
			return n, true
		}
	}
	for _, s := range b.sources {
		if n, ok = s.gone.networks.find(id); ok && past {
			return n, true
		}
	}
	return Network{}, false
}

// place finds an endpoint in the same way.
func (b *Book) place(id string, past bool) (p Place, ok bool) {
	if b == nil {
		return p, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.sources {
		if p, ok = s.places[id]; ok {
			return p, true
		}
	}
	for _, s := range b.sources {
		if p, ok = s.gone.places.find(id); ok && past {
			return p, true
		}
	}
	return Place{}, false
}

// idLength is to how many characters ids are cut in texts, as docker does.
const idLength = 12

func short(id string) string { return id[:min(len(id), idLength)] }

// Text puts names in the place of the ids in a text: "endpoint 0123456789ab" becomes
// "container web (network front)", or "container web" where the text names the network
// already. What it does not know stays. Names of what ended a while ago are known as
// well: texts tell of that.
//
// Names given to whatever makes the texts were the alternative. What decides would have
// to know them, and a text made before the engine's answer would never get them.
func (b *Book) Text(text string) string {
	if b == nil {
		return text
	}
	return b.ids.ReplaceAllStringFunc(text, func(found string) string {
		id := found[len(found)-idLength:]
		if found[0] == 'n' {
			if n, ok := b.network(id, true); ok {
				return "network " + printable.Word(n.Name)
			}
			return found
		}
		p, ok := b.place(id, true)
		if !ok {
			return found
		}
		name := "container " + printable.Word(p.Container.Name)
		on := "network " + short(p.NetworkID)
		n, ok := b.network(short(p.NetworkID), true)
		if !ok || slices.Contains(b.ids.FindAllString(text, -1), on) {
			return name
		}
		return name + " (network " + printable.Word(n.Name) + ")"
	})
}

// About returns what a text is about, as far as that is known: the first network and the
// first endpoint in it, by id or by the name of their links.
func (b *Book) About(text string) (n Network, p Place) {
	if b == nil {
		return n, p
	}
	var place, network bool
	for _, m := range b.links.FindAllStringSubmatch(text, -1) {
		if id := m[1]; id != "" && !network {
			n, network = b.network(id, true)
		}
		if id := m[2]; id != "" && !place {
			p, place = b.place(id, true)
		}
	}
	if place && !network {
		n, _ = b.network(short(p.NetworkID), true)
	}
	return n, p
}
