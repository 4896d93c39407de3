package fwtest

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/integration/nstest"
)

// Forward measures the way of a packet through the host, which the kernel goes in
// the call that sends it: from one link to another of others, and to a bridge of
// gangway. The host has nobody's rules but the backend's; newBackend may be nil.
func Forward(b *testing.B, newBackend NewBackend) {
	network := firewall.Ruleset{Networks: []firewall.Network{{
		ID: longID("a"), Bridge: forwardBridge, ICC: true, Unprotected: firewall.Families{V4: true}, Subnets: []netip.Prefix{netip.MustParsePrefix("10.200.0.0/24")},
	}}}
	for _, to := range []struct{ name, addr string }{{"others", "10.9.0.2"}, {"bridge", "10.200.0.2"}} {
		b.Run(to.name, func(b *testing.B) {
			nstest.Do(&testing.T{}, func() {
				send := forwarder(b, to.addr)
				if newBackend != nil {
					backend, err := newBackend(b.Context())
					if err != nil {
						b.Fatal(err)
					}
					if c, ok := backend.(interface{ Close() }); ok {
						defer c.Close()
					}
					if err := backend.Apply(b.Context(), firewall.Delta{Add: network}); err != nil {
						b.Fatal(err)
					}
				}
				before := threadTime(b)
				for b.Loop() {
					send()
				}
				b.ReportMetric(float64(threadTime(b)-before)/float64(b.N), "cpu-ns/op")
			})
		})
	}
}

// threadTime is what the calling thread has had of the processor: on a machine
// that does more, it says more than the clock.
func threadTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// forwardBridge is gangway's.
const forwardBridge = "gw-aaaaaaaaaaaa"

// forwarder makes a host with a link that packets come by, one of others and a
// bridge of gangway, and returns what sends a packet by the first.
func forwarder(b *testing.B, to string) (send func()) {
	b.Helper()
	script := `ip link add in type veth peer name wire; ip link add other type veth peer name far; ip link add gw-aaaaaaaaaaaa group 18263 type bridge
		for l in in wire other far gw-aaaaaaaaaaaa; do ip link set $l up; done
		ip addr add 10.8.0.1/24 dev in; ip addr add 10.9.0.1/24 dev other; ip addr add 10.200.0.1/24 dev gw-aaaaaaaaaaaa
		ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev other; ip neigh add 10.200.0.2 lladdr 02:00:00:00:00:02 dev gw-aaaaaaaaaaaa
		echo 1 >/proc/sys/net/ipv4/ip_forward`
	if out, err := exec.CommandContext(b.Context(), "sh", "-ec", script).CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	in, err := net.InterfaceByName("in")
	if err != nil {
		b.Fatal(err)
	}
	wire, err := net.InterfaceByName("wire")
	if err != nil {
		b.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = unix.Close(fd) })
	frame := append(append([]byte(in.HardwareAddr), wire.HardwareAddr...), 0x08, 0)
	ip := []byte{0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, unix.IPPROTO_UDP, 0, 0, 10, 8, 0, 2}
	ip = append(ip, net.ParseIP(to).To4()...)
	sum := uint32(0)
	for i := 0; i < len(ip); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum))
	frame = append(append(frame, ip...), 0x13, 0x88, 0, 80, 0, 8, 0, 0) // a datagram without a checksum
	dest := &unix.SockaddrLinklayer{Ifindex: wire.Index, Halen: 6}
	return func() {
		if err := unix.Sendto(fd, frame, 0, dest); err != nil {
			b.Fatal(err)
		}
	}
}
