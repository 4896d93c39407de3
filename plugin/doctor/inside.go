package doctor

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/plugin/enter"
)

// inside looks into a network namespace.
func inside(path string) (c Container, err error) {
	err = enter.Namespace(path, func() (err error) {
		c, err = here()
		return err
	})
	return c, err
}

// here looks at the namespace of the thread.
func here() (c Container, err error) {
	c.Down = map[string]bool{}
	kernel, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return c, err
	}
	defer kernel.Close()
	links, err := complete(kernel.LinkList())
	if err != nil {
		return c, err
	}
	for _, l := range links {
		if l.Attrs().RawFlags&unix.IFF_UP == 0 {
			c.Down[l.Attrs().Name] = true
		}
	}
	addrs, err := complete(kernel.AddrList(nil, unix.AF_UNSPEC))
	if err != nil {
		return c, err
	}
	for _, a := range addrs {
		if ip, ok := netip.AddrFromSlice(a.IP); ok {
			c.Addresses = append(c.Addresses, ip.Unmap())
		}
	}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		routes, err := complete(kernel.RouteList(nil, family))
		if err != nil {
			continue // a kernel without IPv6
		}
		has := slices.ContainsFunc(routes, isDefault)
		if family == unix.AF_INET {
			c.Default4 = has
		} else {
			c.Default6 = has
		}
	}
	c.Listeners = listeners()
	return c, nil
}

// States of sockets in /proc/net (include/net/tcp_states.h): TCP_LISTEN, and TCP_CLOSE
// for UDP sockets that are not connected.
const (
	tcpListen = "0A"
	unbound   = "07"
)

// listeners reads the sockets that wait for clients.
func listeners() (all []Listener) {
	for _, file := range []struct{ name, protocol, state string }{
		{"tcp", "tcp", tcpListen}, {"tcp6", "tcp", tcpListen}, {"udp", "udp", unbound}, {"udp6", "udp", unbound},
	} {
		all = append(all, readSockets("/proc/thread-self/net/"+file.name, file.protocol, file.state)...)
	}
	return append(all, readSCTP("/proc/thread-self/net/sctp/eps")...)
}

// readSockets reads a list of sockets as proc(5) has it.
func readSockets(path, protocol, state string) (all []Listener) {
	f, err := os.Open(path) //nolint:gosec // one of ours
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || fields[3] != state {
			continue
		}
		if at, err := parseSocket(fields[1]); err == nil && at.Port() != 0 {
			// Whether a socket of [::] takes IPv4 is not told; most do.
			all = append(all, Listener{Protocol: protocol, Addr: at, Both: at.Addr() == netip.IPv6Unspecified()})
		}
	}
	return all
}

// parseSocket reads "0100007F:1F90": words of four bytes in the host's order, and a port.
func parseSocket(text string) (netip.AddrPort, error) {
	addr, port, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(addr)
	if err != nil {
		return netip.AddrPort{}, err
	}
	for i := 0; i+4 <= len(raw); i += 4 {
		slices.Reverse(raw[i : i+4])
	}
	ip, ok := netip.AddrFromSlice(raw)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("address %q", addr)
	}
	n, err := strconv.ParseUint(port, 16, 16)
	return netip.AddrPortFrom(ip.Unmap(), uint16(n)), err
}

// readSCTP reads the endpoints of SCTP (net/sctp/proc.c): their addresses follow the
// seven fields that describe them and the port.
func readSCTP(path string) (all []Listener) {
	f, err := os.Open(path) //nolint:gosec // one of ours
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 9 {
			continue
		}
		port, err := strconv.ParseUint(fields[5], 10, 16)
		if err != nil {
			continue
		}
		for _, text := range fields[8:] {
			if a, err := netip.ParseAddr(strings.TrimSuffix(text, "*")); err == nil {
				all = append(all, Listener{Protocol: "sctp", Addr: netip.AddrPortFrom(a, uint16(port)), Both: a == netip.IPv6Unspecified()})
			}
		}
	}
	return all
}
