package model

import "fmt"

// admitProxy refuses a link by which nobody is heard: one that is, or is to be, a port of a bridge, and one that
// leads to containers. A subnet that nobody passes on is asked for by nobody.
func (s *State) admitProxy(n *Network) error {
	for _, old := range s.Networks {
		for _, p := range []struct{ proxied, other *Network }{{n, old}, {old, n}} {
			link := p.proxied.Options.NDPProxy
			switch {
			case link == "":
			case p.other.Options.Uplink == link:
				return Conflictf("network options gangway.ndp_proxy and gangway.uplink: link %s is a port of the bridge of the network on its LAN, and cannot answer for another one: choose another link (network %s has the other option)", link, Short(old.ID))
			case p.other.Bridge == link:
				return Conflictf("network option gangway.ndp_proxy: link %s is the bridge of a network of Gangway, whose containers reach no other network: choose another link (the other one is network %s)", link, Short(old.ID))
			}
		}
	}
	switch link := n.Options.NDPProxy; {
	case link == "":
		return nil
	case link == n.Bridge:
		return fmt.Errorf("network option gangway.ndp_proxy: link %s is the network's own bridge, on which containers answer themselves: choose another link", link)
	case n.Subnet6.IsValid() && !Forwarded(n.Subnet6.Addr()):
		return fmt.Errorf("network option gangway.ndp_proxy: subnet %s is link-local, and nothing of it is passed on: choose another --subnet", n.Subnet6)
	}
	return nil
}
