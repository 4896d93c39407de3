package config

import (
	"strings"
	"testing"
)

// TestForeignOptions: options from elsewhere are told what to do instead, unless
// they ask for what the network is anyhow.
func TestForeignOptions(t *testing.T) {
	for _, c := range []struct{ name, value, err string }{
		{"parent", "eth0", "network option parent is of the drivers macvlan and ipvlan"},
		{"Parent", "", "com.docker.network.bridge.name"},
		{"macvlan_mode", "bridge", "is of the drivers macvlan"},
		{"ipvlan_mode", "l2", "is of the drivers macvlan"},
		{"vlan", "10", "is no option: to put a network into a VLAN"},
		{"isolate", "true", "are always closed to each other"},
		{"isolate", "false", "are always closed to each other"},
		{"internal", "true", "use --internal"},
		{"internal", "", "use --internal"},
		{"ipv6", "true", "use --ipv6"},
		{"encrypted", "", "nothing on them is encrypted"},
		{"encryption", "true", "nothing on them is encrypted"},
		{"encryption", "no", "nothing on them is encrypted"},
		{"com.docker.network.bridge.default_bridge", "true", "is the engine's own mark"},
		{"com.docker.network.internal", "true", "use --internal"},
		{"com.docker.network.enable_ipv4", "false", "use --ipv4"},
	} {
		_, err := ParseNetwork(user(c.name, c.value))
		wantErr(t, err, c.err)
		_, internal := ParseNetwork(map[string]any{keyInternal: true, keyEnableIPv6: true, keyGeneric: map[string]any{c.name: c.value}})
		if idle := c.value == "true" && strings.HasSuffix(c.err, "use --internal") || c.value == "true" && c.err == "use --ipv6"; (internal == nil) != idle {
			t.Errorf("%s=%s on an internal network with IPv6: %v", c.name, c.value, internal)
		}
	}
	// As Pterodactyl's Wings sends them, and others that write all they know.
	for name, value := range map[string]string{
		"encryption": "false", "encrypted": "0", "com.docker.network.bridge.default_bridge": "false",
		"internal": "false", "com.docker.network.internal": "False", "ipv6": "f",
		"com.docker.network.enable_ipv6": "false", "com.docker.network.enable_ipv4": "true",
	} {
		if got, err := ParseNetwork(user(name, value)); err != nil || got != defaultNetwork() {
			t.Errorf("%s=%s: %+v (%v)", name, value, got, err)
		}
	}
	_, err := ParseNetwork(map[string]any{keyGeneric: map[string]any{"encryption": false}})
	wantErr(t, err, "encrypted")
}
