package spec

// KindLANPort is a link of the host that is a port of a network's bridge.
const KindLANPort Kind = "uplink"

// LANPort joins a network to the LAN behind a link of the host, which stays somebody else's: it
// gets back what was changed of it.
type LANPort struct {
	// Link is the link's name, Bridge that of the network's bridge.
	Link, Bridge string
	NetworkID    string
	// MTU is what containers send at most.
	MTU int
}

// Kind and Key make LANPort an Object.
func (p LANPort) Kind() Kind { return KindLANPort }

// Key is the link's name.
func (p LANPort) Key() any { return p.Link }

// On are the links that it is at.
func (p LANPort) On() []string { return []string{p.Link, p.Bridge} }

// String names both links.
func (p LANPort) String() string { return "uplink " + p.Link + " of bridge " + p.Bridge }
