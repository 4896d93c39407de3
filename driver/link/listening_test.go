package link_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gangway-net/gangway/driver/link"
	"github.com/gangway-net/gangway/driver/spec"
)

// listen opens a socket: "udp 0.0.0.0:53", or with the peer that it is connected to.
func listen(t testing.TB, network, at, peer string) (closed func()) {
	t.Helper()
	var c interface{ Close() error }
	var err error
	switch {
	case peer != "":
		var local *net.UDPAddr
		if local, err = net.ResolveUDPAddr(network, at); err == nil {
			c, err = (&net.Dialer{LocalAddr: local}).Dial(network, peer)
		}
	case network[:3] == "tcp":
		c, err = net.Listen(network, at)
	default:
		c, err = net.ListenPacket(network, at)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() { _ = c.Close() }
}

// TestListening: what the host listens on is told, wherever the socket is of, and not who
// only asks others, nor what only the host itself reaches.
func TestListening(t *testing.T) {
	inside(t, func(f fixture) {
		f.sh("ip link set lo up")
		f.sh("ip addr add 192.0.2.1/32 dev lo")
		f.sh("ip link add vx type vxlan id 7 dstport 47890")
		f.sh("ip link set vx up")
		for _, s := range [][3]string{
			{"udp4", "0.0.0.0:51820"}, {"udp6", "[::]:40003"}, {"udp4", "192.0.2.1:40005"}, {"tcp", "[::]:40004"}, {"tcp4", "192.0.2.1:32768"},
			{"udp4", "0.0.0.0:65535"}, {"tcp4", "0.0.0.0:51820"},
			{"udp4", "127.0.0.1:40002"}, {"udp6", "[::1]:40002"}, {"tcp4", "127.0.0.5:40002"},
			{"udp4", "0.0.0.0:32767"}, {"tcp4", "0.0.0.0:5000"},
			{"udp4", "192.0.2.1:40001", "192.0.2.1:51820"},
		} {
			defer listen(f.t, s[0], s[1], s[2])()
		}
		client, err := (&net.Dialer{LocalAddr: &net.TCPAddr{Port: 40006}}).Dial("tcp", "192.0.2.1:40004")
		if err != nil {
			f.t.Fatal(err)
		}
		defer client.Close()
		f.listens(32768, nil, "tcp 32768", "tcp 40004", "tcp 51820", "udp 40003", "udp 40005", "udp 47890", "udp 51820", "udp 65535")
		f.listens(32769, nil, "tcp 40004", "tcp 51820", "udp 40003", "udp 40005", "udp 47890", "udp 51820", "udp 65535")
		f.listens(32768, map[spec.Protocol][]spec.Span{spec.UDP: {{First: 40003, Last: 40004}, {First: 40006, Last: 47889}, {First: 51820, Last: 51820}}},
			"tcp 32768", "tcp 40004", "tcp 51820", "udp 40005", "udp 47890", "udp 65535")
		f.listens(32768, map[spec.Protocol][]spec.Span{spec.TCP: {{First: 32768, Last: 40004}}, spec.UDP: {{First: 40005, Last: 40005}, {First: 51820, Last: 65535}}},
			"tcp 51820", "udp 40003", "udp 47890")
		many := map[spec.Protocol][]spec.Span{spec.TCP: {{First: 32768, Last: 65535}}}
		for port := uint16(33001); port < 40000; port += 2 {
			many[spec.UDP] = append(many[spec.UDP], spec.Span{First: port, Last: port})
		}
		many[spec.UDP] = append(many[spec.UDP], spec.Span{First: 40003, Last: 51820})
		f.listens(32768, many, "udp 65535")
	})
}

func (f fixture) listens(first uint16, without map[spec.Protocol][]spec.Span, want ...string) {
	f.t.Helper()
	found, err := f.Listening(context.Background(), first, without)
	if err != nil {
		f.t.Error(err)
	}
	var got []string
	for l := range found {
		got = append(got, fmt.Sprint(l.Proto, " ", l.Port))
	}
	slices.Sort(got)
	if d := cmp.Diff(want, got); d != "" {
		f.t.Errorf("from %d on without %d spans (-want +got):\n%s", first, len(without[spec.UDP]), d)
	}
}

// BenchmarkListening asks a host with ten thousand reserved UDP ports beside.
func BenchmarkListening(b *testing.B) {
	h, err := link.New(link.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	made := 0
	for _, n := range []int{0, 1000, 10000} {
		for ; made < n; made++ {
			b.Cleanup(listen(b, "udp4", fmt.Sprintf("0.0.0.0:%d", 33000+made), ""))
		}
		for name, without := range map[string][]spec.Span{"told": nil, "left out": {{First: 33000, Last: 43000}}} {
			b.Run(fmt.Sprintf("%d sockets, %s", n, name), func(b *testing.B) {
				for b.Loop() {
					if _, err := h.Listening(context.Background(), 32768, map[spec.Protocol][]spec.Span{spec.UDP: without}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
