package drift

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
)

// learnUsers asks on links who has the addresses that containers are known by outside, before the host answers for
// them there: another prefix gives each of them another address, which nobody has chosen. All of a link are asked for at
// once. Each is asked for once, and again as long as somebody else has it.
func (c *Comparison) learnUsers(ctx context.Context) {
	before := c.Facts.Known()
	s, unlock := c.Desired.Read()
	owners := plan.AnsweredOutside(s, before.Prefixes)
	unlock()
	wanted, links := map[spec.Proxied]bool{}, map[string][]netip.Addr{}
	for _, p := range owners {
		p = p.Nameless()
		wanted[p] = true
		if user, asked := before.Users[p]; !asked || user != "" && c.of.All {
			links[p.Link] = append(links[p.Link], p.Address)
		}
	}
	if len(links) == 0 && len(before.Users) == len(wanted) {
		return
	}
	start := time.Now()
	asked, err := c.ask(ctx, links)
	c.Waited(start)
	c.Note(nil, err)
	c.Facts.LearnUsers(asked, before.Users, wanted)
	for o, p := range owners {
		user, is := asked[p.Nameless()]
		if was, known := before.Users[p.Nameless()]; is && (!known || was != user) {
			c.following = append(c.following, o)
			c.Writer.Reopen([]plan.Owner{o})
		}
	}
}

// ask returns who has addresses, by the links on which they are asked for. A link that cannot be asked is left out.
func (c *Comparison) ask(ctx context.Context, links map[string][]netip.Addr) (map[spec.Proxied]string, error) {
	asked := map[spec.Proxied]string{}
	var errs []error
	for link, addrs := range links {
		users, err := c.Users(ctx, link, addrs)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, a := range addrs {
			asked[spec.Proxied{Link: link, Address: a}] = users[a]
		}
	}
	return asked, errors.Join(errs...)
}
