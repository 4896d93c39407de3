package spec

import "net"

// KindMirror is a copy for who watches.
const KindMirror Kind = "mirror"

// Mirror has a container get a copy of what comes by a link of its network.
type Mirror struct {
	// EndpointID is who watches, To its end on the bridge, and MAC its hardware address: it gets
	// no copy of what is for it anyway.
	EndpointID string
	To         string
	MAC        net.HardwareAddr
	// From is the link: another endpoint's end on the bridge, for what its container sends; or,
	// with Bridge, the bridge itself, for what the host sends.
	From   string
	Bridge bool
}

// mirrorKey tells mirrors from each other.
type mirrorKey struct{ to, from string }

// Kind and Key make Mirror an Object.
func (m Mirror) Kind() Kind { return KindMirror }

// Key is the two links.
func (m Mirror) Key() any { return mirrorKey{m.To, m.From} }

// On are the links that it is at.
func (m Mirror) On() []string { return []string{m.From, m.To} }

// String names both links.
func (m Mirror) String() string { return "mirror of " + m.From + " to " + m.To }
