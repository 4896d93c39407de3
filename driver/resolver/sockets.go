package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

const (
	// firstPort and lastPort bound where the sockets are: none that the kernel gives to
	// clients. The same port after a restart leaves the rules as they are.
	firstPort, lastPort = 10053, 10116
	// questionTime bounds all that one question takes. Who asks by TCP gets idleTime for
	// the next one.
	questionTime = 5 * time.Second
	idleTime     = 10 * time.Second
	// receiveBuffer takes what all containers may ask at once, for a while.
	receiveBuffer = 1 << 20
	// mostUDP is the largest question; larger ones have nothing that is passed on.
	mostUDP = 4096
)

// sockets are those of both families, by UDP and TCP, at one port.
type sockets struct {
	r    *Resolver
	port uint16
	// ctx ends with them.
	ctx         context.Context
	end         context.CancelFunc
	running     sync.WaitGroup
	closers     []func() error
	connections shares
}

// listen opens the sockets on all links: rules and served see to who asks. One for each
// bridge was rejected, as rules come before bridges.
func listen(r *Resolver) (*sockets, error) {
	var failed error
	for port := firstPort; port <= lastPort; port++ {
		s, err := listenAt(r, port)
		if err == nil {
			return s, nil
		}
		if failed = err; !errors.Is(err, unix.EADDRINUSE) {
			break
		}
	}
	return nil, fmt.Errorf("open a port from %d to %d: %w", firstPort, lastPort, failed)
}

func listenAt(r *Resolver, port int) (*sockets, error) {
	s := &sockets{r: r, port: uint16(port), connections: newShares(mostConnections, mostOfClient)} //nolint:gosec // a port
	s.ctx, s.end = context.WithCancel(context.Background())
	var config net.ListenConfig
	for _, six := range []bool{false, true} {
		family := map[bool]string{false: "4", true: "6"}[six]
		at := fmt.Sprintf("%s:%d", map[bool]string{false: "0.0.0.0", true: "[::]"}[six], port)
		packets, err := config.ListenPacket(s.ctx, "udp"+family, at)
		if err != nil {
			if six && (errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL)) {
				continue // the host has no IPv6
			}
			s.close()
			return nil, err
		}
		s.closers = append(s.closers, packets.Close)
		_ = packets.(*net.UDPConn).SetReadBuffer(receiveBuffer) // as far as the host allows
		connections, err := config.Listen(s.ctx, "tcp"+family, at)
		if err != nil {
			s.close()
			return nil, err
		}
		s.closers = append(s.closers, connections.Close)
		read, err := datagrams(packets, six)
		if err != nil {
			s.close()
			return nil, err
		}
		s.running.Go(func() { s.readAll(read) })
		s.running.Go(func() { s.acceptAll(connections.(*net.TCPListener), six) })
	}
	return s, nil
}

// close ends all of them, and waits.
func (s *sockets) close() {
	s.end()
	for _, c := range s.closers {
		_ = c()
	}
	s.running.Wait()
}

// question is one datagram, with what the kernel says of it.
type question struct {
	link          int
	client, local netip.AddrPort
	size          int
	// answer sends back from where it came to.
	answer func(b []byte)
}

// datagrams returns what reads them, of a family.
func datagrams(c net.PacketConn, six bool) (func(b []byte) (question, error), error) {
	clientOf := func(a net.Addr) netip.AddrPort {
		p := a.(*net.UDPAddr).AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	of := func(n, link int, from net.Addr, to net.IP) question {
		local, _ := netip.AddrFromSlice(to)
		return question{link: link, client: clientOf(from), local: netip.AddrPortFrom(local.Unmap(), 0), size: n}
	}
	if !six {
		p := ipv4.NewPacketConn(c)
		return func(b []byte) (question, error) {
			n, m, from, err := p.ReadFrom(b)
			if err != nil || m == nil {
				return question{}, err
			}
			q := of(n, m.IfIndex, from, m.Dst)
			q.answer = func(b []byte) { _, _ = p.WriteTo(b, &ipv4.ControlMessage{Src: m.Dst}, from) }
			return q, nil
		}, p.SetControlMessage(ipv4.FlagDst|ipv4.FlagInterface, true)
	}
	p := ipv6.NewPacketConn(c)
	return func(b []byte) (question, error) {
		n, m, from, err := p.ReadFrom(b)
		if err != nil || m == nil {
			return question{}, err
		}
		q := of(n, m.IfIndex, from, m.Dst)
		q.answer = func(b []byte) { _, _ = p.WriteTo(b, &ipv6.ControlMessage{Src: m.Dst}, from) }
		return q, nil
	}, p.SetControlMessage(ipv6.FlagDst|ipv6.FlagInterface, true)
}

// readAll answers datagrams until the socket is closed.
func (s *sockets) readAll(read func([]byte) (question, error)) {
	buffer := make([]byte, mostUDP)
	for {
		q, err := read(buffer)
		switch {
		case s.ctx.Err() != nil:
			return
		case err != nil || q.answer == nil || q.size == len(buffer):
			continue // an answer that could not be sent, or too much
		}
		q.local = netip.AddrPortFrom(q.local.Addr(), s.port)
		of, served := s.served(q.link, q.client.Addr())
		if !served || !s.r.shares.take(q.client.Addr()) {
			continue
		}
		text := append([]byte(nil), buffer[:q.size]...)
		s.running.Go(func() {
			defer s.r.shares.give(q.client.Addr())
			answer := s.answer(client{of, q.client, q.local, unix.IPPROTO_UDP}, text)
			if answer != nil {
				q.answer(answer)
			}
		})
	}
}

// served says whose policy counts for a question that came by a link.
func (s *sockets) served(link int, from netip.Addr) (bound, bool) {
	name, err := s.r.links.name(link)
	if err != nil {
		return bound{}, false
	}
	return s.r.book.find(name, from)
}

// answer is what a question gets; nil for nothing.
func (s *sockets) answer(c client, text []byte) []byte {
	ctx, cancel := context.WithTimeout(s.ctx, questionTime)
	defer cancel()
	var q dns.Msg
	if q.Unpack(text) != nil || q.Response {
		return nil
	}
	m := s.r.reply(ctx, c, &q)
	if c.proto == unix.IPPROTO_UDP {
		m.Truncate(sizeFor(&q))
	}
	b, err := m.Pack()
	if err != nil {
		b, _ = failed(&q, dns.RcodeServerFailure).Pack()
	}
	return b
}

// acceptAll serves connections until the socket is closed.
func (s *sockets) acceptAll(l *net.TCPListener, six bool) {
	for {
		conn, err := l.AcceptTCP()
		switch {
		case s.ctx.Err() != nil:
			return
		case err != nil:
			select { // no descriptor is left for a moment
			case <-time.After(50 * time.Millisecond):
			case <-s.ctx.Done():
			}
			continue
		}
		s.running.Go(func() {
			defer func() { _ = conn.Close() }()
			stop := context.AfterFunc(s.ctx, func() { _ = conn.Close() })
			defer stop()
			s.serve(conn, six)
		})
	}
}

// serve answers what comes by a connection, one question after the other.
func (s *sockets) serve(conn *net.TCPConn, six bool) {
	from := conn.RemoteAddr().(*net.TCPAddr).AddrPort()
	from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	local := conn.LocalAddr().(*net.TCPAddr).AddrPort()
	local = netip.AddrPortFrom(local.Addr().Unmap(), local.Port())
	if !s.connections.take(from.Addr()) {
		return
	}
	defer s.connections.give(from.Addr())
	link, err := s.linkOf(conn, six)
	if err != nil {
		return
	}
	by := &dns.Conn{Conn: conn}
	for {
		// The policy may be another one with the next question.
		of, served := s.served(link, from.Addr())
		if !served || conn.SetDeadline(time.Now().Add(idleTime)) != nil {
			return
		}
		text, err := by.ReadMsgHeader(nil)
		if err != nil || !s.r.shares.take(from.Addr()) {
			return
		}
		answer := s.answer(client{of, from, local, unix.IPPROTO_TCP}, text)
		s.r.shares.give(from.Addr())
		if answer == nil {
			return
		}
		if _, err = by.Write(answer); err != nil {
			return
		}
	}
}

func (s *sockets) linkOf(conn syscall.Conn, six bool) (link int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	failed := raw.Control(func(fd uintptr) { link, err = s.r.o.Host.Came(int(fd), six) }) //nolint:gosec // a descriptor
	return link, errors.Join(err, failed)
}
