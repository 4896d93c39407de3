package hostport

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/gangway-net/gangway/driver/spec"
)

// key is what a socket is bound to. Two sockets of one key cannot exist.
type key struct {
	ip    netip.Addr
	port  uint16
	proto spec.Protocol
}

// String is "tcp 0.0.0.0:80" or "tcp [::]:80".
func (k key) String() string {
	return k.proto.String() + " " + netip.AddrPortFrom(k.ip, k.port).String()
}

// target is the container port that a host port leads to.
type target struct {
	ip   netip.Addr
	port uint16
	// whole says that all that comes is for the relay, and nothing for NAT.
	whole bool
	// endpoint is whose it is, for messages.
	endpoint string
}

func (t target) addrPort() netip.AddrPort { return netip.AddrPortFrom(t.ip, t.port) }

type portKey struct {
	port  uint16
	proto spec.Protocol
}

// book knows every socket by its owner and by its port. Beside the kernel's
// own check it tells who holds a port, and it stands in for sockets that the
// kernel does not offer (SCTP without its module).
type book struct {
	owners map[string]map[*socket]struct{}
	// ports has the first socket of each port, which leads to the others.
	ports map[portKey]*socket
}

func newBook() book {
	return book{owners: map[string]map[*socket]struct{}{}, ports: map[portKey]*socket{}}
}

func (b *book) add(s *socket) {
	own := b.owners[s.owner]
	if own == nil {
		own = map[*socket]struct{}{}
		b.owners[s.owner] = own
	}
	own[s] = struct{}{}
	pk := portKey{s.port, s.proto}
	s.next = b.ports[pk]
	b.ports[pk] = s
}

func (b *book) remove(s *socket) {
	delete(b.owners[s.owner], s)
	if len(b.owners[s.owner]) == 0 {
		delete(b.owners, s.owner)
	}
	pk := portKey{s.port, s.proto}
	switch first := b.ports[pk]; {
	case first == s && s.next == nil:
		delete(b.ports, pk)
	case first == s:
		b.ports[pk] = s.next
	default:
		for o := first; o != nil; o = o.next {
			if o.next == s {
				o.next = s.next
				break
			}
		}
	}
	s.next = nil
}

// find returns the socket that owner holds k with, nil if it holds none.
func (b *book) find(owner string, k key) *socket {
	for s := b.ports[portKey{k.port, k.proto}]; s != nil; s = s.next {
		if s.key == k && s.owner == owner {
			return s
		}
	}
	return nil
}

// conflict returns the socket that k cannot exist beside, nil if there is none.
func (b *book) conflict(k key) *socket {
	for s := b.ports[portKey{k.port, k.proto}]; s != nil; s = s.next {
		if overlap(s.ip, k.ip) {
			return s
		}
	}
	return nil
}

// holder is whose the socket is, for messages.
func (s *socket) holder() string {
	claimed := ""
	if s.claim != nil {
		claimed = s.claim.to.endpoint
	}
	return cmp.Or(s.target.endpoint, claimed, s.owner)
}

// overlap says whether a packet may be for both host addresses. IPv6 sockets
// never take IPv4 packets here (IPV6_V6ONLY).
func overlap(a, b netip.Addr) bool {
	return a.Is4() == b.Is4() && (a == b || a.IsUnspecified() || b.IsUnspecified())
}

// cover says where runs lead single ports.
type cover []spec.EndpointRun

// coverOf sorts runs, of which no two may have a host port in common.
func coverOf(runs []spec.EndpointRun) cover {
	return slices.SortedFunc(slices.Values(runs), func(a, b spec.EndpointRun) int { return spec.ComparePublished(a.Published, b.Published) })
}

// target returns where a port leads; ok is false if no run has it.
func (c cover) target(k key) (t target, ok bool) {
	// The first run that begins behind the port follows the one that may have it.
	i, _ := slices.BinarySearchFunc(c, k, func(r spec.EndpointRun, k key) int {
		behind := cmp.Or(cmp.Compare(r.Proto, k.proto), r.HostIP.Compare(k.ip), cmp.Compare(r.First, k.port))
		if behind == 0 {
			return -1
		}
		return behind
	})
	if i == 0 {
		return target{}, false
	}
	r := c[i-1]
	if r.Proto != k.proto || r.HostIP != k.ip || k.port > r.Last {
		return target{}, false
	}
	return target{ip: r.ContainerIP, port: r.ContainerFirst + (k.port - r.First), endpoint: r.EndpointID, whole: r.ByDaemon}, true
}

// short cuts an id for messages; it may be of any length.
func short(id string) string { return id[:min(len(id), 12)] }
