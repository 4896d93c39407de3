package nftables

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	nft "github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// policyListing is what the kernel holds of the policy table.
type policyListing struct {
	// exists, plain and orphan are as in listing.
	exists, plain, orphan bool
	// chains and items have the names of the chains and sets.
	chains map[string]bool
	items  contents
	// timed are the elements of sets that hold what was learned.
	timed map[string][]nft.SetElement
	// broken has a line for each thing that is not as it was to be.
	broken []string
	// generation is that at which it was so.
	generation uint32
}

func (l *policyListing) fault(format string, args ...any) {
	l.broken = append(l.broken, "table inet "+policyTable+": "+fmt.Sprintf(format, args...))
}

// list reads the table, and compares it with an image. A table that changes meanwhile is read
// again.
func (p *PolicyTable) list(ctx context.Context, want image) (policyListing, error) {
	for range 8 {
		before, err := p.k.generation()
		if err != nil {
			return policyListing{}, err
		}
		l, err := p.listOnce(ctx, want)
		if err == nil {
			l.generation, err = p.k.generation()
		}
		if err == nil && l.generation == before {
			slices.Sort(l.broken)
			return l, nil
		}
		p.k.stopReading()
		if err != nil && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.ENOENT) {
			return policyListing{}, fmt.Errorf("list table inet %s: %w", policyTable, explain(err))
		}
	}
	return policyListing{}, fmt.Errorf("list table inet %s: nf_tables changes all the time", policyTable)
}

func (p *PolicyTable) listOnce(ctx context.Context, want image) (policyListing, error) {
	l := policyListing{chains: map[string]bool{}, items: contents{}, timed: map[string][]nft.SetElement{}}
	if err := p.k.open(); err != nil {
		return l, err
	}
	is, err := p.k.wire.claim(ctx, policyTable)
	p.k.owns = err == nil && is.mine
	l.exists = is.exists
	switch {
	case err != nil:
		return l, err
	case !l.exists && len(want.chains) > 0:
		l.broken = []string{"table inet " + policyTable + " was missing"}
		return l, nil
	case !l.exists:
		return l, nil
	case len(want.chains) == 0:
		l.broken = []string{"table inet " + policyTable + " was left over"}
	case is.mine && is.flags == p.k.flags, is.flags == 0 && p.k.flags == 0:
	case is.flags == flagPersist && p.k.flags != 0:
		l.orphan = true
	case is.flags == 0:
		l.plain = true
	default:
		l.fault("it was dormant or somebody else's")
	}
	if err := p.listChains(&l, want); err != nil {
		return l, err
	}
	return l, p.listSets(&l, want)
}

func (p *PolicyTable) listChains(l *policyListing, want image) error {
	all, err := p.k.conn.ListChainsOfTableFamily(nft.TableFamilyINet)
	if err != nil {
		return err
	}
	found := map[string]*nft.Chain{}
	for _, c := range all {
		if c.Table.Name == policyTable {
			found[c.Name], l.chains[c.Name] = c, true
		}
	}
	if len(want.chains) == 0 {
		return nil
	}
	for _, w := range want.chains {
		is := found[w.Name]
		delete(found, w.Name)
		if is == nil || !sameChain(is, &w.Chain) {
			l.fault("chain %s was missing, or had another hook", w.Name)
			continue
		}
		rules, err := p.k.wire.rulesOf(is)
		if err != nil {
			return err
		}
		if !inOrder(uncounted(rules), w.rules) {
			l.fault("chain %s had other rules", w.Name)
		}
	}
	for name := range found {
		l.fault("chain %s was not gangway's", name)
	}
	return nil
}

func (p *PolicyTable) listSets(l *policyListing, want image) error {
	all, err := p.k.conn.GetSets(table(policyTable))
	if err != nil {
		return err
	}
	found := map[string]*nft.Set{}
	for _, s := range all {
		found[s.Name], l.items[s.Name] = s, map[string]item{}
	}
	if len(want.chains) == 0 {
		return nil
	}
	for _, w := range inTable(table(policyTable), want.sets) {
		is := found[w.Name]
		delete(found, w.Name)
		switch {
		case is == nil || !sameSet(is, &w.Set):
			l.fault("set %s was missing, or of another kind", w.Name)
			continue
		case w.kind == counting:
			continue
		}
		elements, err := p.k.conn.GetSetElements(&w.Set)
		if err != nil {
			return err
		}
		if w.kind == timed {
			l.timed[w.Name] = elements
			continue
		}
		items, strange := decode(w, elements)
		if d := (contents{w.Name: items}).diff(contents{w.Name: want.items[w.Name]}); strange > 0 || d.gone.len()+d.fresh.len() > 0 {
			l.fault("set %s lacked %d elements, had %d others", w.Name, d.fresh.len(), d.gone.len()+strange)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		l.fault("set %s was not gangway's", name)
	}
	return nil
}
