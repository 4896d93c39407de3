package upgrade

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// A network to keep: what the engine would ask for.
type network struct {
	id string
	// subnets are explicit; "" has one chosen, IPv4 first.
	subnets []string
	// options are the user's; Docker's are without com.docker.network.
	options  map[string]string
	internal bool
	// aux is an auxiliary address.
	aux string
	// bridge that is there already gives the gateway.
	gateway   string
	endpoints []endpoint
	// policy is the file of one with a name, applied before.
	policy string
}

// An endpoint to keep. Ports are engine options.
type endpoint struct {
	id      string
	static  string
	mac     string
	outside bool // it has not joined
	ports   []port
	// options are the user's, by their whole names.
	options map[string]string
}

type port struct {
	Proto       int
	IP          string
	Port        int
	HostIP      string
	HostPort    int
	HostPortEnd int
}

// id is one of 64 digits.
func id(digit string) string { return strings.Repeat(digit, 64) }

// further are networks that reach further than their host.
func further() []network {
	return []network{
		{
			id: id("8"), subnets: []string{"10.60.0.0/24"}, options: map[string]string{"gangway.gateway": "container:vpn"},
			endpoints: []endpoint{{id: id("7")}},
		},
		{
			id: id("9"), subnets: []string{"10.61.0.0/24", "fd00:61::/64"},
			options:   map[string]string{"bridge.gateway_mode_ipv6": "routed", "gangway.ndp_proxy": "outside"},
			endpoints: []endpoint{{id: id("6")}},
		},
	}
}

// estate is everything that a version is asked for. A version that does not
// know an option of the later ones refuses the network, which is left out then.
func estate() []network {
	return []network{
		{
			id: id("1"), subnets: []string{"10.50.0.0/24", "fd00:50::/64"}, aux: "10.50.0.9",
			options: map[string]string{"driver.mtu": "1400"},
			endpoints: []endpoint{
				{id: id("a"), static: "10.50.0.77", ports: []port{
					{6, "", 80, "", 8080, 8080}, {17, "", 53, "", 5300, 5310}, {6, "", 443, "192.0.2.1", 0, 0},
					{6, "", 90, "", 9000, 9000}, {6, "", 91, "", 9001, 9001}, {6, "", 92, "::", 9002, 9002}, {132, "", 99, "", 9900, 9900},
				}},
				{id: id("b"), mac: "02:42:0a:32:00:4e", outside: true},
			},
		},
		{id: id("2"), subnets: []string{""}, internal: true, endpoints: []endpoint{{id: id("c")}}},
		{
			id: id("3"), subnets: []string{"10.53.0.0/16"},
			options: map[string]string{
				"bridge.name": "mine", "bridge.enable_icc": "false", "bridge.enable_ip_masquerade": "false",
				"bridge.host_binding_ipv4": "127.0.0.1", "container_iface_prefix": "net",
			},
			endpoints: []endpoint{{id: id("d"), ports: []port{{6, "", 80, "", 8081, 8081}}}},
		},
		{
			id: id("4"), subnets: []string{"10.55.0.0/24"}, gateway: "10.55.0.1",
			options:   map[string]string{"bridge.name": "theirs"},
			endpoints: []endpoint{{id: id("e"), ports: []port{{17, "", 80, "", 8082, 8082}}}},
		},
		{
			id: id("5"), subnets: []string{"10.56.0.0/24", "fd00:56::/64"},
			options: map[string]string{
				"bridge.gateway_mode_ipv4": "nat-unprotected", "bridge.gateway_mode_ipv6": "routed",
				"gangway.host_binding_ipv6": "::1", "host_ipv4": "192.0.2.1",
			},
			endpoints: []endpoint{{id: id("f"), ports: []port{{6, "", 80, "", 8083, 8083}}}},
		},
		{
			id: id("6"), subnets: []string{"10.57.0.0/24"},
			options: map[string]string{
				"gangway.anti_spoofing": "false", "bridge.enable_icc": "false", "bridge.host_binding_ipv4": "127.0.0.1,192.0.2.1",
				"gangway.egress": "internet", "gangway.egress.allow": "10.0.5.7:5432/tcp", "gangway.ingress": "any,22/tcp=10.8.0.0/24", "gangway.host": "dns",
			},
			endpoints: []endpoint{{id: id("9"), ports: []port{{17, "", 80, "", 8084, 8084}}}},
		},
	}
}

// reaching is the rest of it: networks that reach further than the host, and bound what does.
func reaching() []network {
	return append(further(), []network{
		{
			id: id("7"), subnets: []string{"10.58.0.0/24"},
			options: map[string]string{"gangway.rate.in": "100mbit/1mb", "gangway.rate.out": "50mbit",
				"gangway.routes": "10.9.0.0/16 via 10.58.0.5", "gangway.host_routes": "10.9.0.0/16 via 10.58.0.5", "gangway.no_default_route": "true", "driver.mtu": "auto"},
			endpoints: []endpoint{{id: id("8"), options: map[string]string{"gangway.rate.out": "none", "gangway.promiscuous": "true", "gangway.routes": "none"}}},
		},
		{
			id: id("a"), subnets: []string{"10.62.0.0/24", "fd00:62::/64"}, options: map[string]string{"gangway.ipv6": "prefix", "gangway.ipv6.prefix": "eth0", "gangway.ipv6.subnet": "0x10"},
			endpoints: []endpoint{{id: id("5"), ports: []port{{6, "", 80, "", 8085, 8085}}}},
		},
		{
			id: id("0"), subnets: []string{"10.59.0.0/24"}, options: map[string]string{"gangway.policy": "agents", "gangway.lock": "true"},
			policy:    "# what agents reach\nname: agents\negress: deny\negress.allow: [10.0.5.7:5432/tcp]\nhost: 53\n",
			endpoints: []endpoint{{id: id("0")}},
		},
	}...)
}

// asker makes calls and remembers them.
type asker struct {
	t     *testing.T
	p     *program
	calls []call
	// failed stops a network that was refused.
	failed error
}

func (a *asker) ask(op string, body map[string]any) map[string]any {
	a.t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		a.t.Fatal(err)
	}
	if a.failed != nil {
		return nil
	}
	answer, err := a.p.ask(op, string(b))
	if err != nil {
		a.failed = err
		return nil
	}
	a.calls = append(a.calls, call{op, string(b), answer})
	return decode(a.t, answer)
}

// create asks for all of the estate, and returns the calls that led there. Of an
// old program it is what the program can do.
func create(t *testing.T, p *program, old bool) []call {
	t.Helper()
	var all []call
	for _, n := range slices.Concat(estate(), reaching()) {
		a := &asker{t: t, p: p}
		a.network(n)
		if a.failed != nil && !old {
			t.Fatal(a.failed)
		}
		if a.failed != nil {
			t.Logf("left out: %v", a.failed)
			p.removeAll(t, a.calls)
			continue
		}
		all = append(all, a.calls...)
	}
	return all
}

// pool is what was given for one family of a network.
type pool struct{ id, subnet, gateway string }

// policiesOp applies policies with names. It is no call of an engine's: its answer is another one the
// second time.
const policiesOp = "gangway/v1/policies"

func (a *asker) policies(text string) {
	body, err := json.Marshal(map[string]any{"files": []any{map[string]any{"name": "kept.yml", "text": text}}})
	if err != nil {
		a.t.Fatal(err)
	}
	if _, a.failed = a.p.ask(policiesOp, string(body)); a.failed == nil {
		a.calls = append(a.calls, call{policiesOp, string(body), "{}"})
	}
}

func (a *asker) network(n network) {
	if n.policy != "" {
		a.policies(n.policy)
	}
	var pools []pool
	for _, subnet := range n.subnets {
		six := strings.Contains(subnet, ":")
		body := map[string]any{"AddressSpace": "gangway-local", "Pool": subnet, "SubPool": "", "Options": map[string]string{}, "V6": six}
		if subnet == "10.50.0.0/24" {
			body["SubPool"] = "10.50.0.128/25"
		}
		r := a.ask("IpamDriver.RequestPool", body)
		p := pool{id: text(r["PoolID"]), subnet: text(r["Pool"])}
		r = a.ask("IpamDriver.RequestAddress", map[string]any{
			"PoolID": p.id, "Address": n.gateway, "Options": map[string]string{"RequestAddressType": "com.docker.network.gateway"},
		})
		p.gateway = text(r["Address"])
		if n.aux != "" && !six {
			a.ask("IpamDriver.RequestAddress", map[string]any{"PoolID": p.id, "Address": n.aux, "Options": nil})
		}
		pools = append(pools, p)
	}
	options := map[string]string{}
	for name, value := range n.options {
		if !strings.HasPrefix(name, "gangway.") {
			name = "com.docker.network." + name
		}
		options[name] = value
	}
	data := func(p pool) map[string]any {
		return map[string]any{"AddressSpace": "gangway-local", "Pool": p.subnet, "Gateway": p.gateway, "AuxAddresses": nil}
	}
	body := map[string]any{
		"NetworkID": n.id,
		"Options": map[string]any{
			"com.docker.network.enable_ipv6": len(pools) > 1, "com.docker.network.internal": n.internal,
			"com.docker.network.generic": options,
		},
		"IPv4Data": []any{data(pools[0])}, "IPv6Data": []any{},
	}
	if len(pools) > 1 {
		body["IPv6Data"] = []any{data(pools[1])}
	}
	a.ask("NetworkDriver.CreateNetwork", body)
	for _, e := range n.endpoints {
		a.endpoint(n.id, pools, e)
	}
}

func (a *asker) endpoint(networkID string, pools []pool, e endpoint) {
	iface := map[string]any{"Address": "", "AddressIPv6": "", "MacAddress": e.mac}
	for i, p := range pools {
		field, static := "Address", e.static
		if i > 0 {
			field, static = "AddressIPv6", ""
		}
		r := a.ask("IpamDriver.RequestAddress", map[string]any{"PoolID": p.id, "Address": static, "Options": nil})
		iface[field] = r["Address"]
	}
	ids := func(more map[string]any) map[string]any {
		more["NetworkID"], more["EndpointID"] = networkID, e.id
		return more
	}
	options := map[string]string{}
	maps.Copy(options, e.options)
	a.ask("NetworkDriver.CreateEndpoint", ids(map[string]any{"Interface": iface, "Options": options}))
	if e.outside {
		return
	}
	a.ask("NetworkDriver.Join", ids(map[string]any{"SandboxKey": "/run/docker/netns/" + e.id[:12], "Options": map[string]any{}}))
	if len(e.ports) > 0 {
		a.ask("NetworkDriver.ProgramExternalConnectivity", ids(map[string]any{
			"Options": map[string]any{"com.docker.network.portmap": e.ports},
		}))
	}
}

// callsFile holds the calls: name and body, and below it the answer.
const callsFile = "calls.txt"

func writeCalls(t *testing.T, dir string, calls []call) {
	t.Helper()
	var out strings.Builder
	for _, c := range calls {
		fmt.Fprintf(&out, "%s %s\n\t%s\n", c.op, c.body, c.answer)
	}
	write(t, dir, callsFile, out.String())
}

// readCalls reads the calls. Before the first release two options had other names,
// which an engine of then would repeat in vain.
func readCalls(t *testing.T, dir string) []call {
	t.Helper()
	text := read(t, dir, callsFile)
	for _, name := range []string{"anti_spoofing", "host_binding_ipv6"} {
		text = strings.ReplaceAll(text, "com.docker.network.bridge."+name, "gangway."+name)
	}
	var calls []call
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if answer, ok := strings.CutPrefix(line, "\t"); ok {
			calls[len(calls)-1].answer = answer
			continue
		}
		op, body, _ := strings.Cut(line, " ")
		calls = append(calls, call{op: op, body: body})
	}
	return calls
}
