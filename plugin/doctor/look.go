package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Look collects the facts beside the daemon's answer. What cannot be looked at is a note.
func Look(ctx context.Context, s State) Facts {
	f := Facts{State: s, Containers: map[string]Container{}}
	if err := f.lookAtHost(); err != nil {
		f.note("the host's links", err)
	}
	for _, e := range s.Endpoints {
		if _, known := f.Containers[e.Sandbox]; known || e.Sandbox == "" {
			continue
		}
		c, err := inside(e.Sandbox)
		if err != nil {
			f.note("the container at "+e.Sandbox, err)
			continue
		}
		f.Containers[e.Sandbox] = c
	}
	f.lookAtFilters(ctx)
	return f
}

func (f *Facts) note(what string, err error) {
	f.Notes = append(f.Notes, fmt.Sprintf("not looked at: %s: %v", what, err))
}

func (f *Facts) lookAtHost() error {
	h := &f.Host
	h.Forwarding4 = readNumber("/proc/sys/net/ipv4/ip_forward") != 0
	h.Forwarding6 = readNumber("/proc/sys/net/ipv6/conf/all/forwarding") != 0
	h.Flows = readNumber("/proc/sys/net/netfilter/nf_conntrack_count")
	h.FlowLimit = readNumber("/proc/sys/net/netfilter/nf_conntrack_max")
	kernel, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer kernel.Close()
	links, err := complete(kernel.LinkList())
	if err != nil {
		return err
	}
	names := map[int]string{}
	h.Links = map[string]Link{}
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	for _, l := range links {
		a := l.Attrs()
		h.Links[a.Name] = Link{MTU: a.MTU, Up: a.RawFlags&unix.IFF_UP != 0, Master: names[a.MasterIndex]}
	}
	routes, err := complete(kernel.RouteList(nil, unix.AF_INET))
	if err != nil {
		return err
	}
	for _, r := range routes {
		if isDefault(r) && h.Uplink == "" {
			h.Uplink = names[r.LinkIndex]
		}
	}
	neighbours, err := complete(kernel.NeighList(0, 0))
	if err != nil {
		return err
	}
	h.Neighbours = map[netip.Addr]Neighbour{}
	for _, n := range neighbours {
		if a, ok := netip.AddrFromSlice(n.IP); ok {
			h.Neighbours[a.Unmap()] = Neighbour{MAC: n.HardwareAddr.String(), Failed: n.State&unix.NUD_FAILED != 0}
		}
	}
	return nil
}

// complete takes a list also where the kernel says that something changed while it was
// listed: what is looked at is of the moment.
func complete[T any](list []T, err error) ([]T, error) {
	if errors.Is(err, netlink.ErrDumpInterrupted) {
		err = nil
	}
	return list, err
}

func isDefault(r netlink.Route) bool {
	ones := 0
	if r.Dst != nil {
		ones, _ = r.Dst.Mask.Size()
	}
	return ones == 0 && (r.Table == 0 || r.Table == unix.RT_TABLE_MAIN) && r.Type == unix.RTN_UNICAST
}

// readNumber reads a number of the kernel's; 0 where there is none.
func readNumber(path string) int {
	text, err := os.ReadFile(path) //nolint:gosec // one of ours
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return n
}

// lookAtFilters reads the rules of iptables, of both kinds, and of nftables, with the
// programs that the host has: they know every match of their own.
func (f *Facts) lookAtFilters(ctx context.Context) {
	read := map[string]bool{}
	for _, six := range []bool{false, true} {
		program, family := "iptables", "ip"
		if six {
			program, family = "ip6tables", "ip6"
		}
		kinds := 0
		for _, kind := range []string{"-nft", "-legacy", ""} {
			if kind == "" && kinds > 0 {
				continue // it is one of the two
			}
			text, err := output(ctx, program+kind+"-save")
			if errors.Is(err, exec.ErrNotFound) {
				continue
			}
			kinds++
			if err != nil {
				f.note("rules of "+program+kind, err)
				continue
			}
			f.Filters = append(f.Filters, parseSave(strings.TrimSuffix(program+kind, "-nft"), string(text), six)...)
			for _, line := range strings.Split(string(text), "\n") {
				if table, ok := strings.CutPrefix(line, "*"); ok && kind != "-legacy" {
					read[family+" "+table] = true
				}
			}
		}
	}
	text, err := output(ctx, "nft", "-j", "list", "ruleset")
	if errors.Is(err, exec.ErrNotFound) {
		err = errors.New("the program nft is not installed")
	}
	if err == nil {
		var bases []Base
		bases, err = parseNft(text, read)
		f.Filters = append(f.Filters, bases...)
	}
	if err != nil {
		f.note("tables of nftables", err)
	}
}

func output(ctx context.Context, name string, args ...string) ([]byte, error) {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		return nil, fmt.Errorf("%w: %s", err, strings.TrimSpace(string(failed.Stderr)))
	}
	return out, err
}
