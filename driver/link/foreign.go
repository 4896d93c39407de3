package link

import (
	"context"
	"net"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// mostLearned is how many addresses are told of one port: behind an uplink there may be
// thousands.
const mostLearned = 64

// ForeignPorts returns the ports of bridges of gangway, and of those that it uses, that are
// somebody else's: taps of virtual machines, cards, ends of others' pairs. They are sorted by
// bridge and name. Addresses are those that the bridge has learned, from what came by the
// port.
func (h *Handle) ForeignPorts(ctx context.Context) ([]spec.ForeignPort, error) {
	all, err := h.links(ctx)
	if err != nil {
		return nil, err
	}
	bridges := map[int]netlink.Link{}
	for _, l := range all {
		if l.Type() == kindBridge && (owner(l) != "" || len(adopters(l)) > 0) {
			bridges[l.Attrs().Index] = l
		}
	}
	var found []spec.ForeignPort
	at := map[int]int{} // by index
	for _, l := range all {
		a := l.Attrs()
		if bridge := bridges[a.MasterIndex]; bridge != nil && owner(l) == "" {
			at[a.Index] = len(found)
			id, _ := user(bridge)
			found = append(found, spec.ForeignPort{
				Name: a.Name, Index: a.Index, Kind: foreignKind(l), Bridge: bridge.Attrs().Name, NetworkID: id, Up: a.Flags&net.FlagUp != 0,
			})
		}
	}
	if err = h.learned(ctx, found, at); err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b spec.ForeignPort) int { return strings.Compare(a.Bridge+" "+a.Name, b.Bridge+" "+b.Name) })
	return found, nil
}

// learned adds to ports what their bridges have learned behind them; at has their places by their
// index.
func (h *Handle) learned(ctx context.Context, ports []spec.ForeignPort, at map[int]int) error {
	if len(ports) == 0 {
		return nil
	}
	entries, err := dump(ctx, "forwarding tables of bridges", func() ([]netlink.Neigh, error) {
		return h.nl.NeighListExecute(netlink.Ndmsg{Family: unix.AF_BRIDGE})
	})
	if err != nil {
		return err
	}
	for _, e := range entries {
		i, foreign := at[e.LinkIndex]
		if !foreign || e.State&unix.NUD_PERMANENT != 0 || e.MasterIndex == 0 {
			continue // the port's own address
		}
		if ports[i].Addresses++; len(ports[i].Learned) < mostLearned {
			ports[i].Learned = append(ports[i].Learned, e.HardwareAddr.String())
		}
	}
	for _, p := range ports {
		slices.Sort(p.Learned)
	}
	return nil
}

// foreignKind is the link's kind, in the kernel's words but for taps: the library has one word for
// these and for tun, which is no port of a bridge.
func foreignKind(l netlink.Link) string {
	if l.Type() == "tuntap" {
		return "tap"
	}
	return l.Type()
}
