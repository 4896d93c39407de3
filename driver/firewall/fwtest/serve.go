package fwtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// identity is the line a server answers with: its name and port, and the
// address it saw the client come from.
func identity(name string, port uint16, client netip.Addr) string {
	return fmt.Sprintf("%s:%d %s", name, port, client.Unmap().WithZone(""))
}

// serveTCP answers every line that comes in with the identity line, both
// families on one port, until the end of the test.
func serveTCP(t *testing.T, n *node, port uint16) {
	t.Helper()
	accepts(t, n, port, func(c net.Conn) { answerTCP(c, n.name, port) })
}

// accepts hands each connection to a port, of both families, to a function, until the end of
// the test.
func accepts(t *testing.T, n *node, port uint16, serve func(net.Conn)) {
	t.Helper()
	var l net.Listener
	n.must(t, func() (err error) {
		l, err = new(net.ListenConfig).Listen(context.Background(), "tcp", netip.AddrPortFrom(netip.IPv6Unspecified(), port).String())
		return err
	})
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
}

func answerTCP(c net.Conn, name string, port uint16) {
	defer c.Close() //nolint:errcheck // the client has its answer
	peer, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return
	}
	buf := make([]byte, 16)
	for {
		if _, err := c.Read(buf); err != nil {
			return
		}
		if _, err := io.WriteString(c, identity(name, port, peer.Addr())+"\n"); err != nil {
			return
		}
	}
}

func serveUDP(t *testing.T, n *node, port uint16) {
	t.Helper()
	c := listenUDP(t, n, netip.AddrPortFrom(netip.IPv6Unspecified(), port))
	go func() {
		buf := make([]byte, 64)
		for {
			_, peer, err := c.ReadFromUDPAddrPort(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				_, _ = c.WriteToUDPAddrPort([]byte(identity(n.name, port, peer.Addr())+"\n"), peer)
			}
		}
	}()
}

// listenUDP opens a socket that is closed at the end of the test.
func listenUDP(t *testing.T, n *node, at netip.AddrPort) *net.UDPConn {
	t.Helper()
	var c *net.UDPConn
	n.must(t, func() (err error) {
		c, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		return err
	})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// The ways in which asking can end, other than with an answer.
const (
	dropped     = "dropped"
	refused     = "refused"
	unreachable = "unreachable"
)

// ask sends one request from a node and returns the line of the answer, or
// dropped, refused or unreachable. Another failure is an error.
func ask(n *node, proto string, to netip.AddrPort, timeout time.Duration) (string, error) {
	deadline := time.Now().Add(timeout)
	var line string
	var err error
	switch proto {
	case "icmp":
		line, err = ping(n, to.Addr(), deadline)
	case "sctp":
		line, err = askSCTP(n, to, deadline)
	default:
		line, err = askSocket(n, proto, to, deadline)
	}
	var ne net.Error
	switch {
	case err == nil:
		return line, nil
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &ne) && ne.Timeout():
		return dropped, nil
	case errors.Is(err, unix.ECONNREFUSED):
		return refused, nil
	case errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.ENETUNREACH):
		return unreachable, nil
	}
	return "", err
}

func askSocket(n *node, proto string, to netip.AddrPort, deadline time.Time) (string, error) {
	c, err := dial(n, proto, to, deadline)
	if err != nil {
		return "", err
	}
	defer c.Close() //nolint:errcheck // the answer is what counts
	return askConn(c, deadline)
}

// dial connects a TCP or UDP socket of the node.
func dial(n *node, proto string, to netip.AddrPort, deadline time.Time) (net.Conn, error) {
	var c net.Conn
	err := n.do(func() (err error) {
		c, err = (&net.Dialer{Deadline: deadline}).DialContext(context.Background(), proto, to.String())
		return err
	})
	return c, err
}

// askConn asks once more on a connection that is open.
func askConn(c net.Conn, deadline time.Time) (string, error) {
	if err := c.SetDeadline(deadline); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, "who?\n"); err != nil {
		return "", err
	}
	buf := make([]byte, 128)
	got, err := c.Read(buf)
	if err != nil {
		return "", err
	}
	line, whole := strings.CutSuffix(string(buf[:got]), "\n")
	if !whole {
		return "", fmt.Errorf("answer %q is no line", line)
	}
	return line, nil
}
