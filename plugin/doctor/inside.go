package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	nft "github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/plugin/enter"
)

// inside looks into a network namespace. What could not be looked at is in failed, by what
// it is. client may be invalid.
func inside(ctx context.Context, path string, client netip.Addr) (c Container, failed map[string]error, err error) {
	failed = map[string]error{}
	err = enter.Namespace(path, func() error {
		if lookErr := c.links(client); lookErr != nil {
			return lookErr
		}
		c.sockets(failed)
		c.filters(ctx, failed)
		return nil
	})
	return c, failed, err
}

// links looks at links, addresses and routes of the thread's namespace.
func (c *Container) links(client netip.Addr) error {
	c.Down = map[string]bool{}
	kernel, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer kernel.Close()
	links, err := complete(kernel.LinkList())
	if err != nil {
		return err
	}
	for _, l := range links {
		if l.Attrs().RawFlags&unix.IFF_UP == 0 {
			c.Down[l.Attrs().Name] = true
		}
	}
	addrs, err := complete(kernel.AddrList(nil, unix.AF_UNSPEC))
	if err != nil {
		return err
	}
	for _, a := range addrs {
		ip, ok := netip.AddrFromSlice(a.IP)
		switch {
		case !ok:
		case a.Flags&unix.IFA_F_DADFAILED != 0:
			c.Refused = append(c.Refused, ip.Unmap())
		default:
			c.Addresses = append(c.Addresses, ip.Unmap())
		}
	}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		routes, listErr := complete(kernel.RouteList(nil, family))
		if listErr != nil {
			return listErr
		}
		silent, listErr := silentRouters(kernel, family, routes)
		if listErr != nil {
			return listErr
		}
		c.Silent = append(c.Silent, silent...)
		has := slices.ContainsFunc(routes, isDefault)
		if family == unix.AF_INET {
			c.Default4 = has
		} else {
			c.Default6 = has
		}
	}
	if !client.IsValid() {
		return nil
	}
	names := map[int]string{}
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	back, err := way(kernel, client, nil, func(index int) string { return names[index] })
	c.Back = &back
	return err
}

// silentRouters are those of default routes of whom the kernel has heard nothing, though it has asked.
func silentRouters(kernel *netlink.Handle, family int, routes []netlink.Route) (silent []netip.Addr, err error) {
	all, err := complete(kernel.NeighList(0, family))
	for _, n := range all {
		asked := n.State&(unix.NUD_FAILED|unix.NUD_INCOMPLETE) != 0
		if a, ok := netip.AddrFromSlice(n.IP); ok && asked && slices.ContainsFunc(routes, func(r netlink.Route) bool { return isDefault(r) && r.Gw.Equal(n.IP) }) {
			silent = append(silent, a.Unmap())
		}
	}
	return silent, err
}

// sockets looks at who listens.
func (c *Container) sockets(failed map[string]error) {
	all, why := listeners()
	stuck(all)
	c.Listeners, c.Unlisted = all, map[string]bool{}
	for protocol, err := range why {
		c.Unlisted[protocol] = true
		failed["who listens on "+protocol+" ports in"] = err
	}
}

// filters reads the rules that see what comes in. Programs are run only where there is
// something for them to list: nearly no container has rules of its own, and an engine's are
// about names alone (nat).
func (c *Container) filters(ctx context.Context, failed map[string]error) {
	some, err := filtering()
	if err == nil && some {
		var text []byte
		if text, err = output(ctx, "nft", "-j", "list", "ruleset"); err == nil {
			c.Filters, err = parseNft(text, nil)
		}
	}
	if err != nil {
		failed["rules of nftables in"] = err
	}
	for _, six := range []bool{false, true} {
		program, file := "iptables-legacy", "/proc/thread-self/net/ip_tables_names"
		if six {
			program, file = "ip6tables-legacy", "/proc/thread-self/net/ip6_tables_names"
		}
		if !slices.ContainsFunc(legacyTables(file), func(t string) bool { return t != "nat" }) {
			continue
		}
		text, err := output(ctx, program+"-save")
		if err != nil {
			failed["rules of "+program+" in"] = err
			continue
		}
		c.Filters = append(c.Filters, parseSave(program, string(text), six)...)
	}
}

// legacyTables lists the tables that iptables-legacy has made.
func legacyTables(file string) []string {
	text, err := os.ReadFile(file) //nolint:gosec // one of ours
	if err != nil {
		return nil // a kernel without it
	}
	return strings.Fields(string(text))
}

// filtering says whether the namespace has chains of nf_tables that may drop what comes in.
func filtering() (bool, error) {
	kernel, err := nft.New()
	if err != nil {
		return false, err
	}
	chains, err := kernel.ListChains()
	if errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) {
		return false, nil // a kernel without nf_tables
	}
	return slices.ContainsFunc(chains, func(c *nft.Chain) bool {
		return c.Type == nft.ChainTypeFilter && c.Hooknum != nil
	}), err
}

// looked turns what could not be looked at in a container into notes.
func (f *Facts) looked(name string, failed map[string]error) {
	for what, err := range failed {
		f.note(fmt.Sprintf("%s %s", what, name), err)
	}
	slices.Sort(f.Notes)
}
