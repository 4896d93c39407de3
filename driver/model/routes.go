package model

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/gangway-net/gangway/config"
)

// admitRoutes checks the routes of a new network, by which the host and its containers reach
// what is behind one of them, against its own subnets and all other networks.
func (s *State) admitRoutes(n *Network) error {
	if err := n.checkRoutes("network option gangway.routes", config.ParseRoutes(n.Options.ContainerRoutes)); err != nil {
		return err
	}
	if n.Options.NoDefaultRoute && (n.Router4.IsValid() || n.Router6.IsValid()) {
		return fmt.Errorf("network option gangway.no_default_route: the auxiliary addresses %s and %s are a default route: leave one of them out", RouterName4, RouterName6)
	}
	return s.admitHostRoutes(n)
}

// admitHostRoutes checks those of the host.
func (s *State) admitHostRoutes(n *Network) error {
	own := config.ParseRoutes(n.Options.HostRoutes)
	if err := n.checkRoutes("network option gangway.host_routes", own); err != nil {
		return err
	}
	for _, r := range own {
		if slices.ContainsFunc(n.BridgeAddresses(), func(g netip.Prefix) bool { return g.Addr() == r.Via }) {
			return fmt.Errorf("network option gangway.host_routes: %s is the host's own address: name that of a container", r.Via)
		}
	}
	for _, old := range s.Networks {
		theirs := config.ParseRoutes(old.Options.HostRoutes)
		for _, r := range own {
			if err := apart(r.To, n, old); err != nil {
				return err
			}
			if i := slices.IndexFunc(theirs, func(o config.Route) bool { return o.To == r.To }); i >= 0 {
				return Conflictf("network option gangway.host_routes: network %s has %s: leave one of them out", Short(old.ID), theirs[i])
			}
		}
		for _, o := range theirs {
			if err := apart(o.To, old, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// apart refuses a route of the host by one network that leads to another one: the source
// check takes what comes from there for a lie.
func apart(to netip.Prefix, by, other *Network) error {
	for _, subnet := range other.Subnets() {
		if subnet.Overlaps(to) {
			return Conflictf("network option gangway.host_routes: %s by network %s overlaps subnet %s of network %s", to, Short(by.ID), subnet, Short(other.ID))
		}
	}
	return nil
}

// checkRoutes refuses routes that the network cannot have: those to itself, and those by
// addresses that none of its containers can have.
func (n *Network) checkRoutes(option string, all []config.Route) error {
	for _, r := range all {
		subnet := n.Subnet(r.Via.Is6())
		switch {
		case !subnet.IsValid() || !subnet.Contains(r.Via):
			return fmt.Errorf("%s: %s is outside of the network's subnets %v: name an address of the network", option, r.Via, n.Subnets())
		case nobodys(subnet, r.Via) != "":
			return fmt.Errorf("%s: %s is %s: name that of a container", option, r.Via, nobodys(subnet, r.Via))
		case subnet.Overlaps(r.To):
			return fmt.Errorf("%s: %s overlaps the network's own subnet %s", option, r.To, subnet)
		}
	}
	return nil
}

// admitOwnRoutes checks those that a container has in the place of its network's.
func admitOwnRoutes(n *Network, e *Endpoint) error {
	return n.checkRoutes("endpoint option gangway.routes", config.ParseRoutes(e.Options.ContainerRoutes))
}

// Routes are those of an endpoint's container by the network. One that leads by the container
// itself is none of its own.
func (n *Network) Routes(e *Endpoint) (all []config.Route) {
	for _, r := range config.RoutesOf(e.Options.ContainerRoutes, n.Options.ContainerRoutes) {
		if r.Via != e.IPv4.Addr() && r.Via != e.IPv6.Addr() && (!r.Via.Is4() || e.IPv4.IsValid()) && (!r.Via.Is6() || e.IPv6.IsValid()) {
			all = append(all, r)
		}
	}
	return all
}
