package config

import (
	"strings"
	"testing"
)

// TestRouteLists: routes are sorted and written in one way; what is none is refused by name.
func TestRouteLists(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "none": "none", "10.9.0.0/16 via 10.80.0.5": "10.9.0.0/16 via 10.80.0.5",
		" fd00:9::/64   via fd00:80::5 ,10.9.0.0/16 via 10.80.0.5": "10.9.0.0/16 via 10.80.0.5,fd00:9::/64 via fd00:80::5",
	} {
		got, err := routeList(text)
		if err != nil || got != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
		if again, err := routeList(got); err != nil || again != got {
			t.Errorf("%q, again: %q, %v", text, again, err)
		}
	}
	for text, why := range map[string]string{
		"10.9.0.0/16": "want SUBNET via ADDRESS", "10.9.0.0/16 by 10.80.0.5": "want SUBNET via ADDRESS", "10.9.0.0/16 via 10.80.0.5,": "want SUBNET via ADDRESS",
		"10.9.0.0 via 10.80.0.5": "which is no subnet", "10.9.0.0/16 via x": "which is no address", "fd00:9::/64 via fe80::1%eth0": "which is no address",
		"10.9.0.1/16 via 10.80.0.5": "an address within 10.9.0.0/16", "10.9.0.0/16 via fd00::5": "different families", "0.0.0.0/0 via 10.80.0.5": "DefaultGatewayIPv4",
		"::/0 via fd00::5": "a default route", "224.0.0.0/4 via 10.80.0.5": "no route leads", "127.0.0.0/8 via 10.80.0.5": "no route leads", "169.254.0.0/16 via 10.80.0.5": "no route leads",
		"10.9.0.0/16 via 10.80.0.5,10.9.0.0/16 via 10.80.0.6": "names 10.9.0.0/16 twice",
	} {
		if got, err := routeList(text); err == nil || got != "" || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %q, %v, want %s", text, got, err, why)
		}
	}
}

// TestRoutesContradict: routes of a family that there is not, and those of a host that is not on
// the network, are refused.
func TestRoutesContradict(t *testing.T) {
	for text, why := range map[string]string{
		`{"com.docker.network.generic":{"gangway.routes":"fd00:9::/64 via fd00:80::5"}}`:                                                                                                 "network option gangway.routes: fd00:9::/64 via fd00:80::5 is of a family that the network does not have",
		`{"com.docker.network.generic":{"gangway.host_routes":"fd00:9::/64 via fd00:80::5"}}`:                                                                                            "network option gangway.host_routes: fd00:9::/64 via fd00:80::5 is of a family",
		`{"com.docker.network.generic":{"gangway.host_routes":"10.9.0.0/16 via 10.80.0.5","com.docker.network.bridge.inhibit_ipv4":"true"}}`:                                             "the host has no address on the network",
		`{"com.docker.network.internal":true,"com.docker.network.generic":{"gangway.host_routes":"10.9.0.0/16 via 10.80.0.5","com.docker.network.bridge.gateway_mode_ipv4":"isolated"}}`: "the host has no address on the network",
	} {
		if _, err := ParseNetwork(decoded(t, text)); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %s", text, err, why)
		}
	}
}
