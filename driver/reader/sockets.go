package reader

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// firstPort and lastPort bound where the sockets are: none that the kernel gives to clients.
// The same port after a restart leaves the rules as they are.
const firstPort, lastPort = 10117, 10180

// sockets are those of both families, at one port.
type sockets struct {
	r         *Reader
	port      uint16
	listeners []*net.TCPListener
	// ctx ends with them.
	ctx     context.Context
	end     context.CancelFunc
	running sync.WaitGroup
}

// listen opens the sockets on all links: rules, and what is asked of each connection, see to
// who comes. One for each bridge was rejected, as rules come before bridges.
func listen(r *Reader) (*sockets, error) {
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

func listenAt(r *Reader, port int) (*sockets, error) {
	s := &sockets{r: r, port: uint16(port)} //nolint:gosec // a port
	s.ctx, s.end = context.WithCancel(context.Background())
	var config net.ListenConfig
	// Of a connection by several ways each would have to be asked for.
	config.SetMultipathTCP(false)
	for _, six := range []bool{false, true} {
		family, at := "tcp4", fmt.Sprintf("0.0.0.0:%d", port)
		if six {
			family, at = "tcp6", fmt.Sprintf("[::]:%d", port)
		}
		l, err := config.Listen(s.ctx, family, at)
		if err != nil {
			if six && (errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL)) {
				continue // the host has no IPv6
			}
			s.close()
			return nil, err
		}
		s.listeners = append(s.listeners, l.(*net.TCPListener))
	}
	for i, l := range s.listeners {
		s.running.Go(func() { s.acceptAll(l, i == 1) })
	}
	return s, nil
}

// close ends all of them, and waits. Connections go on.
func (s *sockets) close() {
	s.end()
	for _, l := range s.listeners {
		_ = l.Close()
	}
	s.running.Wait()
}

// acceptAll serves connections until the socket is closed.
func (s *sockets) acceptAll(l *net.TCPListener, six bool) {
	for {
		conn, err := l.AcceptTCP()
		switch {
		case s.ctx.Err() != nil:
			if err == nil {
				reset(conn)
			}
			return
		case err != nil:
			select { // no descriptor is left for a moment
			case <-time.After(50 * time.Millisecond):
			case <-s.ctx.Done():
			}
			continue
		}
		s.serve(conn, six)
	}
}
