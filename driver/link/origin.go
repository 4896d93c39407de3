package link

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/gangway-net/gangway/driver/spec"
)

// maxLayers bounds how many links may be on top of each other.
const maxLayers = 8

// Origin describes the link of an index, or what it is on top of: what comes in by a
// VLAN, macvlan or ipvlan comes from where the link below it leads.
func (h *Handle) Origin(ctx context.Context, index int) (spec.Origin, error) {
	for range maxLayers {
		if err := ctx.Err(); err != nil {
			return spec.Origin{}, err
		}
		l, err := h.nl.LinkByIndex(index)
		if err != nil {
			return spec.Origin{}, fmt.Errorf("find link %d: %w", index, err)
		}
		a := l.Attrs()
		switch l.Type() {
		case "vlan", "macvlan", "macvtap", "ipvlan", "ipvtap":
			if a.NetNsID < 0 && a.ParentIndex > 0 && a.ParentIndex != index {
				index = a.ParentIndex
				continue
			}
		}
		owner, _ := strings.CutPrefix(a.Alias, spec.OwnerAlias)
		if owner == a.Alias {
			owner = ""
		}
		return spec.Origin{Name: a.Name, Owner: owner, Marked: a.Group == spec.LinkGroup, Loopback: a.Flags&net.FlagLoopback != 0}, nil
	}
	return spec.Origin{}, fmt.Errorf("link %d is on top of more than %d others", index, maxLayers)
}
