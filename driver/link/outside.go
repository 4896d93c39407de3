package link

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// Outside returns the links that lead outside, sorted by name.
//
// Where a packet leaves the host is told by what a link is and where routes lead, never
// by its name: an uplink may be a bridge called br-lan, and an engine's bridge may be
// called anything. A port of another link (of a bridge, a bond) sends nothing by itself,
// nor does a link that is down.
// Of bridges only those lead outside that have a card of the host among their ports, or
// the default route; on all others there are containers or virtual machines.
func (h *Handle) Outside(ctx context.Context) ([]spec.Outside, error) {
	all, err := h.links(ctx)
	if err != nil {
		return nil, fmt.Errorf("find the links that lead outside: %w", err)
	}
	t := topologyOf(all)
	var found []spec.Outside
	var doubtful []netlink.Link
	for _, l := range all {
		a := l.Attrs()
		switch {
		case t.host[a.Index] && a.Flags&net.FlagUp != 0:
			found = append(found, spec.Outside{Name: a.Name, Bridge: true})
		case a.Flags&net.FlagLoopback != 0, a.Flags&net.FlagUp == 0, t.port[a.Index], t.ours[a.Index]:
		case l.Type() != kindBridge:
			found = append(found, spec.Outside{Name: a.Name})
		case t.card[a.Index]:
			found = append(found, spec.Outside{Name: a.Name, Bridge: true})
		default:
			doubtful = append(doubtful, l)
		}
	}
	if len(doubtful) > 0 {
		defaults, err := h.defaultLinks(ctx)
		if err != nil {
			return nil, fmt.Errorf("find the links that lead outside: %w", err)
		}
		for _, l := range doubtful {
			if defaults[l.Attrs().Index] {
				found = append(found, spec.Outside{Name: l.Attrs().Name, Bridge: true})
			}
		}
	}
	slices.SortFunc(found, func(a, b spec.Outside) int { return strings.Compare(a.Name, b.Name) })
	return found, nil
}

// topology says how links are joined, by index.
type topology struct {
	// port are the ports of other links, card those that have a card of the host for a
	// port, ours those of gangway, both ends of a pair; host are bridges of gangway's that have what the
	// host had on a port of theirs.
	port, card, ours, host map[int]bool
}

func topologyOf(all []netlink.Link) topology {
	t := topology{map[int]bool{}, map[int]bool{}, map[int]bool{}, map[int]bool{}}
	kinds := make(map[int]string, len(all))
	for _, l := range all {
		kinds[l.Attrs().Index] = l.Type()
	}
	for _, l := range all {
		a := l.Attrs()
		for _, lent := range loans(l) {
			t.host[a.MasterIndex] = t.host[a.MasterIndex] || kinds[a.MasterIndex] == kindBridge && slices.Contains(lent, loanMove)
		}
		if portMaster(kinds[a.MasterIndex]) {
			t.port[a.Index] = true
			t.card[a.MasterIndex] = t.card[a.MasterIndex] || slices.Contains(cards(), l.Type())
		}
		if a.Group == spec.LinkGroup || owner(l) != "" {
			t.ours[a.Index] = true
			if l.Type() == kindVeth && a.NetNsID < 0 {
				t.ours[a.ParentIndex] = true
			}
		}
	}
	return t
}

// cards are the kinds of links that a host is joined to others by. Not among them are
// the ends of what runs on this host (veth, tap) and tunnels, which in a bridge join
// containers or virtual machines of several hosts.
func cards() []string {
	return []string{"device", "bond", "team", "vlan", "macvlan", "ipvlan", "macsec", "hsr"}
}

// portMaster says whether links with a master of that kind are its ports. Those of a VRF
// stay links of their own.
func portMaster(master string) bool {
	return slices.Contains([]string{kindBridge, "bond", "team", "openvswitch"}, master)
}

// defaultLinks returns the links that a default route leads by, in any table, one that
// somebody set. VPNs cut
// it into two halves.
func (h *Handle) defaultLinks(ctx context.Context) (map[int]bool, error) {
	found := map[int]bool{}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		err := h.eachRoute(ctx, family, func(r netlink.Route) {
			if r.Dst != nil {
				if ones, _ := r.Dst.Mask.Size(); ones > 1 {
					return
				}
			}
			// Who sits on the bridge may announce himself as a router.
			if r.Type != unix.RTN_UNICAST || r.Protocol == unix.RTPROT_RA {
				return
			}
			found[r.LinkIndex] = true
			for _, next := range r.MultiPath {
				found[next.LinkIndex] = true
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}
