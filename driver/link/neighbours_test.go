package link_test

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/driver/link"
	"github.com/gangway-net/gangway/driver/spec"
)

// invented is how many senders a flood has. The kernel's table is for all
// namespaces of the machine (neigh_table.gc_entries), and takes 1024: a test that
// fills it cuts everybody off.
const invented = 60

// flood is messages that make whoever is asked remember who asks.
type flood struct {
	name string
	// first is the lowest of the senders.
	first  netip.Addr
	gate   netip.Addr
	router bool
}

func floods() []flood {
	gate4, gate6 := netip.MustParseAddr("10.7.0.1"), netip.MustParseAddr("fd07::1")
	var all []flood
	for name, first := range map[string]string{
		"ARP, of the network": "10.7.0.100", "ARP, outside of it": "198.51.100.1", "ARP, link-local": "169.254.9.1",
		"ND, of the network": "fd07::100", "ND, outside of it": "2001:db8::100", "ND, link-local": "fe80::c38b:21ff:ab01:100",
		"ND, of other MAC addresses": "fe80::42:aff:fe08:100",
	} {
		f := flood{name: name, first: netip.MustParseAddr(first), gate: gate4}
		if f.first.Is6() {
			f.gate = gate6
			router := f
			router.name, router.router = name+", for routers", true
			all = append(all, router)
		}
		all = append(all, f)
	}
	return all
}

// frames are the flood's.
func (f flood) frames(v spec.Veth) (all [][]byte) {
	sender := f.first
	for range invented {
		if sender.Is4() {
			all = append(all, link.RequestARP(sender, f.gate, v.MAC))
		} else {
			all = append(all, f.discovery(v, sender))
		}
		sender = sender.Next()
	}
	return all
}

func (f flood) discovery(v spec.Veth, sender netip.Addr) []byte {
	option := append([]byte{1, 1}, v.MAC...) // the sender's hardware address
	if f.router {
		return link.Discovery(v.MAC, sender, netip.IPv6LinkLocalAllRouters(), append([]byte{133, 0, 0, 0, 0, 0, 0, 0}, option...))
	}
	message := append([]byte{135, 0, 0, 0, 0, 0, 0, 0}, f.gate.AsSlice()...)
	return link.Discovery(v.MAC, sender, netip.MustParseAddr("ff02::1:ff00:1"), append(message, option...))
}

// remembered counts the addresses that the host knows at the container's hardware
// address.
func (w *wire) remembered() int {
	w.t.Helper()
	return strings.Count(w.sh("ip neigh show dev br0 nud all"), w.sender.MAC.String())
}

// TestNeighboursAreFew: whatever addresses a container invents in ARP and
// neighbour discovery, the host remembers none of them. Without the filter it
// remembers them all.
func TestNeighboursAreFew(t *testing.T) {
	for name, want := range map[string]int{"filtered": 0, "not filtered": invented} {
		for _, f := range floods() {
			t.Run(name+"/"+f.name, func(t *testing.T) {
				bridged(t, func(x fixture, _ spec.Veth) {
					w := gatewayed(x, name)
					for _, frame := range f.frames(w.sender) {
						w.send(w.from, frame)
					}
					w.arrives(link.GratuitousARP(w.sender.Addresses[0], w.sender.MAC))
					if got := w.remembered(); got != want {
						t.Errorf("the host remembers %d addresses, want %d", got, want)
					}
				})
			})
		}
	}
}

// gatewayed is a wire whose host has the gateway's addresses, and answers those
// who ask for routers.
func gatewayed(x fixture, name string) *wire {
	x.t.Helper()
	x.set("net/ipv6/conf/all/forwarding", "1")
	// The kernel of the new links is silent.
	x.set("net/ipv6/conf/default/disable_ipv6", "1")
	for _, address := range []string{"10.7.0.1/24", "fd07::1/64 nodad"} {
		x.sh("ip addr add " + address + " dev br0")
	}
	x.eventually("the group of those who ask for the gateway", func() error {
		if show := x.sh("ip maddr show dev br0"); !strings.Contains(show, "ff02::1:ff00:1") {
			return errors.New(show)
		}
		return nil
	})
	if name == "filtered" {
		return newWire(x, filtered)
	}
	return newWire(x, func(v spec.Veth) spec.Veth { v.Addresses = filtered(v).Addresses; return v })
}

// TestNeighboursOfItsOwn: the host remembers what is the container's, in each of
// the ways to ask.
func TestNeighboursOfItsOwn(t *testing.T) {
	bridged(t, func(x fixture, _ spec.Veth) {
		w := gatewayed(x, "filtered")
		own := []netip.Addr{w.sender.Addresses[0], w.sender.Addresses[1], netip.MustParseAddr("fe80::42:aff:fe07:2"), netip.MustParseAddr("fe80::1")}
		for _, a := range own {
			f := flood{first: a, gate: netip.MustParseAddr("10.7.0.1")}
			if a.Is6() {
				f.gate = netip.MustParseAddr("fd07::1")
			}
			_, heard := w.arrives(f.frames(w.sender)[0])
			if !heard {
				t.Errorf("the question of %s is dropped", a)
			}
		}
		if got := w.remembered(); got != len(own) {
			t.Errorf("the host remembers %d addresses, want %d:\n%s", got, len(own), w.sh("ip neigh show dev br0"))
		}
	})
}

// answerOfDHCP is what a client takes for an answer of a server, without its
// content.
func answerOfDHCP(v spec.Veth) (ipv4, ipv6 []byte) {
	datagram := func(port uint16) []byte {
		return append(binary.BigEndian.AppendUint16([]byte{0, 67}, port), 0, 8, 0, 0)
	}
	header := header4(v.Addresses[0])
	header[9], header[3] = 17, 28
	header[10], header[11] = 0, 0
	binary.BigEndian.PutUint16(header[10:], link.Checksum(header))
	ipv4 = append(append(append(append([]byte{}, everybody...), v.MAC...), 8, 0), append(header, datagram(68)...)...)
	ipv6 = link.Discovery(v.MAC, v.Addresses[1], netip.IPv6LinkLocalAllNodes(), make([]byte, 8))
	ipv6[20] = 17
	copy(ipv6[54:], datagram(546))
	return ipv4, ipv6
}
