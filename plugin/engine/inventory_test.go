package engine

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/config"
)

// The answers of engines 20.10 and 28.5, shortened.
const (
	networkList = `[{"Name":"host","Id":"5ce1","Driver":"host"},
		{"Name":"a","Id":"aa","Driver":"gangway","Internal":false,"EnableIPv6":true},
		{"Name":"b","Id":"bb","Driver":"gangway","Internal":true},
		{"Name":"c","Id":"cc","Driver":"gangway"},
		{"Name":"z","Id":"dd","Driver":"bridge"}]`
	networkA = `{"Name":"a","Id":"aa","Driver":"gangway","EnableIPv6":true,"IPAM":{"Driver":"gangway","Config":[
		{"Subnet":"10.0.0.0/24","IPRange":"10.0.0.64/26","AuxiliaryAddresses":{"router":"10.0.0.9"}},{"Subnet":"fd00::/64","Gateway":"fd00::1/64"}]},
		"Containers":{"c1":{"EndpointID":"e1","IPv4Address":"10.0.0.2/24"},"ep-e9":{"EndpointID":"e9"}},"Options":{"com.docker.network.driver.mtu":"1400"}}`
	networkB = `{"Name":"b","Id":"bb","Driver":"gangway","Internal":true,"IPAM":{"Driver":"default","Config":[{"Subnet":"10.0.1.0/24","Gateway":"10.0.1.1"}]},
		"Containers":{"c1":{"EndpointID":"e2"}},"Options":{}}`
	networkC   = `{"Name":"c","Id":"cc","Driver":"gangway","EnableIPv4":true,"IPAM":{"Driver":"default","Config":[{"Subnet":"10.0.2.0/24"}]},"Containers":{},"Options":null}`
	containerC = `{"Id":"c1","State":{"Running":true},"Config":{"ExposedPorts":{"80/tcp":{},"53/udp":{}}},
		"HostConfig":{"PublishAllPorts":true,"PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8080"},{"HostIp":"127.0.0.1","HostPort":"8000-8010"}]}},
		"NetworkSettings":{"SandboxKey":"/var/run/docker/netns/123","Networks":{
		"a":{"NetworkID":"aa","EndpointID":"e1","Gateway":"10.0.0.1","IPAddress":"10.0.0.2","IPPrefixLen":24,"IPv6Gateway":"fd00::1","GlobalIPv6Address":"fd00::2","GlobalIPv6PrefixLen":64,"MacAddress":"02:42:0a:00:00:02","DriverOpts":{"com.docker.network.endpoint.sysctls":"net.ipv4.conf.IFNAME.log_martians=1"}},
		"b":{"NetworkID":"bb","EndpointID":"e2","Gateway":"","IPAddress":"10.0.1.2","IPPrefixLen":24,"IPv6Gateway":"","GlobalIPv6Address":"","GlobalIPv6PrefixLen":0,"MacAddress":"02:42:0a:00:01:02","DriverOpts":null}}}}`
)

func answers() map[string]string {
	return map[string]string{"/networks": networkList, "/networks/aa": networkA, "/networks/bb": networkB, "/networks/cc": networkC, "/containers/c1/json": containerC}
}

// TestInventory: what is asked for, and all networks of the same driver, as the calls
// would have been that made them.
func TestInventory(t *testing.T) {
	all, err := serving(t, answers()).Inventory(t.Context(), "5ce1", []string{"aa"})
	if err != nil || len(all) != 3 {
		t.Fatalf("%+v, %v", all, err)
	}
	a, b, c := all[0], all[1], all[2]
	want(t, "options", a.Network.Options, map[string]any{"com.docker.network.enable_ipv6": true, "com.docker.network.generic": map[string]any{"com.docker.network.driver.mtu": "1400"}})
	want(t, "IPv4", a.Network.IPv4, "[{gangway-local 10.0.0.0/24 10.0.0.1/24 map[]}]")
	want(t, "IPv6", a.Network.IPv6, "[{gangway-local fd00::/64 fd00::1/64 map[]}]")
	want(t, "pools", a.Pools, "[{10.0.0.0/24 10.0.0.64/26 10.0.0.1/24 [10.0.0.9 10.0.0.2]} {fd00::/64 invalid Prefix fd00::1/64 [fd00::2]}]")
	want(t, "engine", a.Engine, "5ce1")
	if len(a.Endpoints) != 1 || len(b.Endpoints) != 1 || len(c.Endpoints) != 0 || len(b.Pools) != 0 {
		t.Fatalf("%+v", all)
	}
	e := a.Endpoints[0]
	want(t, "endpoint", fmt.Sprint(e.NetworkID, e.EndpointID, e.IPv4, e.IPv6, e.MAC, e.Sandbox, e.Gateway), "aae110.0.0.2/24 fd00::2/64 02:42:0a:00:00:02/var/run/docker/netns/123true")
	want(t, "options of the container", fmt.Sprintf("%s", e.Options), "map[com.docker.network.endpoint.sysctls:\"net.ipv4.conf.IFNAME.log_martians=1\"]")
	want(t, "no options of the container", len(b.Endpoints[0].Options), 0)
	p, err := config.ParsePublish(e.Ports)
	want(t, "ports", fmt.Sprint(p, err), "{[{6 80 invalid IP 8080 8080} {6 80 127.0.0.1 8000 8010} {17 53 invalid IP 0 0}] false} <nil>")
	want(t, "no way out of an internal network", b.Endpoints[0].Gateway, false)
	want(t, "internal", b.Network.Options["com.docker.network.internal"], true)
	want(t, "space", b.Network.IPv4[0].Space, "LocalDefault")
	want(t, "IPv4 by itself", c.Network.Options["com.docker.network.enable_ipv4"], true)
	want(t, "no gateway", c.Network.IPv4[0].Gateway.IsValid(), false)
}

// TestGatewayOf: engines publish a container's ports on the network that is its way
// out; from 28 on there may be one for each family.
func TestGatewayOf(t *testing.T) {
	networks := map[string]network{"in": {Internal: true}}
	n := func(id, v4, v6 string, priority ...int) *attachment {
		a := &attachment{NetworkID: id, Gateway: v4, IPv6Gateway: v6}
		if len(priority) > 0 {
			a.GwPriority = &priority[0]
		}
		return a
	}
	for name, c := range map[string]struct {
		on        map[string]*attachment
		four, six string
	}{
		"by name":           {map[string]*attachment{"b": n("1", "10.0.0.1", ""), "a": n("2", "10.0.1.1", "")}, "a", ""},
		"internal":          {map[string]*attachment{"b": n("1", "10.0.0.1", ""), "a": n("in", "10.0.1.1", "")}, "b", ""},
		"without a gateway": {map[string]*attachment{"b": n("1", "10.0.0.1", ""), "a": n("2", "", "")}, "b", ""},
		"20.10, IPv6":       {map[string]*attachment{"b": n("1", "10.0.0.1", "fd00::1"), "a": n("2", "", "fd01::1")}, "b", ""},
		"28, by priority":   {map[string]*attachment{"b": n("1", "10.0.0.1", "fd00::1", 1), "a": n("2", "10.0.1.1", "fd01::1", 0)}, "b", "b"},
		"28, two ways":      {map[string]*attachment{"b": n("1", "10.0.0.1", "", 0), "a": n("2", "", "fd01::1", 0)}, "b", "a"},
		"none":              {map[string]*attachment{"a": nil}, "", ""},
	} {
		var box container
		box.NetworkSettings.Networks = c.on
		for six, name2 := range map[bool]string{false: c.four, true: c.six} {
			if got := box.gateway(networks, six); got != c.on[name2] {
				t.Errorf("%s, IPv6 %t: %+v, want %s", name, six, got, name2)
			}
		}
	}
}

// TestInventoryRefuses: whatever does not hold is an error, and never half a list.
func TestInventoryRefuses(t *testing.T) {
	for name, change := range map[string]func(map[string]string){
		"no list":    func(a map[string]string) { a["/networks"] = `{}` },
		"bad id":     func(a map[string]string) { a["/networks"] = strings.Replace(networkList, `"bb"`, `"../bb"`, 1) },
		"no network": func(a map[string]string) { delete(a, "/networks/bb") },
		"bad subnet": func(a map[string]string) {
			a["/networks/aa"] = strings.Replace(networkA, "10.0.0.0/24", "10.0.0/24", 1)
		},
		"bad range":    func(a map[string]string) { a["/networks/aa"] = strings.Replace(networkA, "10.0.0.64/26", "x", 1) },
		"bad gateway":  func(a map[string]string) { a["/networks/aa"] = strings.Replace(networkA, "fd00::1/64", "x/64", 1) },
		"no container": func(a map[string]string) { delete(a, "/containers/c1/json") },
		"bad address": func(a map[string]string) {
			a["/containers/c1/json"] = strings.Replace(containerC, "10.0.0.2", "10.0.0", 1)
		},
		"bad prefix length": func(a map[string]string) {
			a["/containers/c1/json"] = strings.Replace(containerC, `"IPPrefixLen":24`, `"IPPrefixLen":99`, 1)
		},
		"bad mac": func(a map[string]string) {
			a["/containers/c1/json"] = strings.Replace(containerC, "02:42:0a:00:00:02", "", 1)
		},
		"bad port": func(a map[string]string) { a["/containers/c1/json"] = strings.Replace(containerC, `"8080"`, `"x"`, 1) },
		"bad container port": func(a map[string]string) {
			a["/containers/c1/json"] = strings.Replace(containerC, `"53/udp"`, `"0/udp"`, 1)
		},
		"bad protocol": func(a map[string]string) {
			a["/containers/c1/json"] = strings.Replace(containerC, `"53/udp"`, `"53/x"`, 1)
		},
	} {
		a := answers()
		change(a)
		if got, err := serving(t, a).Inventory(t.Context(), "5ce1", []string{"aa"}); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	// What comes or goes just now is left out.
	for name, change := range map[string]string{
		`"Running":true`: `"Running":false`, `"EndpointID":"e1"`: `"EndpointID":""`, `"NetworkID":"aa"`: `"NetworkID":"ab"`,
	} {
		a := answers()
		a["/containers/c1/json"] = strings.Replace(containerC, name, change, 1)
		got, err := serving(t, a).Inventory(t.Context(), "5ce1", []string{"aa"})
		if err != nil || len(got) != 3 || len(got[0].Endpoints) != 0 {
			t.Errorf("%s: %+v, %v", change, got, err)
		}
	}
}

// FuzzInventory: whatever an engine answers, what comes of it are valid prefixes and
// ports that can be read.
func FuzzInventory(f *testing.F) {
	f.Add(networkA, containerC)
	f.Add(networkB, `{"NetworkSettings":{"Networks":{"x":null}}}`)
	f.Fuzz(func(t *testing.T, net, box string) {
		var n network
		var c container
		if json.Unmarshal([]byte(net), &n) != nil || json.Unmarshal([]byte(box), &c) != nil {
			return
		}
		h, err := n.held()
		if err != nil || h.add(n.ID, c, map[string]network{n.ID: n}) != nil {
			return
		}
		for _, p := range slices.Concat(h.Network.IPv4, h.Network.IPv6) {
			if !p.Subnet.IsValid() || p.Subnet != p.Subnet.Masked() {
				t.Errorf("pool %+v", p)
			}
		}
		for _, p := range h.Pools {
			if slices.ContainsFunc(p.Addresses, func(a netip.Addr) bool { return !a.IsValid() }) || p.Subnet == (netip.Prefix{}) {
				t.Errorf("holding %+v", p)
			}
		}
		for _, e := range h.Endpoints {
			if p, err := config.ParsePublish(e.Ports); err != nil && len(p.Bindings) > 0 {
				t.Errorf("ports %+v: %v", p, err)
			}
		}
	})
}
