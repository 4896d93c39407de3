package config

import (
	"fmt"
	"strings"
	"testing"
)

// TestUplinkContradicts: what has a meaning only where the host passes packets on is refused by name
// beside an uplink, and the host's address without one.
func TestUplinkContradicts(t *testing.T) {
	const uplink = `"gangway.uplink":"eth1"`
	for text, why := range map[string]string{
		`{"com.docker.network.generic":{` + uplink + `}}`:                                                                                                       "",
		`{"com.docker.network.generic":{` + uplink + `,"gangway.host_access":"true","com.docker.network.driver.mtu":"1400"}}`:                                   "",
		`{"com.docker.network.generic":{"gangway.uplink":""}}`:                                                                                                  "",
		`{"com.docker.network.internal":true,"com.docker.network.generic":{` + uplink + `}}`:                                                                    "leave --internal out",
		`{"com.docker.network.generic":{` + uplink + `,"com.docker.network.bridge.inhibit_ipv4":"true"}}`:                                                       "inhibit_ipv4 out",
		`{"com.docker.network.generic":{` + uplink + `,"com.docker.network.bridge.enable_icc":"false"}}`:                                                        "enable_icc=false out",
		`{"com.docker.network.generic":{` + uplink + `,"com.docker.network.bridge.gateway_mode_ipv4":"routed"}}`:                                                "gateway_mode_ipv4 out",
		`{"com.docker.network.enable_ipv6":true,"com.docker.network.generic":{` + uplink + `,"com.docker.network.bridge.gateway_mode_ipv6":"nat-unprotected"}}`: "gateway_mode_ipv6 out",
		`{"com.docker.network.generic":{` + uplink + `,"com.docker.network.host_ipv4":"192.0.2.1"}}`:                                                            "host_ipv4 out",
		`{"com.docker.network.generic":{` + uplink + `,"com.docker.network.bridge.trusted_host_interfaces":"eth0"}}`:                                            "trusted_host_interfaces out",
		`{"com.docker.network.generic":{` + uplink + `,"gangway.host_routes":"10.9.0.0/16 via 10.80.0.5"}}`:                                                     "without gangway.host_access=true",
		`{"com.docker.network.generic":{` + uplink + `,"com.docker.network.driver.mtu":"auto"}}`:                                                                "the LAN's MTU as a number",
		`{"com.docker.network.generic":{` + uplink + `,"gangway.uplink.move":"true"}}`:                                                                          "",
		`{"com.docker.network.generic":{"gangway.uplink.move":"true"}}`:                                                                                         "no gangway.uplink",
		`{"com.docker.network.generic":{` + uplink + `,"gangway.uplink.move":"true","gangway.host_access":"true"}}`:                                             "leave gangway.host_access out",
		`{"com.docker.network.generic":{"gangway.uplink":"eth1/2"}}`:                                                                                            "network option gangway.uplink",
		`{"com.docker.network.generic":{"gangway.uplink":"an-uplink-with-a-long-name"}}`:                                                                        "at most 15",
	} {
		_, err := ParseNetwork(decoded(t, text))
		if why == "" && err != nil || why != "" && (err == nil || !strings.Contains(err.Error(), why)) {
			t.Errorf("%s: %v, want %q", text, err, why)
		}
	}
}

// TestVLANOf: which names are those of a VLAN on a trunk.
func TestVLANOf(t *testing.T) {
	for name, want := range map[string]string{
		"eth1.30": "eth1 30", "eth1.1": "eth1 1", "eth1.4094": "eth1 4094", "br.0.7": "br.0 7",
		"eth1": " 0", "eth1.0": " 0", "eth1.4095": " 0", "eth1.030": " 0", "eth1.": " 0", ".30": " 0", "eth1.-3": " 0", "eth1.+3": " 0", "eth1.x": " 0", "": " 0",
	} {
		trunk, id := VLANOf(name)
		if got := fmt.Sprint(trunk, " ", id); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
