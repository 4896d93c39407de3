package dhcp

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/gangway-net/gangway/ipam/lease"
)

// Options are what a Server works with.
type Options struct {
	// Awake sets a link up that is down, until release is called.
	Awake func(ctx context.Context, link string) (release func(), err error)
}

// Server is lease.Server on the wire. It keeps nothing, and is safe for concurrent use.
type Server struct{ o Options }

var _ lease.Server = (*Server)(nil)

// New returns a Server.
func New(o Options) *Server { return &Server{o} }

// Discover is lease.Server's. Without a hardware address it asks as the link itself, which may be
// down: it is up until there is an answer.
func (s *Server) Discover(ctx context.Context, a lease.Ask) (lease.Lease, error) {
	mac, err := hardware(a.MAC)
	if err != nil {
		return lease.Lease{}, err
	}
	if mac == nil {
		release, failed := s.o.Awake(ctx, a.Link)
		if failed != nil {
			return lease.Lease{}, failed
		}
		defer release()
	}
	m, err := message(dhcpv4.MessageTypeDiscover, mac, a.Name, dhcpv4.WithBroadcast(true), wish(a.Wish, netip.Addr{}))
	if err != nil {
		return lease.Lease{}, err
	}
	r, err := ask(ctx, question{link: a.Link, message: m, way: toAll(mac), judge: func(m *dhcpv4.DHCPv4, via net.HardwareAddr) (worth, error) {
		if m.MessageType() != dhcpv4.MessageTypeOffer {
			return nothing, nil
		}
		l, wrong := parse(a, m, via, time.Time{})
		switch {
		case wrong != nil:
			return nothing, wrong
		case a.Wish.IsValid() && l.Address.Addr() != a.Wish:
			return second, nil
		}
		return best, nil
	}})
	if err != nil {
		return lease.Lease{}, err
	}
	return parse(a, r.message, r.via, r.asked)
}

// Request is lease.Server's. What other servers say does not count.
func (s *Server) Request(ctx context.Context, a lease.Ask, offer lease.Lease) (lease.Lease, error) {
	mac, err := hardware(a.MAC)
	if err != nil {
		return lease.Lease{}, err
	}
	m, err := message(dhcpv4.MessageTypeRequest, mac, a.Name, dhcpv4.WithBroadcast(true), wish(offer.Address.Addr(), offer.Server))
	if err != nil {
		return lease.Lease{}, err
	}
	return take(ctx, a, question{link: a.Link, message: m, way: toAll(mac)}, func(server netip.Addr) bool { return server == offer.Server })
}

// Extend is lease.Server's. The question comes from the container's address, which the answer is
// for.
func (s *Server) Extend(ctx context.Context, l lease.Lease, everybody bool) (lease.Lease, error) {
	mac, err := hardware(l.MAC)
	if err != nil {
		return lease.Lease{}, err
	}
	m, err := message(dhcpv4.MessageTypeRequest, mac, l.Name, dhcpv4.WithClientIP(l.Address.Addr().AsSlice()))
	if err != nil {
		return lease.Lease{}, err
	}
	q := question{link: l.Link, message: m, way: toServer(l, mac)}
	if everybody {
		q.to, q.toMAC = broadcastAddr(), broadcastMAC()
	}
	return take(ctx, lease.Ask{Link: l.Link, MAC: l.MAC, Name: l.Name}, q, func(server netip.Addr) bool { return everybody || server == l.Server })
}

// take sends a request and returns what a server grants that counts. A refusal is taken where
// nobody else grants the address meanwhile: a second server may know nothing of the first one's.
func take(ctx context.Context, a lease.Ask, q question, counts func(server netip.Addr) bool) (lease.Lease, error) {
	q.judge = func(m *dhcpv4.DHCPv4, via net.HardwareAddr) (worth, error) {
		switch kind := m.MessageType(); {
		case !counts(toAddr(m.ServerIdentifier())):
			return nothing, nil
		case kind == dhcpv4.MessageTypeNak:
			return second, nil
		case kind != dhcpv4.MessageTypeAck:
			return nothing, nil
		}
		_, err := parse(a, m, via, time.Time{})
		if err != nil {
			return nothing, err
		}
		return best, nil
	}
	r, err := ask(ctx, q)
	if err != nil {
		return lease.Lease{}, err
	}
	if r.message.MessageType() == dhcpv4.MessageTypeNak {
		return lease.Lease{}, &lease.RefusedError{Server: toAddr(r.message.ServerIdentifier()), Message: r.message.Message()}
	}
	return parse(a, r.message, r.via, r.asked)
}

// GiveUp is lease.Server's.
func (s *Server) GiveUp(_ context.Context, l lease.Lease, used bool) error {
	mac, err := hardware(l.MAC)
	if err != nil {
		return err
	}
	a := l.Address.Addr()
	kind, w, more := dhcpv4.MessageTypeRelease, toServer(l, mac), dhcpv4.WithClientIP(a.AsSlice())
	if used {
		// Its sender has no address (RFC 2131, 4.4.4).
		kind, w, more = dhcpv4.MessageTypeDecline, toAll(mac), wish(a, netip.Addr{})
	}
	m, err := message(kind, mac, "", wish(netip.Addr{}, l.Server), more)
	if err != nil {
		return err
	}
	m.DeleteOption(dhcpv4.OptionParameterRequestList)
	at, err := listen(l.Link)
	if err != nil {
		return err
	}
	defer at.close()
	return at.send(w.frame(m.ToBytes()))
}

// toAll is the way of who has no address to whoever is a server.
func toAll(mac net.HardwareAddr) way {
	return way{fromMAC: mac, toMAC: broadcastMAC(), from: netip.IPv4Unspecified(), to: broadcastAddr()}
}

// toServer is the way from who has a lease to its server.
func toServer(l lease.Lease, mac net.HardwareAddr) way {
	w := way{fromMAC: mac, toMAC: broadcastMAC(), from: l.Address.Addr(), to: l.Server}
	if via, err := net.ParseMAC(l.Via); err == nil && len(via) == macLen {
		w.toMAC = via
	}
	return w
}

func broadcastAddr() netip.Addr { return netip.AddrFrom4([4]byte{255, 255, 255, 255}) }

// hardware reads a hardware address; nil for none.
func hardware(text string) (net.HardwareAddr, error) {
	if text == "" {
		return nil, nil
	}
	mac, err := net.ParseMAC(text)
	if err != nil || len(mac) != macLen {
		return nil, fmt.Errorf("hardware address %q of a container: want six bytes, such as 02:42:0a:00:00:02", text)
	}
	return mac, nil
}
