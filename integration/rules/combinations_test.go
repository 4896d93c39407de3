package rules

import "slices"

// web is a container with one published port.
const web = "-p 8000:80"

// matrix lists the combinations that matter. Rows that name the same golden
// file are such whose options make no difference there.
func matrix() []combination {
	return slices.Concat(translated(), addressed(), published(), policies(), modes(), mixed(), closed(), shared())
}

// translated are networks in gateway mode nat, by family, with what hides and
// what separates containers.
func translated() []combination {
	return []combination{
		{create: "--ipv6", run: web, rules: "nat", links: "dual"},
		{create: "--ipv6 -o gateway_mode_ipv4=nat -o gateway_mode_ipv6=nat", run: web, rules: "nat", links: "dual"},
		{create: "--ipv6 -o enable_ip_masquerade=true -o enable_icc=true", run: web, rules: "nat", links: "dual"},
		{create: "--ipv6 -o container_iface_prefix=lan", run: web, rules: "nat", links: "dual"},
		{create: "--ipv6 -o mtu=1400", run: web, rules: "nat", links: "mtu"},
		{create: "--ipv6", run: web, rules: "nat", links: "dual", bridged: true},
		{create: "--ipv6 -o inhibit_ipv4=true", run: web, rules: "nat", links: "inhibit-ipv4"},
		{create: "", run: web, rules: "nat-ipv4", links: "ipv4"},
		{create: "-o gateway_mode_ipv6=routed", run: web, rules: "nat-ipv4", links: "ipv4"},
		{create: "--ipv4=false --ipv6", run: web, rules: "nat-ipv6", links: "ipv6"},
		{create: "--ipv4=false --ipv6 -o gateway_mode_ipv4=routed", run: web, rules: "nat-ipv6", links: "ipv6"},
		{create: "--ipv4=false --ipv6 -o inhibit_ipv4=true", run: web, rules: "nat-ipv6", links: "ipv6"},

		{create: "--ipv6 -o enable_icc=false", run: web, rules: "no-icc", links: "dual-isolated-ports"},
		{create: "--ipv6 -o enable_icc=false", run: web, rules: "no-icc", links: "dual-isolated-ports", bridged: true},
		{create: "--ipv6 -o anti_spoofing=true", run: web, rules: "nat", links: "dual"},
		{create: "--ipv6 -o anti_spoofing=false", run: web, rules: "nat", links: "dual"},
		{create: "--ipv6 -o anti_spoofing=false -o enable_icc=false", run: web, rules: "no-icc", links: "dual-isolated-ports"},
		// What passes a pair, and routes, are no matter of rules.
		{create: "--ipv6 -o in=100mbit -o out=50mbit", run: web + " --driver-opt in=1mbit --driver-opt out=none --driver-opt promiscuous=true", rules: "nat", links: "dual"},
		{create: "--ipv6 -o routes=10.9.0.0/16+via+10.200.0.5 -o host_routes=10.9.0.0/16+via+10.200.0.5 -o no_default_route=true",
			run: web + " --driver-opt routes=none --driver-opt no_default_route=true", rules: "nat", links: "dual"},
		{create: "--ipv6 -o ipv6=prefix", run: web, rules: "prefix", links: "dual"},
		{create: "--ipv6 -o ipv6=prefix -o subnet=0", run: "-p 9000-9099:9000-9099/udp", rules: "prefix-range", links: "dual"},
		// The host has an address of the link's only subnet itself.
		{create: "--ipv6 -o ipv6=prefix -o prefix=uplink -o subnet=0", run: web, rules: "prefix-none", links: "dual"},
		{create: "--ipv6 -o ipv6=prefix -o prefix=wg0", run: web, rules: "prefix-none", links: "dual"},
		{create: "-o enable_icc=false", run: web, rules: "no-icc-ipv4", links: "ipv4-isolated-ports"},
		{create: "--ipv6 -o enable_ip_masquerade=false", run: web, rules: "no-masquerade", links: "dual"},
		{create: "-o enable_ip_masquerade=false", run: web, rules: "no-masquerade-ipv4", links: "ipv4"},
		{create: "--ipv4=false --ipv6 -o enable_ip_masquerade=false", run: web, rules: "no-masquerade-ipv6", links: "ipv6"},

		{create: "--ipv6 -o name=mine", run: web, rules: "named", links: "named"},
		{create: "--ipv6 -o name=mine", run: web, rules: "named", links: "adopted", adopted: true},
		{create: "-o name=mine -o inhibit_ipv4=true", run: web, rules: "named-ipv4", links: "adopted-inhibit-ipv4", adopted: true},
	}
}

// addressed are networks that name addresses or links of the host.
func addressed() []combination {
	return []combination{
		{create: "--ipv6 -o host_ipv4=192.0.2.1 -o host_ipv6=2001:db8::1", run: web, rules: "source", links: "dual"},
		{create: "--ipv6 -o host_ipv4=192.0.2.1", run: web, rules: "source-ipv4", links: "dual"},
		{create: "--ipv6 -o host_ipv4=192.0.2.1", run: "-p 53:53/udp", rules: "source-udp", links: "dual"},
		{create: "--ipv6 -o host_ipv6=2001:db8::1", run: web, rules: "source-ipv6", links: "dual"},

		{create: "--ipv6 -o host_binding_ipv4=0.0.0.0", run: web, rules: "nat", links: "dual"},
		{create: "--ipv6 -o host_binding_ipv6=::", run: web, rules: "nat", links: "dual"},
		{create: "--ipv6 -o host_binding_ipv4=127.0.0.1", run: web, rules: "port-loopback", links: "dual"},
		{create: "--ipv6 -o host_binding_ipv4=192.0.2.1", run: web, rules: "port-address-ipv4", links: "dual"},
		{create: "--ipv6 -o host_binding_ipv6=2001:db8::1", run: web, rules: "binding-ipv6", links: "dual"},
		{create: "--ipv6 -o host_binding_ipv4=127.0.0.1,192.0.2.1", run: web, rules: "bindings-ipv4", links: "dual"},
		{create: "--ipv6 -o host_binding_ipv4=192.0.2.1 -o host_binding_ipv6=2001:db8::1", run: web, rules: "port-addresses", links: "dual"},
		// The kernel translates nothing that is sent to ::1: a relay serves it.
		{create: "--ipv6 -o host_binding_ipv6=::1", run: web, rules: "port-any-ipv4", links: "dual"},
		{create: "-o host_binding_ipv6=2001:db8::1", run: web, rules: "nat-ipv4", links: "ipv4"},
		// What names its address asks for no other.
		{create: "--ipv6 -o host_binding_ipv4=127.0.0.1", run: "-p 192.0.2.1:8000:80", rules: "port-address-ipv4", links: "dual"},

		{create: "--ipv6 -o trusted_host_interfaces=wg0", run: web, rules: "trusted", links: "dual"},
		{create: "--ipv6 -o trusted_host_interfaces=wg0:uplink", run: web, rules: "trusted-two", links: "dual"},
		{create: "--ipv6 -o trusted_host_interfaces=wg0", run: "", rules: "no-port", links: "dual"},
		{create: "--ipv6 -o trusted_host_interfaces=wg0", run: "-p 127.0.0.1:8000:80", rules: "port-loopback", links: "dual"},
		{create: "--ipv6 -o trusted_host_interfaces=wg0", run: "-p 9000-9099:9000-9099/udp", rules: "trusted-range", links: "dual"},
	}
}

// published are ports of all kinds, in gateway mode nat.
func published() []combination {
	return []combination{
		{create: "--ipv6", run: "", rules: "no-port", links: "dual"},
		{create: "--ipv6", run: none, rules: "no-port", links: "dual-empty"},
		{create: "", run: "", rules: "no-port-ipv4", links: "ipv4"},
		{create: "", run: none, rules: "no-port-ipv4", links: "ipv4-empty"},
		{create: "--ipv4=false --ipv6", run: "", rules: "no-port-ipv6", links: "ipv6"},

		{create: "--ipv6", run: "-p 0.0.0.0:8000:80 -p [::]:8000:80", rules: "nat", links: "dual"},
		{create: "--ipv6", run: "-p 8000:80/tcp", rules: "nat", links: "dual"},
		{create: "--ipv6", run: "-p 0.0.0.0:8000:80", rules: "port-any-ipv4", links: "dual"},
		{create: "--ipv6", run: "-p [::]:8000:80", rules: "port-any-ipv6", links: "dual"},
		{create: "--ipv6", run: "-p 127.0.0.1:8000:80", rules: "port-loopback", links: "dual"},
		{create: "--ipv6", run: "-p 127.0.0.1:8000:80 -p [::1]:8000:80", rules: "port-loopback", links: "dual"},
		{create: "--ipv6", run: "-p [::1]:8000:80", rules: "no-port", links: "dual"},
		{create: "--ipv6", run: "-p 192.0.2.1:8000:80", rules: "port-address-ipv4", links: "dual"},
		{create: "--ipv6", run: "-p [2001:db8::1]:8000:80", rules: "port-address-ipv6", links: "dual"},
		{create: "--ipv6", run: "-p 192.0.2.1:8000:80 -p [2001:db8::1]:8000:80", rules: "port-addresses", links: "dual"},
		// What cannot be translated is relayed: no rule.
		{create: "", run: "-p 0.0.0.0:8000:80", rules: "nat-ipv4", links: "ipv4"},
		{create: "", run: "-p [2001:db8::1]:8000:80", rules: "no-port-ipv4", links: "ipv4"},
		{create: "--ipv4=false --ipv6", run: "-p 192.0.2.1:8000:80", rules: "no-port-ipv6", links: "ipv6"},

		{create: "", run: "-p 8000:80/udp", rules: "port-udp", links: "ipv4"},
		{create: "", run: "-p 8000:80/sctp", rules: "port-sctp", links: "ipv4"},
		{create: "", run: "-p 8000:8000", rules: "port-same", links: "ipv4"},
		{create: "", run: "-p 8000-8002:80-82", rules: "range-shifted", links: "ipv4"},
		{create: "", run: "-p 8000:80 -p 8001:81 -p 8002:82", rules: "range-shifted", links: "ipv4"},
		{create: "", run: "-p 8000-8002:8000-8002", rules: "range-short", links: "ipv4"},
		{create: "", run: "-p 9000-9099:9000-9099/udp", rules: "range-udp", links: "ipv4"},
		{create: "", run: "-p 9000-9049:9000-9049/udp -p 9050-9099:9050-9099/udp", rules: "range-udp", links: "ipv4"},
		{create: "", run: "-p 9000-9063:9000-9063/udp", rules: "range-udp-64", links: "ipv4"},
		{create: "", run: "-p 9000-9099:9000-9099", rules: "range-tcp", links: "ipv4"},
		{create: "", run: "-p 9000-9099:9000-9099/sctp", rules: "range-sctp", links: "ipv4"},
		{create: "", run: "-p 192.0.2.1:9000-9099:9000-9099/udp", rules: "range-udp-address", links: "ipv4"},
		{create: "--ipv4=false --ipv6", run: "-p 9000-9099:9000-9099/udp", rules: "range-udp-ipv6", links: "ipv6"},
		{create: "--ipv4=false --ipv6", run: "-p [2001:db8::1]:9000-9099:9000-9099/udp", rules: "range-udp-address-ipv6", links: "ipv6"},
	}
}

// policies are a table of their own, which package policed puts beside a backend: none of
// the backend's rules changes. What the table has is in the golden file of package nftables.
func policies() []combination {
	return []combination{
		{create: "--ipv6 -o egress=deny -o allow=192.0.2.9:443,registry.example:443 -o names=strict -o deny=metadata -o ingress=lan -o host=dns -o mode=enforce -o lock=true", run: web, rules: "nat", links: "dual"},
		{create: "--ipv6 -o policy=agents", run: web + " --driver-opt policy=agents", rules: "nat", links: "dual"},
		{create: "--ipv6 -o mode=audit", run: web + " --driver-opt egress=deny --driver-opt allow=192.0.2.9:443,registry.example:443 --driver-opt names=strict --driver-opt deny=metadata --driver-opt ingress=lan --driver-opt host=dns --driver-opt mode=enforce", rules: "nat", links: "dual"},
	}
}

// modes are the other gateway modes.
func modes() []combination {
	const routed = "--ipv6 -o gateway_mode_ipv4=routed -o gateway_mode_ipv6=routed"
	const unprotected = "--ipv6 -o gateway_mode_ipv4=nat-unprotected -o gateway_mode_ipv6=nat-unprotected"
	return []combination{
		{create: routed, run: web, rules: "routed", links: "dual-routed"},
		{create: routed + " -o enable_ip_masquerade=false", run: web, rules: "routed", links: "dual-routed"},
		{create: routed + " -o trusted_host_interfaces=wg0", run: web, rules: "routed", links: "dual-routed"},
		{create: routed + " -o host_binding_ipv4=192.0.2.1", run: web, rules: "routed", links: "dual-routed"},
		{create: routed + " -o ndp_proxy=card", run: web, rules: "routed", links: "dual-routed"},
		{create: routed, run: "-p 9000:80", rules: "routed", links: "dual-routed"},
		{create: routed, run: "", rules: "routed-no-port", links: "dual-routed"},
		{create: routed, run: "-p 127.0.0.1:8000:80 -p [::1]:8000:80", rules: "routed-no-port", links: "dual-routed"},
		{create: routed, run: "-p 0.0.0.0:8000:80", rules: "routed-port-ipv4", links: "dual-routed"},
		{create: routed, run: "-p 9000-9099:9000-9099/udp", rules: "routed-range", links: "dual-routed"},
		{create: routed + " -o enable_icc=false", run: web, rules: "routed-no-icc", links: "dual-routed-isolated-ports"},
		{create: "-o gateway_mode_ipv4=routed", run: web, rules: "routed-ipv4", links: "ipv4-routed"},
		{create: "-o gateway_mode_ipv4=routed", run: "-p 8000:80/sctp", rules: "routed-sctp", links: "ipv4-routed"},
		{create: "--ipv4=false --ipv6 -o gateway_mode_ipv6=routed", run: web, rules: "routed-ipv6", links: "ipv6"},

		{create: unprotected, run: web, rules: "unprotected", links: "dual"},
		{create: unprotected + " -o trusted_host_interfaces=wg0", run: web, rules: "unprotected", links: "dual"},
		{create: unprotected, run: "", rules: "unprotected-no-port", links: "dual"},
		{create: unprotected + " -o enable_icc=false", run: web, rules: "unprotected-no-icc", links: "dual-isolated-ports"},
		{create: unprotected + " -o enable_ip_masquerade=false", run: web, rules: "unprotected-no-masquerade", links: "dual"},
		{create: unprotected + " -o host_ipv4=192.0.2.1", run: web, rules: "unprotected-source-ipv4", links: "dual"},
		{create: "-o gateway_mode_ipv4=nat-unprotected", run: web, rules: "unprotected-ipv4", links: "ipv4"},
		{create: "--ipv4=false --ipv6 -o gateway_mode_ipv6=nat-unprotected", run: web, rules: "unprotected-ipv6", links: "ipv6"},
	}
}

// mixed have another mode in each family.
func mixed() []combination {
	mode := func(four, six string) string {
		return "--ipv6 -o gateway_mode_ipv4=" + four + " -o gateway_mode_ipv6=" + six
	}
	return []combination{
		{create: mode("nat", "routed"), run: web, rules: "nat-routed", links: "dual"},
		{create: mode("routed", "nat"), run: web, rules: "routed-nat", links: "dual-routed"},
		{create: mode("nat", "nat-unprotected"), run: web, rules: "nat-unprotected", links: "dual"},
		{create: mode("nat-unprotected", "nat"), run: web, rules: "unprotected-nat", links: "dual"},
		{create: mode("nat-unprotected", "routed"), run: web, rules: "unprotected-routed", links: "dual"},
		{create: mode("routed", "nat-unprotected"), run: web, rules: "routed-unprotected", links: "dual-routed"},
		{create: mode("nat", "routed") + " -o host_ipv4=192.0.2.1", run: web, rules: "source-routed", links: "dual"},
		{create: mode("nat", "routed") + " -o trusted_host_interfaces=wg0", run: web, rules: "trusted-routed", links: "dual"},
		{create: mode("nat", "routed") + " -o enable_ip_masquerade=false", run: web, rules: "no-masquerade-routed", links: "dual"},
	}
}

// closed are internal networks. Nothing that concerns the outside changes
// their rules, nor which families they have.
func closed() []combination {
	const isolated4, isolated6 = " -o gateway_mode_ipv4=isolated", " -o gateway_mode_ipv6=isolated"
	return []combination{
		{create: "--ipv6 -o uplink=card", rules: "lan", links: "lan"},
		{create: "--ipv6 -o uplink=card -o host_access=true", rules: "internal", links: "lan-host"},
		{create: "--ipv6 -o gateway=container:vpn", rules: "left-by-nobody", links: "dual"},
		{create: "--ipv6 -o gateway=10.200.0.2", rules: "left-by-container", links: "dual"},
		{create: "--ipv6 -o uplink=card -o move=true", rules: "lan-moved", links: "lan-moved"},
		{create: "--internal --ipv6", run: "", rules: "internal", links: "dual-internal"},
		{create: "--internal --ipv6", run: web, rules: "internal", links: "dual-internal"},
		{create: "--internal --ipv6", run: none, rules: "internal", links: "dual-internal-empty"},
		{create: "--internal --ipv6 -o enable_ip_masquerade=false", run: web, rules: "internal", links: "dual-internal"},
		{create: "--internal --ipv6 -o host_ipv4=192.0.2.1", run: web, rules: "internal", links: "dual-internal"},
		{create: "--internal --ipv6 -o host_binding_ipv4=127.0.0.1", run: web, rules: "internal", links: "dual-internal"},
		{create: "--internal", run: web, rules: "internal-ipv4", links: "ipv4-internal"},
		{create: "--internal --ipv4=false --ipv6", run: web, rules: "internal-ipv6", links: "ipv6-internal"},
		{create: "--internal --ipv6 -o inhibit_ipv4=true", run: web, rules: "internal", links: "ipv6-internal"},
		{create: "--internal --ipv6" + isolated4 + isolated6, run: web, rules: "internal", links: "isolated"},
		{create: "--internal --ipv6" + isolated4, run: web, rules: "internal", links: "ipv6-internal"},
		{create: "--internal --ipv6" + isolated6, run: web, rules: "internal", links: "ipv4-internal"},
		{create: "--internal" + isolated4, run: web, rules: "internal-ipv4", links: "isolated"},
		{create: "--internal --ipv6 -o enable_icc=false", run: web, rules: "internal-no-icc", links: "dual-internal-isolated-ports"},
		{create: "--internal --ipv6 -o enable_icc=false" + isolated4 + isolated6, run: web, rules: "internal-no-icc", links: "isolated-isolated-ports"},
	}
}

// shared are hosts with two networks.
func shared() []combination {
	return []combination{
		{create: " | ", run: "-p 8000:80 | ", rules: "two", links: "two"},
		{create: "--ipv6 | --ipv6", run: "-p 8000:80 | -p 8001:80", rules: "two-dual", links: "two-dual"},
		{create: " | --internal", run: "-p 8000:80 | ", rules: "two-internal", links: "two-translated-one"},
		{create: " | -o gateway_mode_ipv4=routed", run: "-p 8000:80 | -p 8001:80", rules: "two-routed", links: "two-translated-one"},
		{create: "--ipv6 | --ipv6", run: "-p 8000:80 | connect", rules: "two-connected", links: "two-dual"},
		{create: " | -o enable_icc=false", run: "-p 8000:80 | ", rules: "two-no-icc", links: "two-no-icc"},
	}
}
