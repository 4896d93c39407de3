package main

import (
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/gangway-net/gangway/integration/rawip"
)

// ping sends one echo request with a sequence number and waits for its reply.
func ping(host string, sequence uint16, timeout time.Duration) error {
	dst, err := net.ResolveIPAddr("ip", host)
	if err != nil {
		return err
	}
	addr, _ := netip.AddrFromSlice(dst.IP)
	conn, err := net.DialIP(rawip.NetworkICMP(addr), nil, dst)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // the reply is what counts
	if err = conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	_, err = rawip.Ping(conn, uint16(os.Getpid()), sequence)
	return err
}
