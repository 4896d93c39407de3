package config

import (
	"net/netip"
	"strings"
	"testing"
)

// TestGatewayContradicts: what would lead outside beside the gateway, or keep it from carrying anything, is refused by
// name.
func TestGatewayContradicts(t *testing.T) {
	for options, why := range map[string]string{
		`"gangway.gateway":"container:vpn"`: "",
		`"gangway.gateway":"10.80.0.5"`:     "",
		`"gangway.gateway":""`:              "",
		`"gangway.gateway":"container:vpn","gangway.egress":"deny","gangway.egress.allow":"192.0.2.0/24:443"`: "",
		`"gangway.gateway":"container:vpn","gangway.host":"none"`:                                             "",
		`"gangway.gateway":"container:vpn","gangway.host":"8080/tcp"`:                                         "",
		`"gangway.gateway":"vpn"`:                                                                               "neither container:NAME",
		`"gangway.gateway":"container:"`:                                                                        "no name of a container",
		`"gangway.gateway":"container:a b"`:                                                                     "no name of a container",
		`"gangway.gateway":"fe80::1"`:                                                                           "neither container:NAME",
		`"gangway.gateway":"container:vpn","gangway.uplink":"eth1"`:                                             "leave gangway.uplink out",
		`"gangway.gateway":"container:vpn","gangway.no_default_route":"true"`:                                   "leave gangway.no_default_route out",
		`"gangway.gateway":"container:vpn","com.docker.network.bridge.inhibit_ipv4":"true"`:                     "inhibit_ipv4 out",
		`"gangway.gateway":"container:vpn","com.docker.network.bridge.enable_icc":"false"`:                      "enable_icc=false out",
		`"gangway.gateway":"container:vpn","gangway.anti_spoofing":"false"`:                                     "anti_spoofing=false out",
		`"gangway.gateway":"container:vpn","com.docker.network.bridge.gateway_mode_ipv4":"routed"`:              "gateway_mode_ipv4 out",
		`"gangway.gateway":"container:vpn","com.docker.network.bridge.gateway_mode_ipv4":"nat-unprotected"`:     "gateway_mode_ipv4 out",
		`"gangway.gateway":"container:vpn","com.docker.network.bridge.trusted_host_interfaces":"eth0"`:          "trusted_host_interfaces out",
		`"gangway.gateway":"container:vpn","gangway.host":"any"`:                                                "names would be asked for by the host",
		`"gangway.gateway":"container:vpn","gangway.host":"dns"`:                                                "names would be asked for by the host",
		`"gangway.gateway":"container:vpn","gangway.host":"50-60/udp"`:                                          "names would be asked for by the host",
		`"gangway.gateway":"container:vpn","gangway.egress":"deny","gangway.egress.allow":"registry.example"`:   "names would be asked for by the host",
		`"gangway.gateway":"container:vpn","gangway.egress":"deny","gangway.egress.allow":"internet,dns"`:       "names would be asked for by the host",
		`"gangway.gateway":"container:vpn","gangway.egress":"deny","gangway.egress.allow":"internet,host"`:      "names would be asked for by the host",
		`"gangway.gateway":"container:vpn","gangway.egress":"deny","gangway.egress.allow":"internet,host:8080"`: "",
	} {
		_, err := ParseNetwork(decoded(t, `{"com.docker.network.generic":{`+options+`}}`))
		if why == "" && err != nil || why != "" && (err == nil || !strings.Contains(err.Error(), why)) {
			t.Errorf("%s: %v, want %q", options, err, why)
		}
	}
	_, err := ParseNetwork(decoded(t, `{"com.docker.network.internal":true,"com.docker.network.generic":{"gangway.gateway":"10.80.0.5"}}`))
	if err == nil || !strings.Contains(err.Error(), "leave --internal out") {
		t.Errorf("internal: %v", err)
	}
	n, err := ParseNetwork(decoded(t, `{"com.docker.network.generic":{"gangway.gateway":"10.80.0.5"}}`))
	if err != nil || n.Unguarded("no module") == nil {
		t.Errorf("a host that cannot filter: %v", err)
	}
}

func TestParseGateway(t *testing.T) {
	if name, a := ParseGateway("container:vpn"); name != "vpn" || a.IsValid() {
		t.Error(name, a)
	}
	if name, a := ParseGateway("fd00:80::5"); name != "" || a != netip.MustParseAddr("fd00:80::5") {
		t.Error(name, a)
	}
}

// TestBehind: what counts for a container that leaves by another one has nothing by which the host asks for names.
func TestBehind(t *testing.T) {
	for _, c := range []struct{ was, want Policy }{
		{Policy{}, Policy{Host: None}},
		{Policy{Host: Any}, Policy{Host: None}},
		{Policy{Host: HostDNS}, Policy{Host: None}},
		{Policy{Host: "80,853/tcp"}, Policy{Host: None}},
		{Policy{Host: "80/tcp"}, Policy{Host: "80/tcp"}},
		{Policy{Host: "80/tcp", Mode: ModeAudit}, Policy{Host: "80/tcp", Mode: ModeEnforce}},
		{Policy{Egress: EgressDeny, Allow: "a.example:80,dns,192.0.2.1:53"}, Policy{Egress: EgressDeny, Allow: "192.0.2.1:53", Host: None}},
		{Policy{Egress: EgressDeny, Allow: "*.example"}, Policy{Egress: EgressDeny, Allow: None, Host: None}},
		{Policy{Egress: EgressDeny, Allow: "host"}, Policy{Egress: EgressDeny, Allow: None, Host: None}},
	} {
		if got := c.was.Behind(); got != c.want || got.Behind() != got {
			t.Errorf("%+v\nis   %+v\nwant %+v", c.was, got, c.want)
		}
	}
}
