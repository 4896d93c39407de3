package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// tunnel carries packets between a tun device of that name and a peer, each in a datagram with all bits turned over, so
// that nothing on the way is taken for what it carries. The end that listens (:PORT) answers whoever it has heard of last. The device gets
// an address and routes, and goes with the program.
func tunnel(name, addr, peer, routes string) error {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("open the tunnel: %w", err)
	}
	request, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		return fmt.Errorf("make tun %s: %w", name, err)
	}
	device := os.NewFile(uintptr(fd), name)
	commands := [][]string{{"addr", "add", addr, "dev", name}, {"link", "set", name, "mtu", "1400", "up"}}
	for route := range strings.SplitSeq(routes, ",") {
		commands = append(commands, append([]string{"route", "add"}, strings.Fields(route)...))
	}
	for _, c := range commands {
		if text, failed := exec.Command("ip", c...).CombinedOutput(); failed != nil {
			return fmt.Errorf("ip %v: %w: %s", c, failed, text)
		}
	}
	conn, to, err := ends(peer)
	if err != nil {
		return err
	}
	fmt.Println("ready", name)
	failed := make(chan error, 2)
	go func() { failed <- out(device, conn, to) }()
	go func() { failed <- in(device, conn, to) }()
	return <-failed
}

// ends opens the socket; to is the peer, as soon as it is known.
func ends(peer string) (*net.UDPConn, *atomic.Pointer[netip.AddrPort], error) {
	to := &atomic.Pointer[netip.AddrPort]{}
	if strings.HasPrefix(peer, ":") {
		local, err := net.ResolveUDPAddr("udp4", peer)
		if err != nil {
			return nil, nil, err
		}
		conn, err := net.ListenUDP("udp4", local)
		return conn, to, err
	}
	at, err := netip.ParseAddrPort(peer)
	if err != nil {
		return nil, nil, err
	}
	to.Store(&at)
	conn, err := net.ListenUDP("udp4", nil)
	return conn, to, err
}

func turned(b []byte) []byte {
	for i := range b {
		b[i] = ^b[i]
	}
	return b
}

// out sends what leaves by the device. What the peer refuses is lost, as on any way.
func out(device *os.File, conn *net.UDPConn, to *atomic.Pointer[netip.AddrPort]) error {
	buf := make([]byte, 1<<16)
	for {
		n, err := device.Read(buf)
		if err != nil {
			return err
		}
		if peer := to.Load(); peer != nil {
			_, _ = conn.WriteToUDPAddrPort(turned(buf[:n]), *peer)
		}
	}
}

// in has what the peer sends come by the device.
func in(device *os.File, conn *net.UDPConn, to *atomic.Pointer[netip.AddrPort]) error {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			continue // an error of an earlier datagram
		}
		to.Store(&from)
		if _, err = device.Write(turned(buf[:n])); err != nil && n > 0 {
			continue // what the kernel does not take
		}
	}
}
