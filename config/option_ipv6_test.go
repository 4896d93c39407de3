package config

import (
	"strings"
	"testing"
)

// TestPrefixContradicts: what says otherwise where packets take their source from is refused by
// name, and so is what says more about a prefix that nobody asked for.
func TestPrefixContradicts(t *testing.T) {
	const prefix = `"gangway.ipv6":"prefix"`
	six := func(options string) string {
		return `{"com.docker.network.enable_ipv6":true,"com.docker.network.generic":{` + options + `}}`
	}
	for text, why := range map[string]string{
		six(prefix): "",
		six(prefix + `,"gangway.ipv6.prefix":"eth0","gangway.ipv6.subnet":"0x10"`): "",
		six(`"gangway.ipv6":""`): "",
		six(prefix + `,"com.docker.network.bridge.gateway_mode_ipv4":"routed"`):          "",
		six(prefix + `,"com.docker.network.bridge.trusted_host_interfaces":"eth1"`):      "",
		`{"com.docker.network.generic":{` + prefix + `}}`:                                "add --ipv6",
		six(prefix + `},"com.docker.network.internal":true,"x":{`):                       "leave --internal out",
		six(prefix + `,"gangway.uplink":"eth1"`):                                         "leave gangway.uplink out",
		six(prefix + `,"gangway.gateway":"container:vpn"`):                               "leave gangway.gateway out",
		six(prefix + `,"com.docker.network.bridge.gateway_mode_ipv6":"routed"`):          "gateway_mode_ipv6 out",
		six(prefix + `,"com.docker.network.bridge.gateway_mode_ipv6":"nat-unprotected"`): "gateway_mode_ipv6 out",
		six(prefix + `,"com.docker.network.host_ipv6":"2001:db8::1"`):                    "host_ipv6 out",
		six(prefix + `,"com.docker.network.bridge.enable_ip_masquerade":"false"`):        "enable_ip_masquerade=false out",
		six(`"gangway.ipv6":"routed"`):                                                   "want prefix",
		six(`"gangway.ipv6.prefix":"eth0"`):                                              "there is no gangway.ipv6=prefix",
		six(`"gangway.ipv6.subnet":"0"`):                                                 "there is no gangway.ipv6=prefix",
		six(prefix + `,"gangway.ipv6.subnet":"-1"`):                                      "is no subnet",
		six(prefix + `,"gangway.ipv6.subnet":"4294967296"`):                              "is no subnet",
		six(prefix + `,"gangway.ipv6.subnet":""`):                                        "is no subnet",
		six(prefix + `,"gangway.ipv6.prefix":""`):                                        "names nothing",
		six(prefix + `,"gangway.ipv6.prefix":"2001:db8::/56"`):                           "contains",
		six(prefix + `,"gangway.ipv6.prefix":"eth/0"`):                                   "contains",
	} {
		_, err := ParseNetwork(decoded(t, text))
		if why == "" && err != nil || why != "" && (err == nil || !strings.Contains(err.Error(), why)) {
			t.Errorf("%s: %v, want %q", text, err, why)
		}
	}
}
