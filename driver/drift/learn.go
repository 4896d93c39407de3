package drift

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
)

// learn asks the kernel for facts, which the rules follow as they are checked. What is
// not known is closed.
func (c *Comparison) learn(ctx context.Context) {
	if !c.of.All && !c.of.Outside {
		return
	}
	if c.of.All {
		c.learnListening(ctx)
	}
	outside, err := c.Host.Outside(ctx)
	if err != nil {
		c.Note(nil, err)
		return
	}
	if c.Facts.LeadOutside(outside) {
		c.Log.Infof("outside is what leaves by %s", names(outside))
	}
	c.learnUplink(ctx)
}

// learnPrefixes asks which prefixes the host has, if a network is translated into one, and who has the addresses of it that the
// host would answer for. The rules have been
// compared with what they were by the prefixes before: they follow as with any change.
func (c *Comparison) learnPrefixes(ctx context.Context) {
	if c.linkless || !c.of.All && !c.of.Outside {
		return
	}
	s, unlock := c.Desired.Read()
	owners := plan.ByPrefix(s)
	unlock()
	if len(owners) == 0 {
		return
	}
	news, err := c.LearnPrefixes(ctx)
	c.Note(nil, err)
	if news {
		c.following = append(c.following, owners...)
	}
	c.learnUsers(ctx)
}

// LearnPrefixes asks the kernel which prefixes the host has, and says whether that is news. Where it does not
// say, there is none.
func (p *Comparer) LearnPrefixes(ctx context.Context) (news bool, err error) {
	all, err := p.Host.HostPrefixes(ctx)
	if !p.Facts.LearnPrefixes(all) {
		return false, err
	}
	s, unlock := p.Desired.Read()
	owners := plan.ByPrefix(s)
	var lines []string
	for _, o := range owners {
		if n := s.Networks[o.ID]; n != nil {
			lines = append(lines, fmt.Sprintf("%s is %s outside", n.Subnet6, outsideName(plan.OutsidePrefix(s, n, all))))
		}
	}
	unlock()
	for _, l := range lines {
		p.Log.Info(l)
	}
	p.Writer.Reopen(owners)
	return true, err
}

func outsideName(p netip.Prefix) string {
	if !p.IsValid() {
		return "closed, for want of a prefix,"
	}
	return p.String()
}

// dropRenumbered forgets the flows that have an address of a prefix that is not the network's any more, once
// new ones get another, and those that began while rules were missing.
func (c *Comparison) dropRenumbered(ctx context.Context) {
	if c.byKind[string(repairRules)] > 0 {
		c.Facts.Untranslated()
	}
	if c.linkless || !c.Facts.TakeRenumbered() {
		return
	}
	s, unlock := c.Desired.Read()
	facts, outside := c.Facts.Known(), map[netip.Prefix]netip.Prefix{}
	var networks []netip.Prefix
	for _, n := range s.Networks {
		networks = append(networks, n.Subnets()...)
		if n.Options.Prefix.Follow {
			outside[n.Subnet6] = plan.OutsidePrefix(s, n, facts.Prefixes)
		}
	}
	unlock()
	c.Flows.Renumber(ctx, outside, networks)
}

// learnUplink asks what the way out takes, if a network follows that.
func (c *Comparison) learnUplink(ctx context.Context) {
	s, unlock := c.Desired.Read()
	owners := plan.Following(s)
	unlock()
	if len(owners) == 0 {
		return
	}
	news, err := c.LearnUplink(ctx)
	c.Note(nil, err)
	if news {
		c.following = owners
	}
}

// LearnUplink asks the kernel what the way out takes, and says whether that is news. Owners
// whose plans are others by it are led there by the next comparison, as those are that a
// change has left open.
func (p *Comparer) LearnUplink(ctx context.Context) (news bool, err error) {
	mtu, err := p.Host.UplinkMTU(ctx)
	if err != nil || !p.Facts.LearnUplink(mtu) {
		return false, err
	}
	p.Log.Infof("the way out takes packets of %d bytes; networks with com.docker.network.driver.mtu=auto follow", mtu)
	s, unlock := p.Desired.Read()
	owners := plan.Following(s)
	unlock()
	p.Writer.Reopen(owners)
	return true, nil
}

// learnListening asks on which ports the host listens. That nobody tells is no reason to
// mend nothing: it is a condition (see needs.OfSourcePorts).
func (c *Comparison) learnListening(ctx context.Context) {
	s, unlock := c.Desired.Read()
	published := s.High.Spans()
	unlock()
	found, err := c.Host.Listening(ctx, firewall.FirstHighPort, published)
	s, unlock = c.Desired.Read()
	defer unlock()
	c.Facts.Listens(s, found, err, time.Now())
}

// names lists links for people; bridges are called so.
func names(links []spec.Outside) string {
	if len(links) == 0 {
		return "no link"
	}
	var all []string
	for _, l := range links {
		name := l.Name
		if l.Bridge {
			name = "bridge " + name
		}
		all = append(all, name)
	}
	return strings.Join(all, ", ")
}
