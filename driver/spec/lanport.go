package spec

// KindLANPort is a link of the host that is a port of a network's bridge.
const KindLANPort Kind = "uplink"

// LANPort joins a network to the LAN behind a link of the host, which stays somebody else's: it
// gets back what was changed of it.
type LANPort struct {
	// Link is the link's name, Bridge that of the network's bridge.
	Link, Bridge string
	NetworkID    string
	// MTU is what containers send at most; 0 for what the link takes.
	MTU int
	// Trunk and VLAN are of what the link is made where it is missing; VLAN is 0 for a link that
	// has to be there.
	Trunk string
	VLAN  int
	// Move says that the link's addresses and routes are the bridge's.
	Move bool
}

// Kind and Key make LANPort an Object.
func (p LANPort) Kind() Kind { return KindLANPort }

// Key is the link's name.
func (p LANPort) Key() any { return p.Link }

// On are the links that it is at.
func (p LANPort) On() []string {
	if p.VLAN != 0 {
		return []string{p.Link, p.Bridge, p.Trunk}
	}
	return []string{p.Link, p.Bridge}
}

// String names both links.
func (p LANPort) String() string { return "uplink " + p.Link + " of bridge " + p.Bridge }
