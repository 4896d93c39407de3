package driver

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// newNetwork turns a request into the network it asks for.
func (d *Driver) newNetwork(r CreateNetworkRequest) (*model.Network, error) {
	if err := model.CheckID("network", r.ID); err != nil {
		return nil, err
	}
	options, err := config.ParseNetwork(r.Options)
	if err != nil {
		return nil, err
	}
	n := &model.Network{ID: r.ID, Options: options, Bridge: options.Bridge}
	for _, p := range slices.Concat(r.IPv4, r.IPv6) {
		n.Space = p.Space // one address manager a network
	}
	if n.Bridge == "" {
		n.Bridge = bridgeName(n.ID)
	}
	if n.Subnet4, n.Gateway4, err = onePool(r.IPv4, "IPv4"); err != nil {
		return nil, err
	}
	if n.Subnet6, n.Gateway6, err = onePool(r.IPv6, "IPv6"); err != nil {
		return nil, err
	}
	if !n.Subnet4.IsValid() && !n.Subnet6.IsValid() {
		return nil, fmt.Errorf("network %s has no subnet: gangway needs one from the address manager, so leave out --ipam-driver null", model.Short(n.ID))
	}
	if err := onLeasedLAN(n, r.LeasedBy); err != nil {
		return nil, err
	}
	return n, hostOnLAN(n, r)
}

// onLeasedLAN refuses addresses of a LAN for containers that are not there.
func onLeasedLAN(n *model.Network, link string) error {
	if link == "" || n.Options.Uplink == link || n.Bridge == link && n.Options.InhibitIPv4 {
		return nil
	}
	return fmt.Errorf("address manager option %s=%s: containers would have addresses of the LAN of %s and not be there: add -o gangway.uplink=%s, or, where %s is a bridge of yours, -o com.docker.network.bridge.name=%s -o com.docker.network.bridge.inhibit_ipv4=true",
		config.OptionDHCP, link, link, link, link, link)
}

// onePool checks the pools of one family. A bridge network has one.
func onePool(pools []PoolData, family string) (subnet, gateway netip.Prefix, err error) {
	if len(pools) == 0 {
		return subnet, gateway, nil
	}
	if len(pools) > 1 {
		return subnet, gateway, fmt.Errorf("%d %s subnets (%s, %s, …): a gangway network has one a family; create a network for each",
			len(pools), family, pools[0].Subnet, pools[1].Subnet)
	}
	p := pools[0]
	if p.Subnet != p.Subnet.Masked() || p.Subnet.Addr().Is4() != (family == "IPv4") {
		return subnet, gateway, fmt.Errorf("%s is not an %s subnet", p.Subnet, family)
	}
	// The engine's own address manager takes any.
	if err := config.CheckSubnet(p.Subnet); err != nil {
		return subnet, gateway, err
	}
	if p.Gateway.IsValid() && !p.Subnet.Contains(p.Gateway.Addr()) {
		return subnet, gateway, fmt.Errorf("gateway %s is not inside subnet %s", p.Gateway.Addr(), p.Subnet)
	}
	return p.Subnet, p.Gateway, nil
}

// hostOnLAN takes the host's addresses on a LAN from the auxiliary ones.
func hostOnLAN(n *model.Network, r CreateNetworkRequest) error {
	if !n.Options.HostAccess {
		return nil
	}
	if !n.OnLAN() {
		return errors.New("network option gangway.host_access: it is about the LAN of gangway.uplink, which there is not: leave it out")
	}
	for _, p := range slices.Concat(r.IPv4, r.IPv6) {
		for _, name := range []string{config.HostName4, config.HostName6} {
			a, named := p.Aux[name]
			switch {
			case !named:
			case a.Addr().Is4() != (name == config.HostName4):
				return fmt.Errorf("auxiliary address %s=%s is of the other family", name, a.Addr())
			case a.Addr().Is4():
				n.Host4 = a.Addr()
			default:
				n.Host6 = a.Addr()
			}
		}
	}
	if !n.Host4.IsValid() && !n.Host6.IsValid() {
		return fmt.Errorf("network option gangway.host_access: the host needs an address of the LAN that nobody else has: give it by --aux-address %s=ADDRESS or %s=ADDRESS", config.HostName4, config.HostName6)
	}
	return nil
}

// bridgeName names the bridge of a network whose user did not.
func bridgeName(networkID string) string { return spec.BridgePrefix + model.Short(networkID) }

func requestedRouters(r CreateNetworkRequest) (out model.Routers) {
	out.Four, out.Err = router(r.IPv4, model.RouterName4)
	var err error
	if out.Six, err = router(r.IPv6, model.RouterName6); out.Err == nil {
		out.Err = err
	}
	return out
}

// router looks for the default gateway among the auxiliary addresses of one
// family. Other names are the user's own; but one that differs in case alone, or
// that is for the other family, was not meant as a reservation and no more.
func router(pools []PoolData, want string) (netip.Addr, error) {
	for _, p := range pools {
		for _, name := range slices.Sorted(maps.Keys(p.Aux)) {
			if name == want || !strings.EqualFold(name, model.RouterName4) && !strings.EqualFold(name, model.RouterName6) {
				continue
			}
			return netip.Addr{}, fmt.Errorf("auxiliary address %s=%s: did you mean %s?", name, p.Aux[name].Addr(), want)
		}
		if a, ok := p.Aux[want]; ok {
			return a.Addr(), nil
		}
	}
	return netip.Addr{}, nil
}

// newEndpoint turns a request into the endpoint it asks for.
func newEndpoint(r CreateEndpointRequest) (*model.Endpoint, error) {
	if err := model.CheckID("network", r.NetworkID); err != nil {
		return nil, err
	}
	if err := model.CheckID("endpoint", r.EndpointID); err != nil {
		return nil, err
	}
	options, err := config.ParseEndpoint(r.Options)
	if err != nil {
		return nil, err
	}
	e := &model.Endpoint{ID: r.EndpointID, NetworkID: r.NetworkID, Options: options, IPv4: r.IPv4, IPv6: r.IPv6, MAC: model.HardwareAddr(r.MAC)}
	if len(e.Addrs()) == 0 {
		return nil, fmt.Errorf("endpoint %s has no address: gangway needs one from the address manager", model.Short(e.ID))
	}
	if r.MAC == nil {
		e.MAC, e.MACChosen = model.ChooseMAC(e), true
	}
	if err := e.MAC.Check(); err != nil {
		return nil, err
	}
	return e, nil
}
