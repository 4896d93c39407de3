package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/ipam"
)

// Held is a network as its engine has it, with what its address manager has to hold
// if that is gangway's.
type Held struct {
	driver.Recovery
	Pools []ipam.Holding
}

// network is what is read of the answers of NetworkList and NetworkInspect (Engine
// API).
type network struct {
	ID         string
	Name       string
	Driver     string
	Internal   bool
	EnableIPv4 *bool
	EnableIPv6 bool
	Options    map[string]string
	IPAM       struct {
		Driver string
		Config []pool
	}
	Containers map[string]struct{ EndpointID string }
}

type pool struct {
	Subnet, IPRange, Gateway string
	AuxiliaryAddresses       map[string]string
}

// container is what is read of the answer of ContainerInspect (Engine API).
type container struct {
	ID     string
	State  struct{ Running bool }
	Config struct {
		ExposedPorts map[string]struct{}
	}
	HostConfig struct {
		PublishAllPorts bool
		PortBindings    map[string][]binding
	}
	NetworkSettings struct {
		SandboxKey string
		Networks   map[string]*attachment
	}
}

type binding struct{ HostIP, HostPort string }

// attachment is a container's place on a network.
type attachment struct {
	NetworkID, EndpointID        string
	MacAddress                   string
	Gateway, IPv6Gateway         string
	IPAddress, GlobalIPv6Address string
	IPPrefixLen                  int
	GlobalIPv6PrefixLen          int
	DriverOpts                   map[string]string
	// GwPriority is there from engine 28.0 on, which has a gateway for each family.
	GwPriority *int
}

// Inventory returns what the engine has of the given networks, and of its further
// networks of the same drivers.
func (c *Client) Inventory(ctx context.Context, engine string, ids []string) ([]Held, error) {
	var all []network
	if err := c.getJSON(ctx, "/networks", &all); err != nil {
		return nil, err
	}
	drivers, networks := map[string]bool{}, map[string]network{}
	for _, n := range all {
		networks[n.ID] = n
		if slices.Contains(ids, n.ID) {
			drivers[n.Driver] = true
		}
	}
	containers := map[string]container{}
	var out []Held
	for _, id := range slices.Sorted(maps.Keys(networks)) {
		if !drivers[networks[id].Driver] {
			continue
		}
		h, err := c.held(ctx, id, networks, containers)
		if err != nil {
			return nil, err
		}
		h.Engine = engine
		out = append(out, h)
	}
	return out, nil
}

// held asks for one network and for the containers on it that are not known yet.
func (c *Client) held(ctx context.Context, id string, networks map[string]network, containers map[string]container) (Held, error) {
	var n network
	if !isID(id) {
		return Held{}, fmt.Errorf("network id %q: want small letters and digits", id)
	}
	if err := c.getJSON(ctx, "/networks/"+id, &n); err != nil {
		return Held{}, err
	}
	h, err := n.held()
	if err != nil {
		return h, fmt.Errorf("network %s: %w", n.Name, err)
	}
	for _, cid := range slices.Sorted(maps.Keys(n.Containers)) {
		if !isID(cid) { // an endpoint without a container
			continue
		}
		on, known := containers[cid]
		if !known {
			if err := c.getJSON(ctx, "/containers/"+cid+"/json", &on); err != nil {
				return h, err
			}
			containers[cid] = on
		}
		if err := h.add(id, on, networks); err != nil {
			return h, fmt.Errorf("container %s: %w", cid[:min(len(cid), 12)], err)
		}
	}
	return h, nil
}

// isID says whether a text is an id, as which it may stand in a path.
func isID(text string) bool {
	return text != "" && len(text) <= 64 && !strings.ContainsFunc(text, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z')
	})
}

// held is the network without its endpoints, as CreateNetwork would ask for it.
func (n network) held() (h Held, err error) {
	generic := map[string]any{}
	for name, value := range n.Options {
		generic[name] = value
	}
	options := map[string]any{"com.docker.network.enable_ipv6": n.EnableIPv6, "com.docker.network.generic": generic}
	if n.EnableIPv4 != nil {
		options["com.docker.network.enable_ipv4"] = *n.EnableIPv4
	}
	if n.Internal {
		options["com.docker.network.internal"] = true
	}
	h.Name = n.Name
	h.Network = driver.CreateNetworkRequest{ID: n.ID, Options: options}
	space := map[string]string{"default": "LocalDefault", n.Driver: ipam.LocalSpace}[n.IPAM.Driver]
	for _, p := range n.IPAM.Config {
		hold, err := p.holding()
		if err != nil {
			return h, err
		}
		data := driver.PoolData{Space: space, Subnet: hold.Subnet, Gateway: hold.Gateway}
		if data.Subnet.Addr().Is4() {
			h.Network.IPv4 = append(h.Network.IPv4, data)
		} else {
			h.Network.IPv6 = append(h.Network.IPv6, data)
		}
		if space == ipam.LocalSpace {
			h.Pools = append(h.Pools, hold)
		}
	}
	return h, nil
}

// holding reads a pool. Engines tell gateways with and without a prefix length.
func (p pool) holding() (h ipam.Holding, err error) {
	if h.Subnet, err = netip.ParsePrefix(p.Subnet); err != nil {
		return h, err
	}
	h.Subnet = h.Subnet.Masked()
	if p.IPRange != "" {
		if h.Range, err = netip.ParsePrefix(p.IPRange); err != nil {
			return h, err
		}
		h.Range = h.Range.Masked()
	}
	addrs := slices.Collect(maps.Values(p.AuxiliaryAddresses))
	for i, text := range append([]string{p.Gateway}, addrs...) {
		text, _, _ = strings.Cut(text, "/")
		if text == "" {
			continue
		}
		a, err := netip.ParseAddr(text)
		if err != nil {
			return h, err
		}
		if i == 0 {
			h.Gateway = netip.PrefixFrom(a, h.Subnet.Bits())
		} else {
			h.Addresses = append(h.Addresses, a)
		}
	}
	return h, nil
}

// add adds what a running container has on the network.
func (h *Held) add(networkID string, c container, networks map[string]network) error {
	on := c.on(networkID)
	if on == nil {
		return nil // it comes or goes just now
	}
	e, err := on.endpoint()
	if err != nil {
		return err
	}
	e.Sandbox = c.NetworkSettings.SandboxKey
	first4, first6 := c.gateway(networks, false), c.gateway(networks, true)
	e.Gateway = first4 == on || first6 == on
	bare := on.GwPriority != nil && first6 != nil && first6 != on
	if e.Ports, err = c.ports(bare); err != nil {
		return err
	}
	h.Endpoints = append(h.Endpoints, e)
	for i, p := range h.Pools {
		for _, a := range []netip.Prefix{e.IPv4, e.IPv6} {
			if a.IsValid() && p.Subnet.Contains(a.Addr()) {
				h.Pools[i].Addresses = append(h.Pools[i].Addresses, a.Addr())
			}
		}
	}
	h.gateways(on)
	return nil
}

// on is a running container's place on the network, nil if it has none.
func (c container) on(networkID string) *attachment {
	for _, a := range c.NetworkSettings.Networks {
		if a != nil && a.NetworkID == networkID && a.EndpointID != "" && c.State.Running {
			return a
		}
	}
	return nil
}

// endpoint is the place as CreateEndpoint would ask for it.
func (a *attachment) endpoint() (e driver.RecoveredEndpoint, err error) {
	e.NetworkID, e.EndpointID = a.NetworkID, a.EndpointID
	e.Options = map[string]json.RawMessage{}
	for name, value := range a.DriverOpts {
		if e.Options[name], err = json.Marshal(value); err != nil {
			return e, err
		}
	}
	if e.IPv4, err = address(a.IPAddress, a.IPPrefixLen); err != nil {
		return e, err
	}
	if e.IPv6, err = address(a.GlobalIPv6Address, a.GlobalIPv6PrefixLen); err != nil {
		return e, err
	}
	e.MAC, err = net.ParseMAC(a.MacAddress)
	return e, err
}

// gateways notes the gateways that the network itself does not tell: engines name
// only those that the user has chosen.
func (h *Held) gateways(on *attachment) {
	note := func(pools []driver.PoolData, text string) {
		a, err := netip.ParseAddr(text)
		for i, p := range pools {
			if err == nil && !p.Gateway.IsValid() && p.Subnet.Contains(a) {
				pools[i].Gateway = netip.PrefixFrom(a, p.Subnet.Bits())
			}
		}
	}
	note(h.Network.IPv4, on.Gateway)
	note(h.Network.IPv6, on.IPv6Gateway)
	for i, p := range h.Pools {
		for _, data := range slices.Concat(h.Network.IPv4, h.Network.IPv6) {
			if data.Subnet == p.Subnet {
				h.Pools[i].Gateway = data.Gateway
			}
		}
	}
}

func address(text string, bits int) (netip.Prefix, error) {
	if text == "" {
		return netip.Prefix{}, nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	p := netip.PrefixFrom(a, bits)
	if !p.IsValid() {
		return p, fmt.Errorf("address %s has a prefix length of %d", text, bits)
	}
	return p, nil
}

// gateway returns the place that is the container's way out, as engines choose it
// (moby libnetwork Endpoint.Less): of those that have a gateway, by the user's
// priority, then by the networks' names. Up to 27 it is one for both families.
func (c container) gateway(networks map[string]network, six bool) *attachment {
	var names []string
	for name, a := range c.NetworkSettings.Networks {
		if a == nil || networks[a.NetworkID].Internal {
			continue
		}
		if a.Gateway != "" && !six || a.IPv6Gateway != "" && six && a.GwPriority != nil {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return c.NetworkSettings.Networks[slices.MinFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(c.priority(b), c.priority(a)), cmp.Compare(a, b))
	})]
}

func (c container) priority(name string) int {
	if p := c.NetworkSettings.Networks[name].GwPriority; p != nil {
		return *p
	}
	return 0
}

func (c *Client) getJSON(ctx context.Context, path string, into any) error {
	return c.get(ctx, path, func(body io.Reader) error {
		return json.NewDecoder(body).Decode(into)
	})
}
