package iptables

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// The chains of what gets another source.
var (
	snatChain    = chain{"nat", "GANGWAY-SNAT"}
	hairpinChain = chain{"nat", "GANGWAY-HAIRPIN"}
	keepChain    = chain{"nat", "GANGWAY-KEEP"}
	leaveChain   = chain{"nat", "GANGWAY-LEAVE"}
	restChain    = chain{"nat", "GANGWAY-REST"}
	portsChain   = chain{"nat", "GANGWAY-PORTS"}
)

// sourceShared are the rules that lead to those about source addresses. What a
// container publishes as it is keeps its port; all else gets one that nobody can choose.
func sourceShared(f form) rules {
	r := rules{
		snatChain: {
			toBridge + " -g " + hairpinChain.name,
			"-p udp -j " + keepChain.name,
			"-j " + leaveChain.name,
			"-j " + restChain.name,
		},
		hairpinChain: nil, keepChain: nil, leaveChain: nil, restChain: nil,
	}
	if !f.six {
		r[hairpinChain] = []string{"-s 127.0.0.0/8 -j MASQUERADE"}
	}
	for _, p := range []spec.Protocol{spec.TCP, spec.UDP, spec.SCTP} {
		r[portsChain] = append(r[portsChain], fmt.Sprintf("-p %s -j MASQUERADE --to-ports %s --random-fully", p, allHigh))
	}
	r[portsChain] = append(r[portsChain], "-j MASQUERADE")
	return r
}

func sourceElements(set firewall.Ruleset, six bool) rules {
	r := rules{}
	for _, n := range set.Networks {
		for _, p := range ofFamily(n.Masquerade, six) {
			leaveRules(r, n, p)
		}
		for _, p := range ofFamily(n.Hairpin, six) {
			r[hairpinChain] = append(r[hairpinChain], "-s "+p.String()+" -o "+n.Bridge+" "+translated+tag(n)+" -j MASQUERADE")
		}
	}
	for _, d := range set.Direct {
		if d.Addr.Is6() == six {
			r[hairpinChain] = append(r[hairpinChain], directRule(d))
		}
	}
	for _, k := range set.Keep {
		if k.Addr.Is6() == six {
			r[keepChain] = append(r[keepChain], keepRule(k))
		}
	}
	return r
}

// leaveRules give what leaves a subnet the host's address, with a high port where there
// are ports, or the address that the network names.
func leaveRules(r rules, n firewall.Network, subnet netip.Prefix) {
	from := "-s " + subnet.String()
	for _, a := range n.Source {
		if a.Is6() != subnet.Addr().Is6() {
			continue
		}
		for _, p := range []spec.Protocol{spec.TCP, spec.UDP, spec.SCTP} {
			to := strings.TrimSuffix(netip.AddrPortFrom(a, 0).String(), "0") + allHigh
			r[leaveChain] = append(r[leaveChain], fmt.Sprintf("%s -p %s%s -j SNAT --to-source %s --random-fully", from, p, tag(n), to))
		}
		r[restChain] = append(r[restChain], from+tag(n)+" -j SNAT --to-source "+a.String())
		return
	}
	r[leaveChain] = append(r[leaveChain], from+tag(n)+" -j "+portsChain.name)
}

// keepRule lets what leaves from a run of ports keep its port, with the address that
// the container's network takes.
func keepRule(k firewall.Keep) string {
	rule := "-s " + host(k.Addr) + ports(spec.UDP, "sport", k.First, k.Last) + owner(k.NetworkID, k.EndpointID)
	if k.Source.IsValid() {
		return rule + " -j SNAT --to-source " + k.Source.String()
	}
	return rule + " -j MASQUERADE"
}

// directRule gives a client that the container would answer without the host the
// bridge's address.
func directRule(d firewall.Direct) string {
	return "-s " + d.Clients.String() + " -d " + host(d.Addr) + " " + translated + owner(d.NetworkID, d.EndpointID) + " -j MASQUERADE"
}
