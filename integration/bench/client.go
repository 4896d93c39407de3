package bench

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"time"
)

// client asks a driver what an engine asks it. It has one connection, as an
// engine has for calls that follow each other.
type client struct{ http *http.Client }

// ask carries out one call and says how long the answer took: the daemon's own
// time and the exchange over the socket.
func (c *client) ask(op string, body, into any) (time.Duration, error) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	resp, err := c.http.Post("http://plugin/"+op, "application/vnd.docker.plugins.v1.2+json", bytes.NewReader(encoded))
	if err != nil {
		return 0, err
	}
	answer, err := io.ReadAll(resp.Body)
	took := time.Since(start)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return 0, err
	}
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s: %s: %s", op, resp.Status, answer)
	}
	if into == nil {
		return took, nil
	}
	return took, json.Unmarshal(answer, into)
}

// id is a network's or endpoint's id: 64 hex digits that differ from the first
// one on.
func id(kind string, i int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", kind, i))
	return hex.EncodeToString(sum[:])
}

// endpoint is one endpoint to make, in network n of those made by this client.
type endpoint struct {
	id      string
	network int
	addr    netip.Addr
	// first and ports are the host ports to publish, proto is tcp if it is empty.
	first, ports int
	proto        string
}

// member is the i-th endpoint of a network.
func member(network, i int) endpoint {
	base := subnet(network).Addr().As4()
	base[3] = byte(i + 2) // behind the gateway
	return endpoint{id: id(fmt.Sprint("endpoint of ", network), i), network: network, addr: netip.AddrFrom4(base)}
}

func (e endpoint) ids() object {
	return object{"NetworkID": id("network", e.network), "EndpointID": e.id}
}

// options are the generic options with the published ports.
func (e endpoint) options() object {
	exposed, bindings := []object{}, []object{}
	number := 6
	if e.proto == "udp" {
		number = 17
	}
	for i := range e.ports {
		port := e.first + i
		exposed = append(exposed, object{"Proto": number, "Port": port})
		bindings = append(bindings, object{"Proto": number, "IP": "", "Port": port, "HostIP": "", "HostPort": port, "HostPortEnd": port})
	}
	return object{"com.docker.network.endpoint.exposedports": exposed, "com.docker.network.portmap": bindings}
}

// step is one call of an endpoint's life.
type step struct {
	op   string
	body func(e endpoint) object
}

// coming are the calls that a container's start makes, in the engine's order;
// going are those of its end.
func coming() []step {
	return []step{
		{"NetworkDriver.CreateEndpoint", func(e endpoint) object {
			q := e.ids()
			q["Interface"] = object{"Address": netip.PrefixFrom(e.addr, 24).String(), "AddressIPv6": "", "MacAddress": ""}
			q["Options"] = e.options()
			return q
		}},
		{"NetworkDriver.Join", func(e endpoint) object {
			q := e.ids()
			q["SandboxKey"] = "/run/docker/netns/" + e.id[:12]
			q["Options"] = e.options()
			return q
		}},
		{"NetworkDriver.ProgramExternalConnectivity", func(e endpoint) object {
			q := e.ids()
			q["Options"] = e.options()
			return q
		}},
		{"NetworkDriver.EndpointOperInfo", endpoint.ids},
	}
}

func going() []step {
	return []step{
		{"NetworkDriver.RevokeExternalConnectivity", endpoint.ids},
		{"NetworkDriver.Leave", endpoint.ids},
		{"NetworkDriver.DeleteEndpoint", endpoint.ids},
	}
}

func networkBody(i int) object {
	gateway := subnet(i).Addr().Next()
	return object{
		"NetworkID": id("network", i),
		"Options":   object{"com.docker.network.enable_ipv4": true, "com.docker.network.enable_ipv6": false, "com.docker.network.generic": object{}},
		"IPv4Data":  []object{{"AddressSpace": "local", "Gateway": netip.PrefixFrom(gateway, 24).String(), "Pool": subnet(i).String()}},
		"IPv6Data":  []object{},
	}
}
