package bench

import (
	"strings"
	"testing"
	"time"
)

// netavark is what Podman calls for each container, with a run of ports as one mapping.
// Podman itself holds the ports, which is no part of what is measured.
type netavark struct{ *peerHost }

func (n *netavark) call(t testing.TB, command string, i int, p published) time.Duration {
	t.Helper()
	mappings := []object{}
	if p.count > 0 {
		mappings = append(mappings, object{"host_ip": "", "host_port": p.first, "container_port": p.first, "range": p.count, "protocol": p.proto})
	}
	_, took := n.asks(t, object{
		"container_id": strings.Repeat(space(i), 32), "container_name": space(i), "port_mappings": mappings,
		"networks": object{"peers": object{"interface_name": "eth0", "static_ips": []string{address(i)}}},
		"network_info": object{"peers": object{
			"name": "peers", "id": strings.Repeat("ab", 32), "driver": "bridge", "network_interface": "podman1",
			"subnets":      []object{{"subnet": "10.64.0.0/24", "gateway": address(1)}},
			"ipv6_enabled": false, "internal": false, "dns_enabled": false, "ipam_options": object{"driver": "host-local"}, "options": object{},
		}},
	}, []string{"NETAVARK_FW=nftables"}, "/usr/lib/podman/netavark", "--config", "/run/netavark", command, "/run/netns/"+space(i))
	return took
}

func (n *netavark) up(t testing.TB, i int, p published) time.Duration {
	t.Helper()
	return n.call(t, "setup", i, p)
}

func (n *netavark) down(t testing.TB, i int, p published) time.Duration {
	t.Helper()
	return n.call(t, "teardown", i, p)
}
