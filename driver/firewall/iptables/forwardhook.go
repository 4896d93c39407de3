package iptables

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/driver/firewall"
)

// ForwardHook is what a firewall that lives in nf_tables needs of iptables: a packet
// that it accepts has to get through an iptables FORWARD chain, whose policy
// may be DROP, and DOCKER-USER has to keep the last word.
//
// The other side marks forwarded packets of gangway's bridges (see
// firewall.Mark) before they come to iptables, and drops what comes out of
// it marked to be dropped. The FORWARD hook is a constant number of rules:
//
//	filter FORWARD → GANGWAY-FORWARD   packets of gangway's bridges: asks DOCKER-USER, then
//	                                   accepts and drops as marked (→ GANGWAY-NEIGHBOURS)
//	               → GANGWAY-LAN       what passes within bridges that are the host's links
//	               → GANGWAY-TRANSIT   what nobody's rule has accepted is dropped as marked
//
// The other side drops as well what others' links would pass on to one another in a
// family without transit, unless somebody's rule accepts it. So such packets are marked
// Mark.Asked before all rules of others and Mark.Drop again behind them:
// what these accept does not come to the last rule. Where iptables are flushed, the first
// mark stays, and the packet is dropped.
//
// They stand in every variant and family whose FORWARD chain decides anything,
// and in no other. All else with gangway's names is left over from Backend, and
// removed.
type ForwardHook struct {
	log       *logrus.Entry
	mark      firewall.Mark
	installed []variant
	// placed holds where the FORWARD hook stood at the last Sync.
	placed map[place]bool
}

type place struct {
	variant variant
	six     bool
}

// NewForwardHook finds the iptables commands. It fails if there are none; then there
// is nobody on the host to follow the marks either.
func NewForwardHook(ctx context.Context, log *logrus.Entry, mark firewall.Mark) (*ForwardHook, error) {
	found, err := installed(ctx)
	if err != nil {
		return nil, err
	}
	return &ForwardHook{log: log, mark: mark, installed: found, placed: map[place]bool{}}, nil
}

// neighboursChain is ForwardHook's, which has forwardChain and transitChain too: what
// others' links would pass on to one another in a family without transit.
var neighboursChain = chain{"filter", "GANGWAY-NEIGHBOURS"}

// marked matches marks by gangway's bits.
func marked(m firewall.Mark, bits uint32) string {
	return fmt.Sprintf("--mark %#x/%#x", bits, m.Mask())
}

// forwardHooks returns the jumps to it. They look at the mark first, so that packets of
// others pass with one comparison.
func forwardHooks(m firewall.Mark) []hook {
	return []hook{
		{filterForward, "-m mark ! " + marked(m, 0) + " -j " + forwardChain.name, forwardChain},
		{filterForward, "-j " + lanChain.name, lanChain},
		{filterForward, elsewhere + " -m mark " + marked(m, m.Asked()) + " -j " + transitChain.name, transitChain},
	}
}

// forwardHookRules returns its chains in one family; user says that there is a
// DOCKER-USER. The bits may be somebody else's on packets that are not of gangway's
// bridges.
func forwardHookRules(m firewall.Mark, want firewall.ForwardHook, six, user bool) rules {
	r := rules{}
	aside := others + " -j RETURN"
	if want.NoTransit.Has(six) {
		aside = others + " -g " + neighboursChain.name
		r[forwardChain] = []string{aside}
		r[neighboursChain] = []string{"-m mark " + marked(m, m.Drop) + " " + fresh + " " + setMark(m, m.Asked())}
		r[transitChain] = []string{fresh + " " + setMark(m, m.Drop)}
	}
	for _, bridge := range strings.Fields(want.Within) {
		r[lanChain] = append(r[lanChain], withinRule(bridge))
		r[withinChain] = withinRules(user)
	}
	if want.Networks {
		r[forwardChain] = append([]string{aside}, verdictRules(m, user)...)
	}
	return r
}

// verdictRules are for packets of gangway's bridges.
func verdictRules(m firewall.Mark, user bool) []string {
	mark := func(bits uint32) string { return "-m mark " + marked(m, bits) + " " }
	accept := mark(m.Accept) + "-j ACCEPT"
	drop := fmt.Sprintf("-m mark --mark %#x/%#x -j DROP", m.Drop, m.Drop) // asked or not
	if !user {
		return []string{accept, drop}
	}
	return []string{
		mark(m.Drop) + setMark(m, m.Asked()),
		"-j " + dockerUser.name,
		accept,
		mark(m.Asked()) + setMark(m, m.Drop), // in case somebody deletes the next one
		drop,
	}
}

// Sync puts the FORWARD hook where it is needed, or nowhere if nothing is wanted of it, and
// returns one line for each repair. still says that nf_tables have not changed
// since the last call, so that its variant need not be looked at. Sync must
// not be called twice at a time.
func (g *ForwardHook) Sync(ctx context.Context, want firewall.ForwardHook, still bool) ([]string, error) {
	var repaired []string
	for _, v := range g.installed {
		if v == nft && still {
			continue
		}
		for _, six := range families() {
			lines, err := g.sync(ctx, place{v, six}, want)
			repaired = append(repaired, lines...)
			if err != nil {
				return repaired, fmt.Errorf("let %s follow the marks of nf_tables: %w", v.command(six, ""), err)
			}
		}
	}
	return repaired, nil
}

func (g *ForwardHook) sync(ctx context.Context, p place, need firewall.ForwardHook) ([]string, error) {
	delete(g.placed, p)
	if p.variant == legacy && len(legacyTablesOf(p.six)) == 0 {
		return nil, nil
	}
	is, err := p.variant.list(ctx, p.six, forwardHooks(g.mark))
	switch {
	case errors.Is(err, errIncompatible):
		// No engine can use iptables here.
		g.log.WithError(err).Debug("no FORWARD hook")
		return nil, nil
	case err != nil:
		return nil, err
	}
	var want rules
	if is.decides() {
		want = forwardHookRules(g.mark, need, p.six, is.user)
	}
	s := converge(is, want)
	if err := p.variant.restore(ctx, g.log, p.six, s.String()); err != nil {
		return nil, err
	}
	g.placed[p] = len(want) > 0
	for i, l := range s.repairs {
		s.repairs[i] = l + " (" + p.variant.command(p.six, "") + ")"
	}
	return s.repairs, nil
}

// decides says whether FORWARD does anything but accept.
func (l listing) decides() bool {
	if l.policy != "" && l.policy != "ACCEPT" {
		return true
	}
	return slices.ContainsFunc(l.others[filterForward], func(r string) bool { return !ownRule.MatchString(r) })
}

// Placed says whether the FORWARD hook stands anywhere since the last Sync.
func (g *ForwardHook) Placed() bool {
	for _, there := range g.placed {
		if there {
			return true
		}
	}
	return false
}

// UsesLegacy says whether the host has filter tables of legacy iptables.
func (g *ForwardHook) UsesLegacy() bool {
	return slices.Contains(g.installed, legacy) &&
		(slices.Contains(legacyTablesOf(false), "filter") || slices.Contains(legacyTablesOf(true), "filter"))
}
