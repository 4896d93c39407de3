package iptables

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// The chains of what gets another source.
var (
	snatChain         = chain{"nat", "GANGWAY-SNAT"}
	hairpinChain      = chain{"nat", "GANGWAY-HAIRPIN"}
	preservePortChain = chain{"nat", "GANGWAY-PRESERVE-PORT"}
	egressChain       = chain{"nat", "GANGWAY-EGRESS"}
	egressOtherChain  = chain{"nat", "GANGWAY-EGRESS-OTHER"}
	masqueradeChain   = chain{"nat", "GANGWAY-MASQUERADE"}
)

// snatShared are the rules that lead to those about source addresses. What a
// container publishes as it is keeps its port; all else gets one that nobody can choose.
func snatShared(f form) rules {
	r := rules{
		snatChain: slices.Concat([]string{toBridge + " -g " + hairpinChain.name}, translated6(f, "-j "+outwardChain.name), []string{
			"-p udp -j " + preservePortChain.name,
			"-j " + egressChain.name,
			"-j " + egressOtherChain.name,
		}),
		hairpinChain: nil, preservePortChain: nil, egressChain: nil, egressOtherChain: nil,
	}
	if !f.six {
		r[hairpinChain] = []string{"-s 127.0.0.0/8 -j MASQUERADE"}
	}
	for _, p := range []spec.Protocol{spec.TCP, spec.UDP, spec.SCTP} {
		r[masqueradeChain] = append(r[masqueradeChain], fmt.Sprintf("-p %s -j MASQUERADE --to-ports %s --random-fully", p, allHigh))
	}
	r[masqueradeChain] = append(r[masqueradeChain], "-j MASQUERADE")
	return r
}

func snatElements(set firewall.Ruleset, six bool) rules {
	r := rules{}
	for _, n := range set.Networks {
		for _, p := range ofFamily(n.Masquerade, six) {
			egressRules(r, n, p)
		}
		for _, p := range ofFamily(n.Hairpin, six) {
			r[hairpinChain] = append(r[hairpinChain], "-s "+p.String()+" -o "+n.Bridge+" "+translated+networkComment(n)+" -j MASQUERADE")
		}
	}
	for _, d := range set.Direct {
		if d.Addr.Is6() == six {
			r[hairpinChain] = append(r[hairpinChain], directRule(d))
		}
	}
	for _, k := range set.PreservedPorts {
		if k.Addr.Is6() == six {
			r[preservePortChain] = append(r[preservePortChain], preservePortRule(k))
		}
	}
	return r
}

// egressRules give what leaves a subnet the host's address, with a high port where there
// are ports, or the address that the network names.
func egressRules(r rules, n firewall.Network, subnet netip.Prefix) {
	from := "-s " + subnet.String()
	for _, a := range n.Source {
		if a.Is6() != subnet.Addr().Is6() {
			continue
		}
		for _, p := range []spec.Protocol{spec.TCP, spec.UDP, spec.SCTP} {
			to := strings.TrimSuffix(netip.AddrPortFrom(a, 0).String(), "0") + allHigh
			r[egressChain] = append(r[egressChain], fmt.Sprintf("%s -p %s%s -j SNAT --to-source %s --random-fully", from, p, networkComment(n), to))
		}
		r[egressOtherChain] = append(r[egressOtherChain], from+networkComment(n)+" -j SNAT --to-source "+a.String())
		return
	}
	r[egressChain] = append(r[egressChain], from+networkComment(n)+" -j "+masqueradeChain.name)
}

// preservePortRule lets what leaves from a run of ports keep its port, with the address that
// the container's network takes.
func preservePortRule(k firewall.PreservedPorts) string {
	rule := "-s " + host(k.Addr) + ports(spec.UDP, "sport", k.First, k.Last) + endpointComment(k.NetworkID, k.EndpointID)
	if k.Source.IsValid() {
		return rule + " -j SNAT --to-source " + k.Source.String()
	}
	return rule + " -j MASQUERADE"
}

// directRule gives a client that the container would answer without the host the
// bridge's address.
func directRule(d firewall.Direct) string {
	return "-s " + d.Clients.String() + " -d " + host(d.Addr) + " " + translated + endpointComment(d.NetworkID, d.EndpointID) + " -j MASQUERADE"
}
