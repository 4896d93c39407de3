package plan

import (
	"net"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// Mirrors are those of an endpoint that watches the others in its network, and the host.
func Mirrors(n *model.Network, e *model.Endpoint, others []*model.Endpoint) (all []spec.Mirror) {
	if !watches(e) {
		return nil
	}
	one := func(from string, bridge bool) {
		all = append(all, spec.Mirror{EndpointID: e.ID, To: VethHost(e.ID), MAC: net.HardwareAddr(e.MAC), From: from, Bridge: bridge})
	}
	one(n.Bridge, true)
	for _, o := range others {
		one(VethHost(o.ID), false)
	}
	return all
}

// watches says that an endpoint's container gets copies of what others send.
func watches(e *model.Endpoint) bool { return e != nil && e.Sandbox != "" && e.Options.Promiscuous }

// Watched are the endpoints in other containers of a network that an endpoint watches, sorted; none
// where it watches nobody.
func Watched(s *model.State, e *model.Endpoint) (all []*model.Endpoint) {
	if !watches(e) {
		return nil
	}
	for _, o := range s.Members[e.NetworkID] {
		if o.ID != e.ID && o.Sandbox != "" {
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b *model.Endpoint) int { return strings.Compare(a.ID, b.ID) })
	return all
}
