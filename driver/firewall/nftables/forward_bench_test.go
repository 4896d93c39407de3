package nftables

import (
	"encoding/binary"
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/integration/nstest"
)

// BenchmarkForward is the way of a packet through the host, which the kernel goes
// in the call that sends it: from one link to another of others, and to a bridge
// of gangway.
func BenchmarkForward(b *testing.B) {
	network := firewall.Ruleset{Networks: []firewall.Network{{
		ID: id("a"), Bridge: "gw-aaaaaaaaaaaa", ICC: true, Unprotected: prefixes("10.200.0.0/24"),
	}}}
	for _, to := range []struct{ name, addr string }{{"others", "10.9.0.2"}, {"bridge", "10.200.0.2"}} {
		for _, rules := range []struct {
			name string
			with *Options
		}{
			{"none", nil},
			{"owner", &Options{Log: quiet()}},
			{"shared", &Options{Log: quiet(), Shared: true, Valveless: true}},
			{"shared+valve", &Options{Log: quiet(), Shared: true}},
		} {
			b.Run(to.name+"/"+rules.name, func(b *testing.B) {
				nstest.Do(&testing.T{}, func() {
					send := forwarder(b, to.addr)
					if rules.with != nil {
						add(b, startWith(b, *rules.with), network)
					}
					for b.Loop() {
						send()
					}
				})
			})
		}
	}
}

// forwarder makes a host with a link that packets come by, one of others and a
// bridge of gangway, and returns what sends a packet by the first.
func forwarder(b *testing.B, to string) (send func()) {
	b.Helper()
	sh(b, `ip link add in type veth peer name wire; ip link add other type dummy; ip link add gw-aaaaaaaaaaaa group 18263 type bridge
		for l in in wire other gw-aaaaaaaaaaaa; do ip link set $l up; done
		ip addr add 10.8.0.1/24 dev in; ip addr add 10.9.0.1/24 dev other; ip addr add 10.200.0.1/24 dev gw-aaaaaaaaaaaa
		ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev other; ip neigh add 10.200.0.2 lladdr 02:00:00:00:00:02 dev gw-aaaaaaaaaaaa
		echo 1 >/proc/sys/net/ipv4/ip_forward`)
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
