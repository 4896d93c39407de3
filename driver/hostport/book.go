package hostport

import (
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
	owners map[string]map[key]*socket
	ports  map[portKey][]*socket
}

func newBook() book {
	return book{owners: map[string]map[key]*socket{}, ports: map[portKey][]*socket{}}
}

func (b *book) add(s *socket) {
	own := b.owners[s.owner]
	if own == nil {
		own = map[key]*socket{}
		b.owners[s.owner] = own
	}
	own[s.key] = s
	pk := portKey{s.port, s.proto}
	b.ports[pk] = append(b.ports[pk], s)
}

func (b *book) remove(s *socket) {
	delete(b.owners[s.owner], s.key)
	if len(b.owners[s.owner]) == 0 {
		delete(b.owners, s.owner)
	}
	pk := portKey{s.port, s.proto}
	rest := slices.DeleteFunc(b.ports[pk], func(o *socket) bool { return o == s })
	if len(rest) == 0 {
		delete(b.ports, pk)
		return
	}
	b.ports[pk] = rest
}

// conflict returns the socket that k cannot exist beside, nil if there is none.
func (b *book) conflict(k key) *socket {
	for _, s := range b.ports[portKey{k.port, k.proto}] {
		if overlap(s.ip, k.ip) {
			return s
		}
	}
	return nil
}

// overlap says whether a packet may be for both host addresses. IPv6 sockets
// never take IPv4 packets here (IPV6_V6ONLY).
func overlap(a, b netip.Addr) bool {
	return a.Is4() == b.Is4() && (a == b || a.IsUnspecified() || b.IsUnspecified())
}

// expand lists the single ports of runs.
func expand(runs []spec.Published) map[key]target {
	out := map[key]target{}
	for _, r := range runs {
		for i := range r.Len() {
			k := key{ip: r.HostIP, port: r.First + uint16(i), proto: r.Proto}
			out[k] = target{ip: r.ContainerIP, port: r.ContainerFirst + uint16(i)}
		}
	}
	return out
}

// short cuts an id for messages; it may be of any length.
func short(id string) string { return id[:min(len(id), 12)] }
