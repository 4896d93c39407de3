package config

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

func defaultNetwork() Network {
	return Network{
		Masquerade: true, ICC: true, IPv4: true, GatewayMode4: NAT, GatewayMode6: NAT, IfacePrefix: "eth",
		HostBinding4: "0.0.0.0", HostBinding6: "::", Prefix: Prefix{From: Delegated, Subnet: LastSubnet},
	}
}

// decoded is a JSON object as the wire's decoder gives it.
func decoded(t testing.TB, text string) map[string]any {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return o
}

func options(t testing.TB, text string) EndpointOptions {
	t.Helper()
	var o EndpointOptions
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return o
}

func user(name, value string) map[string]any {
	return map[string]any{keyGeneric: map[string]any{name: value}}
}

func TestParseNetwork(t *testing.T) {
	for text, change := range map[string]func(*Network){
		`null`: func(*Network) {},
		`{}`:   func(*Network) {},
		`{"com.docker.network.generic":null,"com.docker.network.internal":null}`:                      func(*Network) {},
		`{"com.docker.network.enable_ipv6":false,"com.docker.network.generic":{}}`:                    func(*Network) {},
		`{"com.docker.network.internal":true,"com.docker.network.generic":{}}`:                        func(n *Network) { n.Internal = true },
		`{"com.docker.network.enable_ipv4":true,"com.docker.network.enable_ipv6":true}`:               func(n *Network) { n.IPv6 = true },
		`{"com.docker.network.enable_ipv4":false,"com.docker.network.enable_ipv6":true}`:              func(n *Network) { n.IPv4, n.IPv6 = false, true },
		`{"com.docker.network.from_a_newer_engine":{"x":1}}`:                                          func(*Network) {},
		`{"com.docker.network.generic":{"com.docker.network.bridge.name":"br-web_1.x"}}`:              func(n *Network) { n.Bridge = "br-web_1.x" },
		`{"com.docker.network.generic":{"com.docker.network.bridge.name":"fifteen-bytes-x"}}`:         func(n *Network) { n.Bridge = "fifteen-bytes-x" },
		`{"com.docker.network.generic":{"com.docker.network.driver.mtu":"68"}}`:                       func(n *Network) { n.MTU = 68 },
		`{"com.docker.network.generic":{"com.docker.network.driver.mtu":"65535"}}`:                    func(n *Network) { n.MTU = 65535 },
		`{"com.docker.network.generic":{"com.docker.network.bridge.enable_icc":"F"}}`:                 func(n *Network) { n.ICC = false },
		`{"com.docker.network.generic":{"gangway.anti_spoofing":"auto"}}`:                             func(*Network) {},
		`{"com.docker.network.generic":{"gangway.anti_spoofing":"true"}}`:                             func(n *Network) { n.AntiSpoofing = SpoofingRefused },
		`{"com.docker.network.generic":{"gangway.anti_spoofing":"0"}}`:                                func(n *Network) { n.AntiSpoofing = SpoofingAllowed },
		`{"com.docker.network.generic":{"com.docker.network.bridge.enable_ip_masquerade":"0"}}`:       func(n *Network) { n.Masquerade = false },
		`{"com.docker.network.generic":{"com.docker.network.bridge.host_binding_ipv4":"127.0.0.1"}}`:  func(n *Network) { n.HostBinding4 = "127.0.0.1" },
		`{"com.docker.network.generic":{"com.docker.network.container_iface_prefix":"lan"}}`:          func(n *Network) { n.IfacePrefix = "lan" },
		`{"com.docker.network.generic":{"com.docker.network.container_iface_prefix":"twelve-bytes"}}`: func(n *Network) { n.IfacePrefix = "twelve-bytes" },
		`{"com.docker.network.generic":{"com.docker.network.advertise_addr_nmsgs":"0","com.docker.network.advertise_addr_ms":"500"}}`: func(*Network) {
		},
		`{"com.docker.network.generic":{"com.docker.network.bridge.gateway_mode_ipv4":"routed","com.docker.network.bridge.gateway_mode_ipv6":"nat-unprotected"}}`: func(n *Network) {
			n.GatewayMode4, n.GatewayMode6 = Routed, NATUnprotected
		},
		`{"com.docker.network.internal":true,"com.docker.network.generic":{"com.docker.network.bridge.gateway_mode_ipv4":"isolated"}}`: func(n *Network) {
			n.Internal, n.GatewayMode4 = true, Isolated
		},
		`{"com.docker.network.generic":{"com.docker.network.bridge.inhibit_ipv4":"1"}}`:                        func(n *Network) { n.InhibitIPv4 = true },
		`{"com.docker.network.generic":{"gangway.host_binding_ipv6":"fd00::1"}}`:                               func(n *Network) { n.HostBinding6 = "fd00::1" },
		`{"com.docker.network.generic":{"com.docker.network.bridge.host_binding_ipv4":"192.0.2.9,127.0.0.1"}}`: func(n *Network) { n.HostBinding4 = "127.0.0.1,192.0.2.9" },
		`{"com.docker.network.generic":{"gangway.host_binding_ipv6":"fd00:0::2,::1,fd00::1"}}`:                 func(n *Network) { n.HostBinding6 = "::1,fd00::1,fd00::2" },
		`{"com.docker.network.generic":{"com.docker.network.bridge.trusted_host_interfaces":"wg0:eth1:wg0"}}`:  func(n *Network) { n.Trusted = "eth1:wg0" },
		`{"com.docker.network.generic":{"com.docker.network.host_ipv4":"1.2.3.4","com.docker.network.host_ipv6":"fd00::1"}}`: func(n *Network) {
			n.Host4, n.Host6 = netip.MustParseAddr("1.2.3.4"), netip.MustParseAddr("fd00::1")
		},
		`{"com.docker.network.enable_ipv6":true,"com.docker.network.generic":{"com.docker.network.driver.mtu":"1280"}}`: func(n *Network) { n.IPv6, n.MTU = true, 1280 },
	} {
		want := defaultNetwork()
		change(&want)
		got, err := ParseNetwork(decoded(t, text))
		if err != nil || !got.Equal(want) {
			t.Errorf("%s: got %s (%v), not what is wanted", text, differences(got, want), err)
		}
	}
}

func TestRefusedNetworkOptions(t *testing.T) {
	const prefix = "com.docker.network."
	for _, c := range []struct{ name, value, err string }{
		{"bridge.enable_iccc", "true", `unknown network option "com.docker.network.bridge.enable_iccc": did you mean com.docker.network.bridge.enable_icc? (gangway options lists them)`},
		{"driver.mtus", "1", "did you mean com.docker.network.driver.mtu?"},
		{"nothing.like.it", "1", "known are com.docker.network.bridge.name, com.docker.network.driver.mtu,"},
		{"bridge.gateway_mode_ipv4", "nat-unprotect", "is no gateway mode: want one of nat, nat-unprotected, routed, isolated"},
		{"bridge.gateway_mode_ipv6", "", "is no gateway mode"},
		{"bridge.gateway_mode_ipv4", "isolated", `com.docker.network.bridge.gateway_mode_ipv4: "isolated" is for internal networks: add --internal`},
		{"bridge.gateway_mode_ipv6", "isolated", "add --internal"},
		{"bridge.inhibit_ipv4", "", "is neither true nor false"},
		{"bridge.trusted_host_interfaces", "eth0:", "has an empty name"},
		{"bridge.trusted_host_interfaces", "eth0:a+", `names "a+", which contains "+"`},
		{"bridge.trusted_host_interfaces", "eth0,eth1", "contains"},
		{"bridge.default_bridge", "true", "is the engine's own mark"},
		{"gangway.host_binding_ipv6", "1.2.3.4", "is not an IPv6 address"},
		{"gangway.host_binding_ipv6", "fe80::1%eth0", "is not an IPv6 address"},
		{"gangway.host_binding_ipv6", "ff02::1", "is no address of one host"},
		{"bridge.host_binding_ipv4", "192.0.2.1,", "is not an IPv4 address of the host, or several"},
		{"bridge.host_binding_ipv4", "192.0.2.1, 192.0.2.2", "is not an IPv4 address"},
		{"bridge.host_binding_ipv4", "192.0.2.1,::1", "is not an IPv4 address"},
		{"bridge.host_binding_ipv4", "192.0.2.1,192.0.2.2,192.0.2.1", "names 192.0.2.1 twice"},
		{"bridge.host_binding_ipv4", "192.0.2.1,0.0.0.0", "names 0.0.0.0, which is every address of the host, beside others"},
		{"gangway.host_binding_ipv6", "fd00::1,fd00:0::1", "names fd00::1 twice"},
		{"gangway.host_binding_ipv6", "::,::1", "names ::, which is every address"},
		{"host_ipv4", "fd00::1", "is not an IPv4 address"},
		{"host_ipv4", "0.0.0.0", "is no address that other hosts can answer to"},
		{"host_ipv4", "1.2.3", "is not an IPv4 address"},
		{"host_ipv6", "::1", "is no address that other hosts can answer to"},
		{"host_ipv6", "::ffff:1.2.3.4", "is not an IPv6 address"},
		{"endpoint.sysctls", "net.ipv4.conf.IFNAME.log_martians=1", "sysctls is an option of one container: give it to docker run --network name=NETWORK,driver-opt=com.docker.network.endpoint.sysctls=VALUE"},
		{"bridge.anti_spoofing", "true", "network option com.docker.network.bridge.anti_spoofing is named gangway.anti_spoofing"},
		{"bridge.host_binding_ipv6", "::1", "network option com.docker.network.bridge.host_binding_ipv6 is named gangway.host_binding_ipv6"},
		{"anti_spoofing", "true", "did you mean gangway.anti_spoofing?"},
		{"gangway.enable_icc", "true", "did you mean com.docker.network.bridge.enable_icc?"},
		{"internal", "true", "use --internal"},
		{"enable_ipv6", "true", "use --ipv6"},
		{"enable_ipv4", "false", "use --ipv4"},
		{"mtu", "1400", "did you mean com.docker.network.driver.mtu?"},
		{"bridge.enable_ipv6", "true", "use --ipv6"},
		{"bridge.vlan", "7", "VLAN"},
		{"bridge.enable_icc", "yes", `com.docker.network.bridge.enable_icc: "yes" is neither true nor false`},
		{"bridge.enable_ip_masquerade", "", "is neither true nor false"},
		{"driver.mtu", "", "is not an MTU: want 68 to 65535"},
		{"driver.mtu", "67", "is not an MTU"},
		{"driver.mtu", "65536", "is not an MTU"},
		{"driver.mtu", "-1", "is not an MTU"},
		{"driver.mtu", "1500.0", "is not an MTU"},
		{"bridge.host_binding_ipv4", "", "is not an IPv4 address"},
		{"bridge.host_binding_ipv4", "::1", "is not an IPv4 address"},
		{"bridge.host_binding_ipv4", "::ffff:127.0.0.1", "is not an IPv4 address"},
		{"bridge.host_binding_ipv4", "10.0.0.1/8", "is not an IPv4 address"},
		{"bridge.host_binding_ipv4", "224.0.0.1", "is no address of one host"},
		{"bridge.host_binding_ipv4", "255.255.255.255", "is no address of one host"},
	} {
		if !strings.HasPrefix(c.name, "gangway.") {
			c.name = prefix + c.name
		}
		_, err := ParseNetwork(user(c.name, c.value))
		wantErr(t, err, c.err)
	}
}

// TestRefusedInterfaceNames: what the kernel or its tools would not take for the
// name of a link, or take for something else.
func TestRefusedInterfaceNames(t *testing.T) {
	const prefix = "com.docker.network."
	for _, c := range []struct{ name, value, err string }{
		{"bridge.name", "sixteen-bytes-xx", "has 16 bytes: the kernel takes at most 15"},
		{"bridge.name", ".", "is not an interface name"},
		{"bridge.name", "..", "is not an interface name"},
		{"bridge.name", "all", "settings of other interfaces"},
		{"bridge.name", "default", "settings of other interfaces"},
		{"bridge.name", "-x", "starts with '-'"},
		{"container_iface_prefix", "", "has 0 bytes"},
		{"container_iface_prefix", "thirteen-byte", "has 13 bytes: want 1 to 12"},
		{"container_iface_prefix", "a b", `contains " "`},
	} {
		_, err := ParseNetwork(user(prefix+c.name, c.value))
		wantErr(t, err, c.err)
	}
	for _, bad := range "/:+*%!\"'`\\ \t\n\x00\x7f$&;|<>()[]{}#@=,é" {
		_, err := ParseNetwork(user(prefix+"bridge.name", "a"+string(bad)))
		wantErr(t, err, prefix+"bridge.name", "contains")
	}
}

// Options that are right by themselves and contradict each other.
func TestContradictions(t *testing.T) {
	const prefix = "com.docker.network."
	for _, c := range []struct {
		internal bool
		options  map[string]any
		err      string
	}{
		{true, map[string]any{"bridge.gateway_mode_ipv4": "routed"}, "opens a network that --internal closes"},
		{true, map[string]any{"bridge.gateway_mode_ipv6": "nat-unprotected"}, "opens a network that --internal closes"},
		{true, map[string]any{"bridge.trusted_host_interfaces": "eth0"}, "no interface reaches a network that --internal closes"},
		{false, map[string]any{"host_ipv4": "1.2.3.4", "bridge.enable_ip_masquerade": "false"}, "enable_ip_masquerade=false"},
		{false, map[string]any{"host_ipv6": "fd00::1", "bridge.gateway_mode_ipv6": "routed"}, "in gateway mode routed"},
	} {
		options := map[string]any{}
		for name, v := range c.options {
			options[prefix+name] = v
		}
		_, err := ParseNetwork(map[string]any{keyGeneric: options, keyInternal: c.internal})
		wantErr(t, err, c.err)
	}
	// One family's mode does not speak for the other's.
	_, err := ParseNetwork(map[string]any{keyGeneric: map[string]any{prefix + "host_ipv4": "1.2.3.4", prefix + "bridge.gateway_mode_ipv6": "routed"}})
	if err != nil {
		t.Error(err)
	}
}

// TestUnguarded: a host that cannot filter refuses what was asked for, and
// nothing that was not.
func TestUnguarded(t *testing.T) {
	for _, c := range []struct {
		network Network
		part    string
	}{
		{Network{ICC: true}, ""},
		{Network{ICC: true, AntiSpoofing: SpoofingAllowed}, ""},
		{Network{ICC: true, AntiSpoofing: SpoofingRefused}, "anti_spoofing: this host cannot filter what containers send: no cls_bpf; load"},
		{Network{}, "enable_icc: this host cannot filter what containers send each other: no cls_bpf; load"},
	} {
		err := c.network.Unguarded("no cls_bpf")
		if c.part != "" || err != nil {
			wantErr(t, err, c.part)
		}
	}
}

func TestTrustedInterfaces(t *testing.T) {
	if got := (Network{Trusted: "a:b"}).TrustedInterfaces(); !reflect.DeepEqual(got, []string{"a", "b"}) {
		t.Errorf("trusted: %q", got)
	}
}

func TestMalformedNetworkOptions(t *testing.T) {
	for text, part := range map[string]string{
		`{"com.docker.network.internal":"true"}`:                                                                        "com.docker.network.internal: a string instead of true or false",
		`{"com.docker.network.enable_ipv6":1}`:                                                                          "a number instead of true or false",
		`{"com.docker.network.enable_ipv4":[]}`:                                                                         "a list instead of true or false",
		`{"com.docker.network.generic":"x"}`:                                                                            "com.docker.network.generic: a string instead of an object",
		`{"com.docker.network.generic":[]}`:                                                                             "a list instead of an object",
		`{"com.docker.network.generic":{"com.docker.network.driver.mtu":1400}}`:                                         "com.docker.network.driver.mtu: a number instead of a string",
		`{"com.docker.network.generic":{"com.docker.network.bridge.enable_icc":true}}`:                                  "a boolean instead of a string",
		`{"com.docker.network.generic":{"com.docker.network.bridge.name":null}}`:                                        "null instead of a string",
		`{"com.docker.network.generic":{"com.docker.network.bridge.name":{}}}`:                                          "an object instead of a string",
		`{"com.docker.network.enable_ipv4":false,"com.docker.network.enable_ipv6":false}`:                               "neither IPv4 nor IPv6",
		`{"com.docker.network.enable_ipv4":false}`:                                                                      "neither IPv4 nor IPv6",
		`{"com.docker.network.enable_ipv6":true,"com.docker.network.generic":{"com.docker.network.driver.mtu":"1279"}}`: `com.docker.network.driver.mtu: "1279" is too small with IPv6, which needs 1280`,
	} {
		_, err := ParseNetwork(decoded(t, text))
		if err == nil {
			t.Errorf("%s is accepted", text)
			continue
		}
		wantErr(t, err, part)
	}
}

// differences are the fields in which networks differ, besides the text.
func differences(a, b Network) (all []string) {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range x.NumField() {
		if f := x.Type().Field(i); f.IsExported() && !x.Field(i).Equal(y.Field(i)) {
			all = append(all, fmt.Sprintf("%s %v instead of %v", f.Name, x.Field(i), y.Field(i)))
		}
	}
	return all
}

// TestNetworkOptionsTable keeps the table and the parser in step: each row is
// accepted, its default is what holds without it, and it sets its own field.
func TestNetworkOptionsTable(t *testing.T) {
	other := map[string]string{
		"com.docker.network.bridge.name":                 "br0",
		"com.docker.network.driver.mtu":                  "auto",
		"com.docker.network.bridge.enable_ip_masquerade": "false",
		"com.docker.network.bridge.enable_icc":           "false",
		"com.docker.network.bridge.host_binding_ipv4":    "127.0.0.1",
		"com.docker.network.container_iface_prefix":      "net",

		"gangway.host_binding_ipv6":                         "::1",
		"gangway.anti_spoofing":                             "false",
		"com.docker.network.bridge.gateway_mode_ipv4":       "routed",
		"com.docker.network.bridge.gateway_mode_ipv6":       "nat-unprotected",
		"com.docker.network.bridge.inhibit_ipv4":            "true",
		"com.docker.network.bridge.trusted_host_interfaces": "eth0",
		"com.docker.network.host_ipv4":                      "1.2.3.4",
		"com.docker.network.host_ipv6":                      "fd00::1",

		"gangway.egress": "deny", "gangway.egress.allow": "1.2.3.4", "gangway.egress.deny": "metadata", "gangway.egress.names": "strict",
		"gangway.ingress": "lan", "gangway.host": "dns", "gangway.policy": "agents", "gangway.mode": "audit", "gangway.lock": "true",
		"gangway.rate.in": "100mbit", "gangway.rate.out": "1gbit/1mb",
		"gangway.routes": "10.9.0.0/16 via 10.80.0.5", "gangway.host_routes": "10.9.0.0/16 via 10.80.0.5", "gangway.no_default_route": "true",
		"gangway.uplink": "eth1", "gangway.host_access": "true", "gangway.uplink.move": "true", "gangway.gateway": "container:vpn",
		"gangway.ndp_proxy": "eth0", "gangway.ipv6": "prefix", "gangway.ipv6.prefix": "eth0", "gangway.ipv6.subnet": "0x5",
	}
	table := NetworkOptionsTable()
	for _, row := range table {
		if other[row.Name] == "" {
			t.Errorf("%s has no example: add a value to other that is not its default", row.Name)
		}
	}
	// Internal, IPv4 and IPv6 are the engine's; one holds the text. Eight rows are of one
	// field, Policy, and three of Prefix.
	if n := reflect.TypeFor[Network]().NumField(); len(table)-7-2+4 != n {
		t.Errorf("%d rows for %d fields", len(table), n)
	}
	for _, row := range table {
		for _, choice := range row.Choices {
			n := defaultNetwork()
			if err := row.network(&n, choice); err != nil || !strings.Contains(row.Values, choice) {
				t.Errorf("%s=%s is offered, with values %q: %v", row.Name, choice, row.Values, err)
			}
		}
		got, err := ParseNetwork(user(row.Name, row.Default))
		if err != nil || !got.Equal(defaultNetwork()) {
			t.Errorf("%s with its default: %+v (%v)", row.Name, got, err)
		}
		given := map[string]any{row.Name: other[row.Name]}
		if row.Name == optionMove { // it is about another one
			given[optionUplink] = "eth1"
		}
		options, fields := map[string]any{keyGeneric: given}, len(given)
		switch {
		case row.Name == optionNDPProxy: // it needs IPv6 that is routed
			options[keyEnableIPv6], given["com.docker.network.bridge.gateway_mode_ipv6"], fields = true, "routed", 3
		case strings.HasPrefix(row.Name, optionIPv6): // they are of one field, and need another
			given[optionIPv6], options[keyEnableIPv6], fields = followPrefix, true, 2
		}
		got, err = ParseNetwork(options)
		if d := differences(got, defaultNetwork()); err != nil || len(d) != fields {
			t.Errorf("%v changes %v (%v), want one field for each", given, d, err)
		}
	}
}

// corpus adds recorded options, and some that are wrong, to a fuzz test.
func corpus(f *testing.F, verbs ...string) {
	f.Helper()
	for _, r := range recorded(f, verbs...) {
		f.Add(r.text)
	}
	for _, text := range []string{
		`null`, `{}`, `{"com.docker.network.generic":{"x":1}}`, `{"com.docker.network.portmap":[{"Proto":6,"Port":1e300}]}`,
		`{"com.docker.network.generic":{"com.docker.network.driver.mtu":"9"}}`, `{"xx":"yy"}`,
		`{"com.docker.network.generic":{"com.docker.network.bridge.host_binding_ipv4":"192.0.2.1,192.0.2.2","gangway.host_binding_ipv6":"fd00::1,::1"}}`,
	} {
		f.Add(text)
	}
}

func soundNames(n Network) bool {
	return len(n.Bridge) <= 15 && n.IfacePrefix != "" && len(n.IfacePrefix) <= 12 &&
		!strings.ContainsAny(n.Bridge+n.IfacePrefix, "/:+*%!\"'`\\ \t\r\n\x00")
}

func soundMTU(n Network) bool {
	return n.MTU == 0 || n.MTU >= 68 && n.MTU <= 65535 && (!n.IPv6 || n.MTU >= 1280)
}

// soundBindings says whether the lists are what HostBindings gives: sorted, each
// once, of one family.
func soundBindings(n Network) bool {
	for six, list := range map[bool]string{false: n.HostBinding4, true: n.HostBinding6} {
		addrs := n.HostBindings(six)
		var texts []string
		for i, a := range addrs {
			if a.Is6() != six || i > 0 && !addrs[i-1].Less(a) {
				return false
			}
			texts = append(texts, a.String())
		}
		if every := list == "0.0.0.0" || list == "::"; every != (len(addrs) == 0) || !every && strings.Join(texts, ",") != list {
			return false
		}
	}
	return true
}

func FuzzParseNetwork(f *testing.F) {
	corpus(f, "CreateNetwork", "GwAllocCheck")
	f.Fuzz(func(t *testing.T, text string) {
		var o map[string]any
		if json.Unmarshal([]byte(text), &o) != nil {
			return
		}
		n, err := ParseNetwork(o)
		if err != nil {
			if n != (Network{}) {
				t.Errorf("%s: %+v beside an error", text, n)
			}
			return
		}
		if !soundNames(n) || !soundMTU(n) || !soundBindings(n) || !n.IPv4 && !n.IPv6 {
			t.Errorf("%s: %+v is accepted", text, n)
		}
		if again, err := ParseNetwork(o); err != nil || again != n {
			t.Errorf("%s: the second time gives %+v (%v)", text, again, err)
		}
		wantStored(t, n)
	})
}
