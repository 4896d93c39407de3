// Package owners keeps what engines say, or have not said yet, of what there is: links of
// running containers that no state knows (unclaimed), and networks that their engine has no
// more (absent).
//
// Invariant: what nobody has claimed is in the book until an engine has said whose it is, or
// until it is gone; nothing of it may be removed before. The package refuses to ask an engine
// and to change what is wanted: it is told, and answers.
package owners

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// Book is what engines have said, or have not yet. The zero value is that of a start from
// nothing. Its methods are safe for concurrent use, and may be called with the desired state
// from commit.Desired's Read.
//
// Unclaimed is what running containers use and a restored state does not know: the
// state files were lost, moved or put back from an older copy, or the plugin was
// removed and installed again. That nobody knows of it does not tell whose it is, so
// nothing of it is removed until an engine has said that it has no such endpoint;
// what an engine says that it has is taken back.
//
// Until then the firewall's rules are not compared with the state: those of the
// unclaimed networks and ports are among them, and cannot be told from what is left
// over. They are compared with what they were when gangway started, and what has
// changed since (see firewall.Backend's Repair). The other way, to compare with what the
// kernel shows of these networks, would take their published ports away.
type Book struct {
	mu sync.Mutex
	// unclaimed are the host ends of the pairs of such endpoints, by endpoint.
	unclaimed map[string]spec.VethInfo
	// stored are those of them that are stored still, though not their networks.
	stored map[string]*model.Endpoint
	// why says what stands in the way of knowing more.
	why string
	// absent holds the networks that were not in their engine's last answer.
	absent map[string]bool
}

// Restore begins anew with a restored state; the pairs are the host's, by endpoint, and the
// orphans are endpoints that were stored without a network.
func (b *Book) Restore(s *model.State, veths map[string]spec.VethInfo, orphans []*model.Endpoint) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unclaimed, b.stored = map[string]spec.VethInfo{}, map[string]*model.Endpoint{}
	for _, e := range orphans {
		b.stored[e.ID] = e
	}
	for id, v := range veths {
		if v.Moved && s.Endpoints[id] == nil && model.CheckID("endpoint", id) == nil {
			b.unclaimed[id] = v
		}
	}
}

// Unclaimed returns the host ends of the pairs of unclaimed endpoints, by endpoint.
func (b *Book) Unclaimed() map[string]spec.VethInfo {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.unclaimed)
}

// Any says whether there is anything that nobody has claimed.
func (b *Book) Any() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.unclaimed) > 0
}

// Lacks says whether an endpoint is unclaimed.
func (b *Book) Lacks(endpointID string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, is := b.unclaimed[endpointID]
	return is
}

// On says whether any unclaimed endpoint is on the network.
func (b *Book) On(networkID string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, v := range b.unclaimed {
		if v.NetworkID == networkID {
			return true
		}
	}
	return false
}

// Stored returns what is stored of an unclaimed endpoint; nil for nothing.
func (b *Book) Stored(endpointID string) *model.Endpoint {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stored[endpointID]
}

// Doubt notes why it is not known yet whose the unclaimed endpoints are, and says whether
// that is news.
func (b *Book) Doubt(why string) (news bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	news = why != b.why && why != "" && len(b.unclaimed) > 0
	b.why = why
	return news
}

// Resolve ends the doubt about an endpoint. It says whether there was one, and whether it was
// the last, and returns what is stored of the endpoint; nil for nothing.
func (b *Book) Resolve(endpointID string) (was, last bool, stored *model.Endpoint) {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, was = b.unclaimed[endpointID]
	delete(b.unclaimed, endpointID)
	stored = b.stored[endpointID]
	delete(b.stored, endpointID)
	return was, was && len(b.unclaimed) == 0, stored
}

// Text is what there is to say of what is unclaimed; empty for nothing.
func (b *Book) Text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.unclaimed) == 0 {
		return ""
	}
	text := fmt.Sprintf("%d links of running containers (networks %s) are in no stored state",
		len(b.unclaimed), strings.Join(b.networks(), ", "))
	if b.why != "" {
		text += "; " + b.why
	}
	return text
}

// networks returns the networks that the endpoints are on, sorted by their whole ids. One
// whose bridge does not tell is not among them.
func (b *Book) networks() (names []string) {
	ids := map[string]bool{}
	for _, v := range b.unclaimed {
		if model.CheckID("network", v.NetworkID) == nil {
			ids[v.NetworkID] = true
		}
	}
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		names = append(names, model.Short(id))
	}
	return names
}

// Heard takes over which networks of the state an engine has, of all that it has.
func (b *Book) Heard(s *model.State, engine string, has map[string]string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.absent == nil {
		b.absent = map[string]bool{}
	}
	maps.DeleteFunc(b.absent, func(id string, _ bool) bool { return s.Networks[id] == nil })
	for _, n := range s.Networks {
		if n.Engine == engine {
			_, named := has[n.ID]
			b.absent[n.ID] = !named
		}
	}
}

// Nobodys says that no engine has named a network, or that the one which did has it no
// more.
func (b *Book) Nobodys(n *model.Network) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return n.Engine == "" || b.absent[n.ID]
}
