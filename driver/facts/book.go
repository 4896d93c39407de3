// Package facts keeps what is known of the host and nobody stores: which links lead outside, what the way out takes,
// which prefixes the host has, on which high ports the host listens, and which source ports what
// goes out has by now.
//
// Invariant: plans depend on these facts and on the desired state alone, and what is not known
// is closed. The package refuses to ask the kernel: it is told, and answers.
package facts

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
)

// Book is what is known of the host. The zero value knows nothing. Its methods are safe for
// concurrent use, and may be called with the desired state from commit.Desired's Read.
type Book struct {
	mu        sync.Mutex
	known     plan.Facts
	listening listening
	// renumbered says that flows may have an address of a prefix that is gone, or of none.
	renumbered bool
}

// Uplink is the MTU of the way out; 0 as long as that has never been known.
func (b *Book) Uplink() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.known.Uplink
}

// Known are the facts that plans of owners depend on.
func (b *Book) Known() plan.Facts {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.known
}

// LearnPrefixes takes over which prefixes the host has, and says whether that is news. One that is gone
// is forgotten at once: what others get from now on as the source may be somebody else's.
func (b *Book) LearnPrefixes(all []spec.HostPrefix) (news bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	news = b.known.Prefixes == nil || !slices.Equal(all, b.known.Prefixes)
	b.known.Prefixes = append([]spec.HostPrefix{}, all...) // not nil: it is known
	b.renumbered = b.renumbered || news
	return news
}

// LearnUsers takes over who else has addresses; see plan.Facts. Of those that were known before, all but the wanted ones are
// forgotten: who is asked for again may be somebody else's by then. Plans may have the former map still.
func (b *Book) LearnUsers(asked map[spec.Proxied]string, before map[spec.Proxied]string, wanted map[spec.Proxied]bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := maps.Clone(b.known.Users)
	if all == nil {
		all = map[spec.Proxied]string{}
	}
	for p := range before {
		if !wanted[p] {
			delete(all, p)
		}
	}
	maps.Copy(all, asked)
	b.known.Users = all
}

// Untranslated notes that flows may have begun while rules were missing.
func (b *Book) Untranslated() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.renumbered = true
}

// TakeRenumbered says whether the host has had other prefixes since the last call than before, or flows may have begun
// without translation.
func (b *Book) TakeRenumbered() (is bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	is, b.renumbered = b.renumbered, false
	return is
}

// LearnUplink takes over the MTU of the way out, 0 where there is none, and says whether that
// is news. What is not known any more stays as it was: there is nothing better, and a way out
// that comes back is mostly the same.
func (b *Book) LearnUplink(mtu int) (news bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if mtu == 0 || mtu == b.known.Uplink {
		return false
	}
	b.known.Uplink = mtu
	return true
}

// Given returns the facts as of now, and what follows from them and the state for what goes
// out. unclaimed says that containers that the state does not know use the rules, too.
func (b *Book) Given(s *model.State, unclaimed bool) plan.Facts {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.known
	f.High, f.Unclaimed = plan.SourcePortRules(b.sourcePorts(s)), unclaimed
	return f
}

// SourcePorts are those that what goes out may have by now. problem is why it is not known on
// which ports the host listens; empty if it is.
func (b *Book) SourcePorts(s *model.State) (all []plan.SourcePorts, problem string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sourcePorts(s), b.listening.problem
}

func (b *Book) sourcePorts(s *model.State) []plan.SourcePorts {
	return plan.ChooseSourcePorts(b.known.High, s.High, b.listening.sets)
}

// Told takes over what the firewall was told of facts.
func (b *Book) Told(rules plan.Plan) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known.High = plan.Of[firewall.HighPorts](rules)
}

// LeadOutside takes over which links lead outside, sorted by name, and says whether that is
// news.
func (b *Book) LeadOutside(links []spec.Outside) (news bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	news = !slices.Equal(links, b.known.Outside)
	b.known.Outside = links
	return news
}

// Outside says whether a link leads outside; one that is not known does not.
func (b *Book) Outside(link string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.known.Outside, func(o spec.Outside) bool { return o.Name == link })
}

// Listens takes over on which ports from firewall.FirstHighPort on the host listens at some
// moment, or why that is not known. What is published there is no service of the host's.
func (b *Book) Listens(s *model.State, found map[spec.Listener]bool, err error, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.listening.problem = err.Error()
		return
	}
	b.listening.problem = ""
	maps.DeleteFunc(found, func(p spec.Listener, _ bool) bool { return s.High.Has(p) })
	b.listening.look(found, now)
}

// TakeFresh returns the UDP ports on which the host has come to listen since the last call, as
// ports of all its addresses. Flows may have been given them as their source before.
func (b *Book) TakeFresh() (runs []spec.Published) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, port := range b.listening.fresh {
		for _, all := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
			runs = append(runs, spec.Published{Proto: spec.UDP, HostIP: all, First: port, Last: port})
		}
	}
	b.listening.fresh = nil
	return runs
}
