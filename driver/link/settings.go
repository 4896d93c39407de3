package link

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// sysctls4 lets packets of 127.0.0.1 that were translated to a container leave
// by the bridge, if any are. The firewall drops what containers send to 127/8. On a LAN the
// host must not claim its other links' addresses by the bridge, where it takes nothing for them:
// neighbours would lose the host.
func (m *mender) sysctls4(ctx context.Context) error {
	if m.bridge.LAN {
		if err := m.sysctl("", "net/ipv4/conf/"+m.bridge.Name+"/arp_ignore", "1"); err != nil {
			return err
		}
	}
	setting := "net/ipv4/conf/" + m.bridge.Name + "/route_localnet"
	switch lent := loans(m.link)[m.bridge.NetworkID]; {
	case m.bridge.Localnet:
		return m.sysctl(loanLocalnet, setting, "1")
	case !m.bridge.Adopted:
		return m.sysctl("", setting, "0")
	case slices.Contains(lent, loanLocalnet):
		// By a version that took it for every network.
		if err := m.h.takeBack(ctx, m.link, m.bridge.NetworkID, loanLocalnet); err != nil {
			return err
		}
		m.fixed = append(m.fixed, "bridge "+m.bridge.Name+": route_localnet was lent: given back")
	}
	return nil
}

func (m *mender) sysctls6(context.Context) error {
	if m.bridge.Host {
		return nil // the uplink's: see resemble
	}
	conf := "net/ipv6/conf/" + m.bridge.Name
	if !m.h.sys.has(conf) {
		return m.withoutIPv6()
	}
	switch {
	case !m.bridge.IPv6 && m.bridge.Adopted:
		// What else uses the bridge may need its IPv6.
		return nil
	case !m.bridge.IPv6:
		return m.sysctl("", conf+"/disable_ipv6", "1")
	case m.bridge.Adopted:
		// accept_ra stays: the host's own uplink may be a port of the bridge.
		return m.sysctl(loanIPv6, conf+"/disable_ipv6", "0")
	}
	// A container must not become the host's router (CVE-2020-13401). Without
	// accept_dad=0 the link-local address, which neighbour discovery for
	// forwarded packets needs, is not usable in the first seconds.
	for _, s := range [...][2]string{{"accept_ra", "0"}, {"accept_dad", "0"}, {"disable_ipv6", "0"}} {
		if err := m.sysctl("", conf+"/"+s[0], s[1]); err != nil {
			return err
		}
	}
	return nil
}

// withoutIPv6 decides about a bridge that the kernel gives no IPv6.
func (m *mender) withoutIPv6() error {
	for _, p := range m.bridge.Addresses {
		switch {
		case p.Addr().Is4():
		case !m.h.sys.ipv6():
			return fmt.Errorf("bridge %s: gateway %s: the host's kernel has IPv6 switched off; create the network without IPv6", m.bridge.Name, p)
		default:
			return fmt.Errorf("bridge %s: gateway %s: IPv6 needs an MTU of at least 1280", m.bridge.Name, p)
		}
	}
	return nil
}

func (m *mender) sysctl(l loan, name, want string) error {
	have, err := m.h.sys.get(name)
	if err != nil || have == want {
		return wrap(err, "bridge %s", m.bridge.Name)
	}
	setting := name[strings.LastIndexByte(name, '/')+1:]
	return m.mend(l, setting+" was "+have+": set to "+want, func() error {
		return wrap(m.h.sys.set(name, want), "bridge %s", m.bridge.Name)
	})
}
