package driver

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// condition is what a network needs of the host that Gangway does not make itself:
// an address or a link that has to be there, or the host's way to a container. It
// may come and go at any time, so that a network without it is not refused: an
// engine that starts asks for its networks before the host has all its links.
type condition struct {
	// address has to be one of the host's, link the name of one of its links; the
	// way to reach has to lead by the bridge. Each is empty where it does not matter.
	address netip.Addr
	link    string
	reach   netip.Addr
	bridge  string
	// text is what does not work without it.
	text string
}

// conditions lists what the networks need, in no order.
func conditions(s *model.State) (all []condition) {
	for _, n := range s.Networks {
		all = append(all, byOptions(n)...)
		if n.Options.Internal {
			continue
		}
		if c := wayIn(s, n); c.text != "" {
			all = append(all, c)
		}
		if !n.Subnet4.IsValid() && !model.Forwarded(n.Subnet6.Addr()) {
			all = append(all, unpublished(s, n)...)
		}
	}
	return all
}

// unpublished lists the endpoints whose ports have no address to lead to.
func unpublished(s *model.State, n *model.Network) (all []condition) {
	for _, e := range s.Members[n.ID] {
		if len(e.Publish.Bindings) > 0 {
			all = append(all, condition{text: fmt.Sprintf("the ports of endpoint %s on %s are not published: its only address %s is link-local and reaches as far as the bridge; give the network IPv4 or another IPv6 subnet",
				model.Short(e.ID), n, e.IPv6.Addr())})
		}
	}
	return all
}

// byOptions lists what the network's options name of the host.
func byOptions(n *model.Network) (all []condition) {
	for _, o := range []struct {
		name   string
		addrs  []netip.Addr
		effect string
	}{
		{"com.docker.network.host_ipv4", []netip.Addr{n.Options.Host4}, "what leaves the network by IPv4 gets no answers"},
		{"com.docker.network.host_ipv6", []netip.Addr{n.Options.Host6}, "what leaves the network by IPv6 gets no answers"},
		{"com.docker.network.bridge.host_binding_ipv4", n.Options.HostBindings(false), "no container can publish ports there"},
		{"gangway.host_binding_ipv6", n.Options.HostBindings(true), "no container can publish ports there"},
	} {
		for _, a := range o.addrs {
			if a.IsValid() && !a.IsLoopback() {
				all = append(all, condition{address: a, text: fmt.Sprintf("%s has the option %s, and the host has no address %s: %s; add the address to the host, or create the network with another one", n, o.name, a, o.effect)})
			}
		}
	}
	for _, name := range n.Options.TrustedInterfaces() {
		all = append(all, condition{link: name, text: fmt.Sprintf("%s has the option com.docker.network.bridge.trusted_host_interfaces, and the host has no interface %s: nothing comes from there; create the network with another one", n, name)})
	}
	return all
}

// wayIn is the condition of IPv4 ports on a network whose bridge gets no address:
// somebody else has to give the host a way to the containers.
func wayIn(s *model.State, n *model.Network) condition {
	if !n.Options.InhibitIPv4 {
		return condition{}
	}
	var first netip.Addr
	for _, e := range s.Members[n.ID] {
		leads := slices.ContainsFunc(e.Published, func(r spec.Published) bool { return r.ContainerIP.Is4() })
		if a := e.IPv4.Addr(); leads && (!first.IsValid() || a.Less(first)) {
			first = a
		}
	}
	if !first.IsValid() {
		return condition{}
	}
	return condition{reach: first, bridge: n.Bridge, text: fmt.Sprintf("%s has the option com.docker.network.bridge.inhibit_ipv4, and the host has no way to %s by the bridge: published ports lead nowhere; give the bridge an address of %s, or publish none", n, first, n.Subnet4)}
}

// unmet returns a line for each condition that is not met, and for each way between
// networks that others have diverted, sorted.
func (d *Driver) unmet(ctx context.Context, all []condition) []string {
	lines := append(d.missed(ctx, all), d.diverted(ctx)...)
	slices.Sort(lines)
	return slices.Compact(lines)
}

// missed returns a line for each condition that is not met.
func (d *Driver) missed(ctx context.Context, all []condition) (lines []string) {
	if len(all) == 0 {
		return nil
	}
	defer d.asked.ask("look at the host's links and addresses")()
	have, err := d.o.Facts.HostAddresses(ctx)
	if err != nil {
		return []string{err.Error()}
	}
	for _, c := range all {
		met, err := d.met(ctx, c, have)
		switch {
		case err != nil:
			lines = append(lines, err.Error())
		case !met:
			lines = append(lines, c.text)
		}
	}
	return lines
}

// maxLooks is how many ask the kernel at a time what is not met. While it hangs each of
// them stays, and a scraper of metrics asks again and again.
const maxLooks = 4

// unmetSoon is unmet for the present conditions, or what was found last where the
// kernel does not answer.
func (d *Driver) unmetSoon(ctx context.Context) []string {
	var lines []string
	if d.looks.Add(1) > maxLooks {
		d.looks.Add(-1)
	} else if answered(ctx, func() {
		defer d.looks.Add(-1)
		lines = d.unmet(ctx, d.needs())
	}) {
		return lines
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.health.unmet)
}

func (d *Driver) met(ctx context.Context, c condition, have map[netip.Addr]bool) (bool, error) {
	switch {
	case c.address.IsValid():
		return have[c.address], nil
	case c.link != "":
		return d.o.Facts.HasLink(ctx, c.link)
	case c.reach.IsValid():
		by, err := d.o.Facts.LinkTo(ctx, c.reach)
		return by == c.bridge, err
	}
	return false, nil
}

// needs returns the present conditions.
func (d *Driver) needs() []condition {
	s, unlock := d.desired.Read()
	defer unlock()
	return append(conditions(s), d.highConditions(s)...)
}

// review tells of conditions that are met no more, and of those that are again. What
// they depend on is told as what leads outside: links and addresses of others, and
// rules of policy routing.
func (d *Driver) review(ctx context.Context) {
	now := d.unmet(ctx, d.needs())
	d.mu.Lock()
	was := d.health.unmet
	d.health.unmet = now
	d.mu.Unlock()
	for _, line := range now {
		if !slices.Contains(was, line) {
			d.o.Log.Warn(line)
			d.journal.Add(events.Problem, line)
		}
	}
	for _, line := range was {
		if !slices.Contains(now, line) {
			d.o.Log.Info("no longer so: " + line)
			d.journal.Add(events.Solved, "solved: "+line)
		}
	}
}
