package plan

import (
	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// LANPort is the link that joins a network to a LAN, if there is to be one.
func LANPort(n *model.Network) (p spec.LANPort, there bool) {
	if !n.OnLAN() {
		return p, false
	}
	mtu := n.Options.MTU
	if mtu == 0 {
		mtu = kernelMTU
	}
	p = spec.LANPort{Link: n.Options.Uplink, Bridge: n.Bridge, NetworkID: n.ID, MTU: mtu, Move: n.Moved()}
	p.Trunk, p.VLAN = config.VLANOf(n.Options.Uplink)
	return p, true
}

// kernelMTU is that of a pair which is given none.
const kernelMTU = 1500
