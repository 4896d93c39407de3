package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gangway-net/gangway/integration/rawip"
)

// listenSCTP answers every INIT to the port with the identity line.
func listenSCTP(addr string, failed chan<- error) error {
	at, err := resolveSCTP(addr)
	if err != nil {
		return err
	}
	conn, err := net.ListenIP(rawip.NetworkSCTP(at.Addr()), &net.IPAddr{IP: at.Addr().AsSlice(), Zone: at.Addr().Zone()})
	if err != nil {
		return err
	}
	line := func(client netip.AddrPort) string {
		return identity(net.UDPAddrFromAddrPort(client), net.UDPAddrFromAddrPort(at))
	}
	go func() { report(failed, rawip.ServeSCTP(conn, at.Port(), line)) }()
	return nil
}

// getSCTP sends an INIT and returns the line of the answer.
func getSCTP(addr string, deadline time.Time) (string, error) {
	to, err := resolveSCTP(addr)
	if err != nil {
		return "", err
	}
	conn, err := net.DialIP(rawip.NetworkSCTP(to.Addr()), nil, &net.IPAddr{IP: to.Addr().AsSlice(), Zone: to.Addr().Zone()})
	if err != nil {
		return "", err
	}
	defer conn.Close() //nolint:errcheck // the answer is what counts
	if err = conn.SetDeadline(deadline); err != nil {
		return "", err
	}
	own := uint16(32768 + os.Getpid()%28000)
	line, err := rawip.AskSCTP(conn, own, to.Port())
	return strings.TrimSpace(line), err
}

func resolveSCTP(addr string) (netip.AddrPort, error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return netip.AddrPort{}, err
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("port of %s: %w", addr, err)
	}
	ip, err := net.ResolveIPAddr("ip", host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	at, ok := netip.AddrFromSlice(ip.IP)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("%s is no address", addr)
	}
	return netip.AddrPortFrom(at.Unmap().WithZone(ip.Zone), uint16(port)), nil
}
