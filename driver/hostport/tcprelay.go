package hostport

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// connFiles is what one relayed connection needs: two sockets, and a pipe
	// for splice(2) in each direction.
	connFiles = 6
	// acceptBatch bounds what one port accepts before others have their turn.
	acceptBatch = 32
	// acceptRetry is the pause after the kernel ran out of something.
	acceptRetry = time.Second
)

// tcpRelay accepts connections of one socket and joins each with one to the
// container, which is made on demand.
type tcpRelay struct {
	r    *relays
	fd   int
	ipv6 bool
	id   uint32

	// mu guards the rest.
	mu sync.Mutex
	to target
	connections
	closed bool
}

// connections are those of one relay.
type connections struct {
	// ctx ends every one of them. It comes with the first one: most
	// relays never have any, and there may be ten thousand.
	ctx    context.Context
	cancel context.CancelFunc
	conns  int
	// clients counts those of each.
	clients map[netip.Addr]int
	// paused says that there are as many as there may be.
	paused bool
}

func startTCP(r *relays, s *socket, to leads) relay {
	l := &tcpRelay{r: r, fd: s.fd, ipv6: s.ip.Is6(), to: to.of(s.ip), connections: connections{clients: map[netip.Addr]int{}}}
	// Until the id is known, an event has to wait.
	l.mu.Lock()
	defer l.mu.Unlock()
	l.id = r.poll.add(s.fd, l)
	return l
}

// ready accepts what waits. At a limit it stops listening to events, and the
// clients wait in the kernel's queue.
func (l *tcpRelay) ready() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range acceptBatch {
		if l.closed || l.full() {
			return
		}
		fd, from, err := unix.Accept4(l.fd, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		switch {
		case err == nil:
			l.take(fd, clientAddr(from))
		case errors.Is(err, unix.EAGAIN):
			return
		case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE), errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.ENOMEM):
			l.r.log.WithError(err).Warnf("relay to %s cannot accept connections", l.to.addrPort())
			l.pause()
			time.AfterFunc(acceptRetry, l.wake)
			return
		}
		// Any other error is about the one connection (accept(2)).
	}
}

// take serves an accepted connection, or refuses it if its client has its share of
// the port: it cannot wait where others have to pass. The caller holds mu.
func (l *tcpRelay) take(fd int, from netip.Addr) {
	if !l.r.fds.clientFits(from, connFiles, l.clients[from], l.conns, l.r.l.conns) {
		if l.r.fds.warn() {
			l.r.log.Warnf("a relayed connection of %s is refused, because it has its share of descriptors (relay to %s, %d connections)", from, l.to.addrPort(), l.clients[from])
		}
		_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		_ = unix.Close(fd)
		return
	}
	l.conns++
	l.clients[from]++
	l.r.fds.take(connFiles, from)
	if l.ctx == nil {
		l.ctx, l.cancel = context.WithCancel(l.r.ctx)
	}
	ctx, to := l.ctx, l.to
	l.r.running.Go(func() {
		defer l.give(from)
		l.serve(ctx, fd, to)
	})
}

// give counts the end of a connection.
func (l *tcpRelay) give(from netip.Addr) {
	l.mu.Lock()
	l.conns--
	if l.clients[from]--; l.clients[from] == 0 {
		delete(l.clients, from)
	}
	l.mu.Unlock()
	l.wake()
	l.r.fds.give(connFiles, from)
}

// clientAddr tells clients from each other. Of IPv6 it is a network: who has one
// address has as many as he wants.
func clientAddr(sa unix.Sockaddr) netip.Addr {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(a.Addr)
	case *unix.SockaddrInet6:
		return networkOf(netip.AddrFrom16(a.Addr))
	}
	return netip.Addr{}
}

func networkOf(a netip.Addr) netip.Addr {
	if a.Is4() || a.IsLoopback() {
		return a
	}
	return netip.PrefixFrom(a, 64).Masked().Addr()
}

// full says whether a limit is reached, and then pauses the relay until it is
// woken. The caller holds mu.
func (l *tcpRelay) full() bool {
	ok, warn := l.r.fds.fits(connFiles, l.conns, l.r.l.conns, l)
	if warn {
		l.r.log.Warnf("relayed connections wait, because the descriptors that their port may have are in use (relay to %s)", l.to.addrPort())
	}
	if !ok {
		l.pause()
	}
	return !ok
}

func (l *tcpRelay) pause() {
	l.paused = true
	l.r.poll.arm(l.fd, l.id, false)
}

// wake ends a pause.
func (l *tcpRelay) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.paused && !l.closed {
		l.paused = false
		l.r.poll.arm(l.fd, l.id, true)
	}
}

func (l *tcpRelay) redirect(to leads) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.to = to.four; l.ipv6 {
		l.to = to.six
	}
}

func (l *tcpRelay) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cancel != nil {
		l.cancel()
	}
	l.closed = true
	l.r.poll.remove(l.id)
}

// serve relays one connection until both directions have ended.
func (l *tcpRelay) serve(ctx context.Context, fd int, to target) {
	from, originErr := originOf(fd, l.ipv6)
	client, err := tcpConn(fd)
	if err != nil {
		l.r.log.WithError(err).Debug("accepted connection lost")
		return
	}
	defer func() { _ = client.Close() }()
	if originErr != nil || !l.r.admits(from, to) {
		l.r.log.WithError(errors.Join(originErr, errNotAdmitted)).Debugf("relay to %s", to.addrPort())
		reset(client)
		return
	}
	dialer := net.Dialer{Timeout: l.r.l.dial}
	conn, err := dialer.DialContext(ctx, "tcp", to.addrPort().String())
	if err != nil {
		l.r.log.WithError(err).Debugf("relay to %s", to.addrPort())
		reset(client)
		return
	}
	backend := conn.(*net.TCPConn)
	defer func() { _ = backend.Close() }()
	defer context.AfterFunc(ctx, func() { reset(client, backend) })()
	join(client, backend)
}

// join copies in both directions, passes on the end of each, and resets both
// connections if one is broken.
func join(a, b *net.TCPConn) {
	var other sync.WaitGroup
	other.Go(func() { forward(a, b) })
	forward(b, a)
	other.Wait()
}

func forward(to, from *net.TCPConn) {
	// On Linux this is splice(2): the data never enters the process.
	_, err := io.Copy(to, from)
	if err == nil {
		err = to.CloseWrite()
	}
	// ENOTCONN says that the other side has gone already; that direction
	// learns it by itself.
	if err != nil && !errors.Is(err, unix.ENOTCONN) {
		reset(to, from)
	}
}

// reset closes connections so that the peer sees a broken one, and not an end
// of data that is none.
func reset(conns ...*net.TCPConn) {
	for _, c := range conns {
		_ = c.SetLinger(0)
		_ = c.Close()
	}
}

func tcpConn(fd int) (*net.TCPConn, error) {
	f := os.NewFile(uintptr(fd), "relay")
	c, err := net.FileConn(f)
	err = errors.Join(err, f.Close())
	if err != nil {
		return nil, err
	}
	conn := c.(*net.TCPConn)
	// Peers that vanished must not keep one of a bounded number of places.
	_ = conn.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true})
	return conn, nil
}
