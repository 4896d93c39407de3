package config

import (
	"fmt"
	"net/netip"
	"strings"
)

// Listen is where something is served, as net.Listen takes it. The zero value is
// nowhere.
type Listen struct {
	// Network is tcp or unix.
	Network string
	// Address is an IP address and a port, or an absolute path.
	Address string
}

// Local says that only this host reaches it: a unix socket, or an address of loopback.
func (l Listen) Local() bool {
	at, err := netip.ParseAddrPort(l.Address)
	return l.Network == "unix" || err == nil && at.Addr().IsLoopback()
}

// String is the form in which ParseListen takes it.
func (l Listen) String() string {
	switch l.Network {
	case "":
		return "off"
	case "unix":
		return unixPrefix + l.Address
	}
	return l.Address
}

const unixPrefix = "unix:"

// ParseListen reads an address and a port, unix: and a path, or off. A name of a host is
// refused: what it stands for is not known when the daemon starts early in a boot, and
// may become another address later. So is a port alone, which elsewhere means all
// addresses: who wants that says so.
func ParseListen(v string) (Listen, error) {
	if v == "off" {
		return Listen{}, nil
	}
	if path, is := strings.CutPrefix(v, unixPrefix); is {
		clean, err := socketPath(path)
		return Listen{Network: "unix", Address: clean}, err
	}
	at, err := netip.ParseAddrPort(v)
	switch {
	case err != nil:
		return Listen{}, fmt.Errorf("address %q: want ADDRESS:PORT such as 127.0.0.1:9323 or [::1]:9323 (0.0.0.0 or [::] for all addresses), unix:/PATH, or off", v)
	case at.Port() == 0:
		return Listen{}, fmt.Errorf("address %q: port 0 is none that a client could know", v)
	case at.Addr().Is4In6():
		return Listen{}, fmt.Errorf("address %q: write the IPv4 address %s", v, at.Addr().Unmap())
	}
	return Listen{Network: "tcp", Address: at.String()}, nil
}
