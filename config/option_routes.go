package config

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// routeOptions say what is reached by which address of a network.
func routeOptions() []Option {
	const values = "entries `SUBNET via ADDRESS` with `,` between them, the address one of the network; none"
	return []Option{
		{
			Name: "gangway.routes", Where: ForBoth, Values: values, Since: first,
			Help:      "routes of the containers beside the default route; a container's own take the place of its network's",
			network:   func(n *Network, v string) (err error) { n.ContainerRoutes, err = routeList(v); return err },
			container: func(e *Endpoint, v string) (err error) { e.ContainerRoutes, err = routeList(v); return err },
			check:     func(n Network) error { return routeFamilies(n, n.ContainerRoutes) },
		},
		{
			Name: "gangway.host_routes", Where: ForNetwork, Values: values, Since: first,
			Help:    "routes of the host by the network, to what is behind one of its containers",
			network: func(n *Network, v string) (err error) { n.HostRoutes, err = routeList(v); return err },
			check: func(n Network) error {
				for _, r := range ParseRoutes(n.HostRoutes) {
					if six := r.To.Addr().Is6(); n.Mode(six) == Isolated || !six && n.InhibitIPv4 {
						return fmt.Errorf("the host has no address on the network by which %s is reached: leave it out, or the gateway mode isolated and inhibit_ipv4", r.To)
					}
				}
				return routeFamilies(n, n.HostRoutes)
			},
		},
		{
			Name: "gangway.no_default_route", Where: ForBoth, Values: "true or false", Choices: booleans(), Default: "false", Since: first,
			Help:      "containers get no default route by the network",
			network:   func(n *Network, v string) (err error) { n.NoDefaultRoute, err = boolean(v); return err },
			container: func(e *Endpoint, v string) (err error) { e.NoDefaultRoute, err = said(v); return err },
		},
	}
}

// Said is a boolean of one container, "" where nothing is said.
type Said string

// Over returns what counts for a container whose network says otherwise.
func (s Said) Over(network bool) bool {
	if s == "" {
		return network
	}
	return s == "true"
}

func said(v string) (Said, error) {
	b, err := boolean(v)
	return Said(fmt.Sprint(b)), err
}

// Route is a way to a subnet by an address of a network.
type Route struct {
	To  netip.Prefix
	Via netip.Addr
}

// String is as in the options.
func (r Route) String() string { return r.To.String() + " via " + r.Via.String() }

// noRoutes are none, whatever the network has.
const noRoutes = "none"

// ParseRoutes reads what routeList has written.
func ParseRoutes(list string) (all []Route) {
	for text := range strings.SplitSeq(list, ",") {
		to, via, _ := strings.Cut(text, " via ")
		r := Route{}
		var err, bad error
		r.To, err = netip.ParsePrefix(to)
		r.Via, bad = netip.ParseAddr(via)
		if err == nil && bad == nil {
			all = append(all, r)
		}
	}
	return all
}

// RoutesOf are those of a container's own list, or of its network's where it has none.
func RoutesOf(own, network string) []Route {
	if own == "" {
		return ParseRoutes(network)
	}
	return ParseRoutes(own)
}

// routeList checks routes, and writes them sorted and each in one way.
func routeList(v string) (string, error) {
	if v == "" || v == noRoutes {
		return v, nil
	}
	var all []Route
	for text := range strings.SplitSeq(v, ",") {
		r, err := route(text)
		if err != nil {
			return "", err
		}
		if slices.ContainsFunc(all, func(o Route) bool { return o.To == r.To }) {
			return "", fmt.Errorf("names %s twice", r.To)
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Route) int { return a.To.Compare(b.To) })
	texts := make([]string, 0, len(all))
	for _, r := range all {
		texts = append(texts, r.String())
	}
	return strings.Join(texts, ","), nil
}

func route(text string) (r Route, err error) {
	fields := strings.Fields(text)
	if len(fields) != 3 || fields[1] != "via" {
		return r, fmt.Errorf("has the entry %q: want SUBNET via ADDRESS, such as 10.9.0.0/16 via 10.80.0.5", strings.TrimSpace(text))
	}
	if r.To, err = netip.ParsePrefix(fields[0]); err != nil {
		return r, fmt.Errorf("has %q, which is no subnet such as 10.9.0.0/16", fields[0])
	}
	if r.Via, err = netip.ParseAddr(fields[2]); err != nil || r.Via.Zone() != "" || r.Via.Is4In6() {
		return r, fmt.Errorf("has %q, which is no address such as 10.80.0.5", fields[2])
	}
	a := r.To.Addr()
	switch {
	case r.To != r.To.Masked():
		return r, fmt.Errorf("has %s, which is an address within %s: want the subnet", r.To, r.To.Masked())
	case a.Is6() != r.Via.Is6() || a.Is4In6():
		return r, fmt.Errorf("has %s: subnet and address are of different families", r)
	case r.To.Bits() == 0:
		return r, errors.New("has a default route: name the gateway with --aux-address DefaultGatewayIPv4=ADDRESS or DefaultGatewayIPv6=ADDRESS")
	case a.IsMulticast() || a.IsLoopback() || a.IsLinkLocalUnicast():
		return r, fmt.Errorf("has %s, of which no route leads to another network", r.To)
	}
	return r, nil
}

// routeFamilies refuses routes of a family that the network does not have.
func routeFamilies(n Network, list string) error {
	for _, r := range ParseRoutes(list) {
		if six := r.To.Addr().Is6(); six && !n.IPv6 || !six && !n.IPv4 {
			return fmt.Errorf("%s is of a family that the network does not have", r)
		}
	}
	return nil
}
