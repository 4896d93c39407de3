package plugin

import (
	"net"
	"net/netip"
	"slices"

	"github.com/docker/go-plugins-helpers/network"

	"github.com/gangway-net/gangway/driver"
)

// family is 4 or 6.
type family int

func (f family) String() string {
	if f == 6 {
		return "IPv6"
	}
	return "IPv4"
}

// example is an address and prefix length of the family, for errors.
func (f family) example() string {
	if f == 6 {
		return "fd00::2/64"
	}
	return "10.0.0.2/24"
}

func (f family) holds(a netip.Addr) bool {
	if f == 6 {
		return a.Is6() && !a.Is4In6()
	}
	return a.Is4()
}

// needIDs checks that ids are there. What they look like is for the driver:
// 64 hex digits, or 25 characters for a network of a swarm.
func needIDs(networkID string, endpointID ...string) error {
	if networkID == "" {
		return badf("request field NetworkID is missing")
	}
	if slices.Contains(endpointID, "") {
		return badf("request field EndpointID is missing")
	}
	return nil
}

// parseSubnet reads a subnet; host bits are refused.
func parseSubnet(field, text string, f family) (netip.Prefix, error) {
	p, err := parseInterface(field, text, f)
	if err != nil {
		return netip.Prefix{}, err
	}
	if p != p.Masked() {
		return netip.Prefix{}, badf("request field %s: %s has bits set beyond its prefix; the subnet is %s", field, p, p.Masked())
	}
	return p, nil
}

// parseInterface reads an address with the prefix length of its subnet.
func parseInterface(field, text string, f family) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil || !f.holds(p.Addr()) {
		return netip.Prefix{}, badf("request field %s: %q is not an %s address with a prefix length, such as %s", field, text, f, f.example())
	}
	return p, nil
}

// parseAddr reads a bare address of either family.
func parseAddr(field, text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" || a.Is4In6() {
		return netip.Addr{}, badf("request field %s: %q is not an IP address", field, text)
	}
	return a, nil
}

// toCreateNetwork converts a CreateNetwork request.
func toCreateNetwork(r *network.CreateNetworkRequest) (driver.CreateNetworkRequest, error) {
	out := driver.CreateNetworkRequest{ID: r.NetworkID, Options: r.Options}
	if err := needIDs(r.NetworkID); err != nil {
		return out, err
	}
	var err error
	if out.IPv4, err = toPools("IPv4Data", r.IPv4Data, 4); err != nil {
		return out, err
	}
	out.IPv6, err = toPools("IPv6Data", r.IPv6Data, 6)
	return out, err
}

// toPools converts the pools of one family. The engine allows several subnets
// a family; a bridge with several is two networks that share a wire, and the
// engine's allocation never falls through to the second of a remote IPAM.
func toPools(field string, data []*network.IPAMData, f family) ([]driver.PoolData, error) {
	if len(data) > 1 {
		return nil, badf("%d %s subnets: a gangway network has one a family; create a network for each --subnet", len(data), f)
	}
	var out []driver.PoolData
	for _, d := range data {
		if d == nil || d.Pool == "" {
			return nil, badf("request field %s.Pool is missing", field)
		}
		p, err := toPool(field, d, f)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func toPool(field string, d *network.IPAMData, f family) (driver.PoolData, error) {
	out := driver.PoolData{Space: d.AddressSpace}
	var err error
	if out.Subnet, err = parseSubnet(field+".Pool", d.Pool, f); err != nil {
		return out, err
	}
	if out.Subnet.Bits() == 0 {
		return out, badf("subnet %s is no subnet: gangway needs an address manager, so leave out --ipam-driver null", out.Subnet)
	}
	if d.Gateway != "" {
		if out.Gateway, err = parseMember(field+".Gateway", d.Gateway, out.Subnet, f); err != nil {
			return out, err
		}
	}
	for name, value := range d.AuxAddresses {
		text, ok := value.(string)
		if !ok {
			return out, badf("request field %s.AuxAddresses[%s]: %v is not a text", field, name, value)
		}
		aux, err := parseMember(field+".AuxAddresses["+name+"]", text, out.Subnet, f)
		if err != nil {
			return out, err
		}
		if out.Aux == nil {
			out.Aux = map[string]netip.Prefix{}
		}
		out.Aux[name] = aux
	}
	return out, nil
}

// parseMember reads an address of subnet. It gets the subnet's prefix length
// whatever its own is: another address manager may have answered with a host
// prefix.
func parseMember(field, text string, subnet netip.Prefix, f family) (netip.Prefix, error) {
	p, err := parseInterface(field, text, f)
	if err != nil {
		return netip.Prefix{}, err
	}
	if !subnet.Contains(p.Addr()) {
		return netip.Prefix{}, badf("request field %s: %s is not inside subnet %s", field, p.Addr(), subnet)
	}
	return netip.PrefixFrom(p.Addr(), subnet.Bits()), nil
}

// toCreateEndpoint converts a CreateEndpoint request. An empty text means that
// the engine left the field to others.
func toCreateEndpoint(r *createEndpointRequest) (driver.CreateEndpointRequest, error) {
	out := driver.CreateEndpointRequest{NetworkID: r.NetworkID, EndpointID: r.EndpointID, Options: r.Options}
	if err := needIDs(r.NetworkID, r.EndpointID); err != nil {
		return out, err
	}
	if r.Interface == nil {
		return out, badf("request field Interface is missing")
	}
	var err error
	if text := r.Interface.Address; text != "" {
		if out.IPv4, err = parseInterface("Interface.Address", text, 4); err != nil {
			return out, err
		}
	}
	if text := r.Interface.AddressIPv6; text != "" {
		if out.IPv6, err = parseInterface("Interface.AddressIPv6", text, 6); err != nil {
			return out, err
		}
	}
	if text := r.Interface.MacAddress; text != "" {
		if out.MAC, err = net.ParseMAC(text); err != nil || len(out.MAC) != 6 {
			return out, badf("request field Interface.MacAddress: %q is not an Ethernet address such as 02:42:0a:00:00:02", text)
		}
	}
	return out, nil
}

// toJoinResponse converts the answer to Join. An address that is not there is
// an empty text.
func toJoinResponse(r driver.JoinResult) *network.JoinResponse {
	out := &network.JoinResponse{
		InterfaceName:         network.InterfaceName{SrcName: r.SrcName, DstPrefix: r.DstPrefix},
		DisableGatewayService: r.DisableGatewayService,
	}
	for _, route := range r.Routes {
		const byAddress = 0 // libnetwork's types.NEXTHOP
		out.StaticRoutes = append(out.StaticRoutes, &network.StaticRoute{Destination: route.To.String(), RouteType: byAddress, NextHop: route.Via.String()})
	}
	if r.Gateway4.IsValid() {
		out.Gateway = r.Gateway4.String()
	}
	if r.Gateway6.IsValid() {
		out.GatewayIPv6 = r.Gateway6.String()
	}
	return out
}
