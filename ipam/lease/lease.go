package lease

import (
	"net/netip"
	"strings"
	"time"
)

// Ask is what a server is asked for.
type Ask struct {
	// Link is the link by which the server is asked.
	Link string
	// MAC is the container's hardware address, by which the server knows it.
	MAC string
	// Name is the host name that the server is told; "" for none.
	Name string
	// Wish is the address that is asked for first; the zero Addr for any. Must takes no other one.
	Wish netip.Addr
	Must bool
}

// Lease is what a server has granted, or offers, and how it stands. It is stored as it is.
type Lease struct {
	Link string `json:"link"`
	MAC  string `json:"mac"`
	Name string `json:"name,omitempty"`

	Address netip.Prefix `json:"address"`
	// Router and DNS are the LAN's.
	Router netip.Addr   `json:"router,omitzero"`
	DNS    []netip.Addr `json:"dns,omitempty"`
	// Server is who granted it, and Via the hardware address that the answer came from: the
	// server's, or a relay's.
	Server netip.Addr `json:"server"`
	Via    string     `json:"via,omitempty"`

	// Renew and Rebind are when the server, and any server, is asked to extend it (T1 and T2
	// of RFC 2131, 4.4.5), Until is its end. All are zero for one without an end.
	Renew  time.Time `json:"renew,omitzero"`
	Rebind time.Time `json:"rebind,omitzero"`
	Until  time.Time `json:"until,omitzero"`
	// Gone says why it holds no more, though a container still has the address; "" if it holds.
	Gone string `json:"gone,omitempty"`
}

// Equal says whether two are the same.
func (l Lease) Equal(o Lease) bool {
	times := l.Renew.Equal(o.Renew) && l.Rebind.Equal(o.Rebind) && l.Until.Equal(o.Until)
	return times && l.terms() == o.terms()
}

func (l Lease) terms() string {
	var dns []string
	for _, a := range l.DNS {
		dns = append(dns, a.String())
	}
	return strings.Join(append(dns, l.Link, l.MAC, l.Name, l.Address.String(), l.Router.String(), l.Server.String(), l.Via, l.Gone), "|")
}

// The states of a lease.
const (
	// Bound holds, Renewing and Rebinding are held and past T1 and T2, Lost holds no more.
	Bound     = "bound"
	Renewing  = "renewing"
	Rebinding = "rebinding"
	Lost      = "lost"
)

// State says how a lease stands.
func (l Lease) State(now time.Time) string {
	switch {
	case l.Gone != "" || !l.Until.IsZero() && !now.Before(l.Until):
		return Lost
	case l.Until.IsZero() || now.Before(l.Renew):
		return Bound
	case now.Before(l.Rebind):
		return Renewing
	}
	return Rebinding
}

// leastPause is between two tries to extend a lease (RFC 2131, 4.4.5), and the pause between
// tries to get back one that is lost.
const leastPause = time.Minute

// next is when to ask again after a try that brought nothing; the zero Time for never.
func (l Lease) next(tried time.Time) time.Time {
	at := tried.Add(leastPause)
	var end time.Time
	switch l.State(tried) {
	case Bound:
		return l.Renew
	case Lost:
		return at
	case Renewing:
		end = l.Rebind
	default:
		end = l.Until
	}
	if half := tried.Add(end.Sub(tried) / 2); half.After(at) {
		at = half
	}
	if at.After(end) {
		at = end
	}
	return at
}

// longestLabel is that of a part of a host name (RFC 1035, 2.3.4).
const longestLabel = 63

// HostName is a container's name as a host name: a single part of letters, digits and hyphens.
func HostName(container string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '-'
	}, container)
	return strings.Trim(name[:min(len(name), longestLabel)], "-")
}
