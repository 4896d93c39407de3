package conntrack

import (
	"net/netip"

	"go4.org/netipx"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// choice says which flows are meant, in the two ways of finding them.
type choice interface {
	// selections are kernel-side filters that together select the flows; nil if
	// none can.
	selections() []selection
	// has says whether a listed flow is one.
	has(f *flow) (bool, error)
}

// maxSelections is how many kernel-side filters are used in place of a list.
// Each looks at every flow and at no empty bucket of the table: 0.3 ms where the
// table has 262 144 buckets, of which a list, which locks each, takes 13 ms.
const maxSelections = 16

// filterable says whether the kernel's filters can be trusted with an address.
// With an IPv6 address they select the flows of all others (6.18:
// ctnetlink_filter_match_tuple takes ipv6_addr_cmp for an equality).
func filterable(a netip.Addr) bool { return a.Is4() }

// ofAddresses are flows that one of the addresses takes part in: it sends in one
// of the directions. Who is sent to and never sends is not part of the flow:
// translation has put another in its place.
type ofAddresses map[netip.Addr]struct{}

func (s ofAddresses) selections() (all []selection) {
	for a := range s {
		if !filterable(a) {
			return nil
		}
		for _, direction := range []int{attrOrig, attrReply} {
			all = append(all, selection{addr: a, direction: direction})
		}
	}
	return all
}

func (s ofAddresses) has(f *flow) (bool, error) {
	_, sends := s[f.src]
	_, answers := s[f.from]
	return sends || answers, nil
}

// translatedTo are UDP flows whose destination was changed to one of the
// addresses.
type translatedTo map[netip.Addr]struct{}

func (s translatedTo) selections() (all []selection) {
	for a := range s {
		if !filterable(a) {
			return nil
		}
		all = append(all, selection{addr: a, direction: attrReply, proto: unix.IPPROTO_UDP, status: statusDNAT})
	}
	return all
}

func (s translatedTo) has(f *flow) (bool, error) {
	_, ok := s[f.from]
	return ok && f.proto == unix.IPPROTO_UDP && f.dst != f.from, nil
}

// toPorts are UDP flows by the address and port they were sent to, besides those
// that are translated to where this port leads now: they may have begun since.
type toPorts struct {
	runs   []spec.Published
	byAddr map[netip.Addr]*portSet
	// anywhere holds for every address that is the host's own.
	anywhere map[uint8]*portSet
	// local asks which these are.
	local func(family uint8) (*netipx.IPSet, error)
}

func (s *toPorts) add(r spec.Published) {
	s.runs = append(s.runs, r)
	ip := plain(r.HostIP)
	set := s.byAddr[ip]
	if ip.IsUnspecified() {
		set = s.anywhere[familyOf(ip)]
	}
	if set == nil {
		set = new(portSet)
	}
	for port := int(r.First); port <= int(r.Last); port++ {
		set.add(uint16(port))
	}
	if ip.IsUnspecified() {
		s.anywhere[familyOf(ip)] = set
	} else {
		s.byAddr[ip] = set
	}
}

// selections has none: a filter has one address and one port, not every address
// of the host, nor a range.
func (s *toPorts) selections() []selection { return nil }

func (s *toPorts) has(f *flow) (bool, error) {
	switch {
	case f.proto != unix.IPPROTO_UDP:
		return false, nil
	case s.byAddr[f.dst].has(f.port):
		return !s.serves(f), nil
	case !s.anywhere[f.family].has(f.port):
		return false, nil
	}
	own, err := s.local(f.family)
	return err == nil && own.Contains(f.dst) && !s.serves(f), err
}

// serves says whether a flow to one of the ports is translated as it would be
// now.
func (s *toPorts) serves(f *flow) bool {
	for _, r := range s.runs {
		if f.dst != f.from && f.from == plain(r.ContainerIP) && r.First <= f.port && f.port <= r.Last &&
			f.fromPort == r.ContainerFirst+(f.port-r.First) {
			return true
		}
	}
	return false
}

// portSet is a set of port numbers, one bit each; nil is the empty set.
type portSet [1 << 16 / 64]uint64

func (s *portSet) add(port uint16) { s[port/64] |= 1 << (port % 64) }

func (s *portSet) has(port uint16) bool { return s != nil && s[port/64]&(1<<(port%64)) != 0 }
