package dhcp

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/gangway-net/gangway/ipam/lease"
)

// longest is the longest message that is taken, in bytes (RFC 2132, 9.10).
const longest = 1500 - ipHeader - udpHeader

// message begins one of a container's.
//
// It has no client identifier (option 61): without one servers know a client by its hardware
// address, to which administrators bind addresses. One made of the container's name was the
// alternative; servers that bind addresses to identifiers would not find the hardware address.
func message(kind dhcpv4.MessageType, mac net.HardwareAddr, name string, more ...dhcpv4.Modifier) (*dhcpv4.DHCPv4, error) {
	all := []dhcpv4.Modifier{
		dhcpv4.WithMessageType(kind), dhcpv4.WithHwAddr(mac),
		dhcpv4.WithOption(dhcpv4.OptMaxMessageSize(longest)),
		dhcpv4.WithRequestedOptions(dhcpv4.OptionSubnetMask, dhcpv4.OptionRouter, dhcpv4.OptionDomainNameServer,
			dhcpv4.OptionRenewTimeValue, dhcpv4.OptionRebindingTimeValue),
	}
	if name != "" {
		all = append(all, dhcpv4.WithOption(dhcpv4.OptHostName(name)))
	}
	m, err := dhcpv4.New(append(all, more...)...)
	if err != nil {
		return nil, fmt.Errorf("make a DHCP message: %w", err)
	}
	return m, nil
}

// wish asks for an address (option 50), of any server, or of one (option 54).
func wish(a, server netip.Addr) dhcpv4.Modifier {
	return func(m *dhcpv4.DHCPv4) {
		if a.IsValid() {
			m.UpdateOption(dhcpv4.OptRequestedIPAddress(a.AsSlice()))
		}
		if server.IsValid() {
			m.UpdateOption(dhcpv4.OptServerIdentifier(server.AsSlice()))
		}
	}
}

// parse reads what a server offers or grants. Times count from when it was asked.
func parse(ask lease.Ask, m *dhcpv4.DHCPv4, via net.HardwareAddr, asked time.Time) (lease.Lease, error) {
	l := lease.Lease{Link: ask.Link, MAC: ask.MAC, Name: ask.Name, Via: via.String(), Server: toAddr(m.ServerIdentifier())}
	if !l.Server.IsValid() {
		return l, fmt.Errorf("a DHCP server at %s does not say who it is", ask.Link)
	}
	ones, bits := m.SubnetMask().Size()
	a := toAddr(m.YourIPAddr)
	switch {
	case !a.IsValid() || a.IsUnspecified():
		return l, fmt.Errorf("DHCP server %s offers no address", l.Server)
	case bits != 32 || ones == 0:
		return l, fmt.Errorf("DHCP server %s names no subnet mask for %s", l.Server, a)
	}
	l.Address = netip.PrefixFrom(a, ones)
	for _, r := range m.Router() {
		if a := toAddr(r); l.Address.Contains(a) {
			l.Router = a
			break
		}
	}
	for _, d := range m.DNS() {
		if a := toAddr(d); a.IsValid() {
			l.DNS = append(l.DNS, a)
		}
	}
	return l, times(&l, m, asked)
}

// forever is the lease time without an end, in seconds (RFC 2131, 3.3).
const forever = 1<<32 - 1

// times sets those of a lease. Where the server names none of T1 and T2, or none that fit, those
// of RFC 2131, 4.4.5 count.
func times(l *lease.Lease, m *dhcpv4.DHCPv4, asked time.Time) error {
	const absent = -1
	whole := m.IPAddressLeaseTime(absent)
	switch whole {
	case absent, 0:
		return fmt.Errorf("DHCP server %s names no lease time for %s", l.Server, l.Address.Addr())
	case forever * time.Second:
		return nil
	}
	t1, t2 := m.IPAddressRenewalTime(whole/2), m.IPAddressRebindingTime(whole/8*7)
	if t1 <= 0 || t1 >= t2 || t2 >= whole {
		t1, t2 = whole/2, whole/8*7
	}
	asked = asked.UTC().Round(0)
	l.Renew, l.Rebind, l.Until = asked.Add(t1), asked.Add(t2), asked.Add(whole)
	return nil
}

// toAddr is the zero Addr for what is no IPv4 address.
func toAddr(ip net.IP) netip.Addr {
	a, ok := netip.AddrFromSlice(ip.To4())
	if !ok {
		return netip.Addr{}
	}
	return a
}
