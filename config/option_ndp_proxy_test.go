package config

import (
	"strings"
	"testing"
)

// TestNDPProxyContradicts: a network whose containers nobody outside asks for, or that answer themselves, is refused
// with what contradicts.
func TestNDPProxyContradicts(t *testing.T) {
	const proxy, routed = `"gangway.ndp_proxy":"eth0"`, `"com.docker.network.bridge.gateway_mode_ipv6":"routed"`
	six := func(options ...string) string {
		return `{"com.docker.network.enable_ipv6":true,"com.docker.network.generic":{` + strings.Join(options, ",") + `}}`
	}
	for text, why := range map[string]string{
		six(proxy, routed): "",
		six(proxy, routed, `"com.docker.network.bridge.name":"br0"`):                  "",
		six(proxy, routed, `"com.docker.network.bridge.gateway_mode_ipv4":"routed"`):  "",
		six(proxy, routed, `"com.docker.network.bridge.enable_icc":"false"`):          "",
		six(`"gangway.ndp_proxy":""`):                                                 "",
		six(proxy):                                                                    "IPv6 is nat: add com.docker.network.bridge.gateway_mode_ipv6=routed",
		six(proxy, `"com.docker.network.bridge.gateway_mode_ipv6":"nat-unprotected"`): "IPv6 is nat-unprotected",
		`{"com.docker.network.generic":{` + proxy + `}}`:                              "add --ipv6",
		six(proxy, `"gangway.uplink":"eth1"`):                                         "on the LAN of gangway.uplink",
		six(proxy, `"gangway.gateway":"container:vpn"`):                               "leave by gangway.gateway",
		six(proxy, routed, `"com.docker.network.bridge.name":"eth0"`):                 "on that bridge (com.docker.network.bridge.name)",
		`{"com.docker.network.internal":true,"com.docker.network.enable_ipv6":true,"com.docker.network.generic":{` + proxy + `}}`: "an --internal network",
		six(proxy, `"gangway.ipv6":"prefix"`, `"gangway.ipv6.prefix":"eth0"`):                                                     "",
		six(proxy, `"gangway.ipv6":"prefix"`):                                                                                     "gangway.ipv6.prefix is delegated: add gangway.ipv6.prefix=eth0",
		six(proxy, `"gangway.ipv6":"prefix"`, `"gangway.ipv6.prefix":"eth1"`):                                                     "gangway.ipv6.prefix is eth1",
		six(proxy, routed, `"gangway.ipv6":"prefix"`, `"gangway.ipv6.prefix":"eth0"`):                                             "leave com.docker.network.bridge.gateway_mode_ipv6 out",
		six(routed, `"gangway.ndp_proxy":"eth0/2"`):                                                                               "network option gangway.ndp_proxy",
		six(routed, `"gangway.ndp_proxy":"an-uplink-with-a-long-name"`):                                                           "at most 15",
		six(routed, `"gangway.ndp_prox":"eth0"`):                                                                                  "gangway.ndp_proxy",
	} {
		n, err := ParseNetwork(decoded(t, text))
		if why == "" && err != nil || why != "" && (err == nil || !strings.Contains(err.Error(), why)) {
			t.Errorf("%s: %v, want %q", text, err, why)
		}
		if err == nil && strings.Contains(text, proxy) != (n.NDPProxy == "eth0") {
			t.Errorf("%s: link %q", text, n.NDPProxy)
		}
	}
}
