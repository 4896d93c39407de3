package bench

import (
	"encoding/json"
	"testing"
	"time"
)

// portmap is CNI's plugins bridge and portmap, called one after the other as a container
// runtime calls a list of them. Nothing is masqueraded: with iptables 1.8.13 the plugin
// bridge does not get its chain removed again.
type portmap struct {
	*peerHost
	// backend is iptables or nftables.
	backend string
	// results are what the plugin bridge said of each container.
	results map[int]json.RawMessage
}

// plugin calls one, with what the one before it said.
func (c *portmap) plugin(t testing.TB, command string, i int, conf object) ([]byte, time.Duration) {
	t.Helper()
	conf["cniVersion"], conf["name"] = "1.0.0", "peers"
	return c.asks(t, conf, []string{
		"CNI_COMMAND=" + command, "CNI_CONTAINERID=" + space(i), "CNI_NETNS=/run/netns/" + space(i), "CNI_IFNAME=eth0", "CNI_PATH=" + cniPath,
	}, cniPath+"/"+conf["type"].(string))
}

const cniPath = "/usr/lib/cni"

func (c *portmap) bridge() object {
	return object{
		"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
		"ipam": object{"type": "host-local", "routes": []object{{"dst": "0.0.0.0/0"}}, "ranges": [][]object{{{"subnet": "10.64.0.0/24", "rangeStart": address(resident)}}}},
	}
}

func (c *portmap) ports(i int, p published) object {
	mappings := []object{}
	for port := p.first; port < p.first+p.count; port++ {
		mappings = append(mappings, object{"hostPort": port, "containerPort": port, "protocol": p.proto})
	}
	return object{
		"type": "portmap", "backend": c.backend, "capabilities": object{"portMappings": true}, "snat": true,
		"runtimeConfig": object{"portMappings": mappings}, "prevResult": c.results[i],
	}
}

func (c *portmap) up(t testing.TB, i int, p published) time.Duration {
	t.Helper()
	if c.results == nil {
		c.results = map[int]json.RawMessage{}
	}
	result, took := c.plugin(t, "ADD", i, c.bridge())
	c.results[i] = result
	if p.count > 0 {
		_, more := c.plugin(t, "ADD", i, c.ports(i, p))
		took += more
	}
	return took
}

func (c *portmap) down(t testing.TB, i int, p published) time.Duration {
	t.Helper()
	var took time.Duration
	if p.count > 0 {
		_, took = c.plugin(t, "DEL", i, c.ports(i, p))
	}
	_, more := c.plugin(t, "DEL", i, c.bridge())
	return took + more
}
