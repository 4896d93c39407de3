package faulttest

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver"
)

// networkRequest asks for a network of both families: 10.n.0.0/24 and
// fd00:n::/64.
func networkRequest(id string, n byte) driver.CreateNetworkRequest {
	four := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, n, 0, 0}), 24)
	six := netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 0, 0, n + 1}), 64)
	return driver.CreateNetworkRequest{
		ID:      id,
		Options: map[string]any{},
		IPv4:    []driver.PoolData{{Subnet: four, Gateway: netip.PrefixFrom(host(four, 1), 24)}},
		IPv6:    []driver.PoolData{{Subnet: six, Gateway: netip.PrefixFrom(host(six, 1), 64)}},
	}
}

// host is an address of a subnet.
func host(subnet netip.Prefix, n byte) netip.Addr {
	b := subnet.Addr().AsSlice()
	b[len(b)-1] = n
	a, _ := netip.AddrFromSlice(b)
	return a
}

// endpointRequest asks for an endpoint with host number h on network n.
func endpointRequest(network, id string, n, h byte) driver.CreateEndpointRequest {
	r := networkRequest(network, n)
	return driver.CreateEndpointRequest{
		NetworkID: network, EndpointID: id,
		IPv4: netip.PrefixFrom(host(r.IPv4[0].Subnet, h), 24),
		IPv6: netip.PrefixFrom(host(r.IPv6[0].Subnet, h), 64),
	}
}

// ports are the engine's options for TCP ports, host and container in turn.
func ports(pairs ...int) config.EndpointOptions {
	var list []string
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, fmt.Sprintf(`{"Proto":6,"IP":"","Port":%d,"HostIP":"","HostPort":%d,"HostPortEnd":%[2]d}`, pairs[i+1], pairs[i]))
	}
	return config.EndpointOptions{"com.docker.network.portmap": []byte("[" + strings.Join(list, ",") + "]")}
}
