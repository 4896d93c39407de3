package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

// serve answers on every pair of protocol and address until SIGTERM, and prints
// "ready" when all of them are bound. It listens on all before it answers any.
func serve(pairs []string) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	failed := make(chan error, 1)
	for i := 0; i < len(pairs); i += 2 {
		addrs, err := expand(pairs[i+1])
		if err != nil {
			return err
		}
		for _, addr := range addrs {
			if err := listen(pairs[i], addr, failed); err != nil {
				return fmt.Errorf("listen on %s %s: %w", pairs[i], addr, err)
			}
		}
	}
	fmt.Println("ready")
	select {
	case <-stop:
		return nil
	case err := <-failed:
		return err
	}
}

// expand turns HOST:FIRST-LAST into one address a port.
func expand(addr string) ([]string, error) {
	host, ports, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	first, last, isRange := strings.Cut(ports, "-")
	if !isRange {
		return []string{addr}, nil
	}
	lo, err := strconv.ParseUint(first, 10, 16)
	if err != nil {
		return nil, err
	}
	hi, err := strconv.ParseUint(last, 10, 16)
	if err != nil {
		return nil, err
	}
	var addrs []string
	for p := lo; p <= hi; p++ {
		addrs = append(addrs, net.JoinHostPort(host, strconv.FormatUint(p, 10)))
	}
	return addrs, nil
}

func listen(proto, addr string, failed chan<- error) error {
	if names, asked := strings.CutPrefix(proto, "dns:"); asked {
		return listenNames(names, addr, failed)
	}
	if folder, asked := strings.CutPrefix(proto, "npm:"); asked {
		return listenRegistry(folder, addr, failed)
	}
	switch {
	case proto == "tls":
		return listenTLS(addr, failed)
	case strings.HasPrefix(proto, "tcp"):
		l, err := new(net.ListenConfig).Listen(context.Background(), proto, addr)
		if err != nil {
			return err
		}
		go func() { report(failed, serveTCP(l)) }()
		return nil
	case strings.HasPrefix(proto, "udp"):
		return listenUDP(proto, addr, failed)
	case proto == "source":
		return listenSource(addr, failed)
	case proto == "sctp":
		return listenSCTP(addr, failed)
	}
	return fmt.Errorf("unknown protocol %q", proto)
}

// report passes on the first error only; the process ends with it.
func report(failed chan<- error, err error) {
	select {
	case failed <- err:
	default:
	}
}

// identity is the line a server answers with.
func identity(client, local net.Addr) string {
	host, err := os.Hostname()
	if err != nil {
		host = "?"
	}
	return fmt.Sprintf("client=%s local=%s host=%s", client, local, host)
}

func serveTCP(l net.Listener) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close() //nolint:errcheck // the client has gone anyway
			if _, err := fmt.Fprintln(conn, identity(conn.RemoteAddr(), conn.LocalAddr())); err != nil {
				return
			}
			// Every further line comes back, for streams.
			for r := bufio.NewReader(conn); ; {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				if _, err := io.WriteString(conn, line); err != nil {
					return
				}
			}
		}()
	}
}

// listenUDP answers each datagram with the identity line. A wildcard socket
// answers from the address that the datagram was sent to (IP_PKTINFO): a client
// behind NAT or with a connected socket takes no other.
func listenUDP(proto, addr string, failed chan<- error) error {
	pc, err := new(net.ListenConfig).ListenPacket(context.Background(), proto, addr)
	if err != nil {
		return err
	}
	conn, ok := pc.(*net.UDPConn)
	if !ok {
		return fmt.Errorf("%T is no UDP socket", pc)
	}
	if err := enablePktinfo(conn); err != nil {
		return err
	}
	go func() { report(failed, serveUDP(conn)) }()
	return nil
}

func serveUDP(conn *net.UDPConn) error {
	buf, oob := make([]byte, 2048), make([]byte, 256)
	for {
		_, oobn, _, client, err := conn.ReadMsgUDP(buf, oob)
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil {
			continue // an ICMP error for an earlier answer
		}
		dst, reply, err := destination(oob[:oobn])
		if err != nil {
			return err
		}
		local := &net.UDPAddr{IP: dst, Port: conn.LocalAddr().(*net.UDPAddr).Port}
		if _, _, err := conn.WriteMsgUDP([]byte(identity(client, local)+"\n"), reply, client); err != nil {
			fmt.Fprintln(os.Stderr, "probe: answer", client, err)
		}
	}
}
