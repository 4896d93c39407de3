package dhcp_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"

	"github.com/gangway-net/gangway/ipam/lease"
)

// second is another server on the LAN, as its script says.
type second struct {
	mu sync.Mutex
	// answer gives the answers to a message, one after the other.
	answer func(m *dhcpv4.DHCPv4) []*dhcpv4.DHCPv4
	heard  []*dhcpv4.DHCPv4
}

// serve starts it in the namespace of the calling thread.
func (s *second) serve(t *testing.T) {
	server, err := server4.NewServer("lan0", &net.UDPAddr{Port: 67}, func(conn net.PacketConn, _ net.Addr, m *dhcpv4.DHCPv4) {
		s.mu.Lock()
		s.heard = append(s.heard, m)
		s.mu.Unlock()
		for _, a := range s.answer(m) {
			if _, err := conn.WriteTo(a.ToBytes(), &net.UDPAddr{IP: net.IPv4bcast, Port: 68}); err != nil {
				t.Errorf("answer: %v", err)
			}
		}
	})
	if err != nil {
		t.Errorf("serve: %v", err)
		return
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve() }()
	t.Cleanup(func() { _ = server.Close(); <-done })
}

func reply(m *dhcpv4.DHCPv4, kind dhcpv4.MessageType, server, a string, more ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
	r, err := dhcpv4.NewReplyFromRequest(m, append([]dhcpv4.Modifier{
		dhcpv4.WithMessageType(kind), dhcpv4.WithYourIP(net.ParseIP(a)), dhcpv4.WithServerIP(net.ParseIP(server)),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.ParseIP(server))),
		dhcpv4.WithOption(dhcpv4.OptSubnetMask(net.CIDRMask(24, 32))), dhcpv4.WithOption(dhcpv4.OptRouter(net.ParseIP(router))),
		dhcpv4.WithOption(dhcpv4.OptIPAddressLeaseTime(time.Hour)),
	}, more...)...)
	if err != nil {
		panic(err)
	}
	return r
}

func refusal(m *dhcpv4.DHCPv4, server string) *dhcpv4.DHCPv4 {
	return reply(m, dhcpv4.MessageTypeNak, server, "0.0.0.0", dhcpv4.WithOption(dhcpv4.OptMessage("go away")))
}

// served is a lease of a server that is not asked.
func served(server string) lease.Lease {
	return lease.Lease{Link: "eth1", MAC: macA, Address: netipPrefix("10.85.0.9/24"), Server: addr(server)}
}

// secondCase is what two servers answer to a question, and what counts of it.
type secondCase struct {
	answer func(m *dhcpv4.DHCPv4) []*dhcpv4.DHCPv4
	do     func(ctx context.Context, s lease.Server) (lease.Lease, error)
	// want is the address, or "" for a refusal.
	want string
}

func secondCases(t *testing.T) map[string]secondCase {
	const one, two = "10.85.0.1", "10.85.0.2"
	ask := lease.Ask{Link: "eth1", MAC: macA}
	return map[string]secondCase{
		"another one refuses what one grants": {
			func(m *dhcpv4.DHCPv4) []*dhcpv4.DHCPv4 {
				return []*dhcpv4.DHCPv4{refusal(m, two), reply(m, dhcpv4.MessageTypeAck, one, "10.85.0.9")}
			},
			func(ctx context.Context, s lease.Server) (lease.Lease, error) {
				return s.Request(ctx, ask, served(one))
			}, "10.85.0.9",
		},
		"refused by its own": {
			func(m *dhcpv4.DHCPv4) []*dhcpv4.DHCPv4 { return []*dhcpv4.DHCPv4{refusal(m, one)} },
			func(ctx context.Context, s lease.Server) (lease.Lease, error) {
				return s.Request(ctx, ask, served(one))
			}, "",
		},
		"renewing is refused": {
			func(m *dhcpv4.DHCPv4) []*dhcpv4.DHCPv4 { return []*dhcpv4.DHCPv4{refusal(m, one)} },
			func(ctx context.Context, s lease.Server) (lease.Lease, error) {
				return s.Extend(ctx, served(one), false)
			}, "",
		},
		"any may extend, also after a refusal": {
			func(m *dhcpv4.DHCPv4) []*dhcpv4.DHCPv4 {
				return []*dhcpv4.DHCPv4{refusal(m, one), reply(m, dhcpv4.MessageTypeAck, two, "10.85.0.9")}
			},
			func(ctx context.Context, s lease.Server) (lease.Lease, error) {
				return s.Extend(ctx, served(one), true)
			}, "10.85.0.9",
		},
		"all refuse": {
			func(m *dhcpv4.DHCPv4) []*dhcpv4.DHCPv4 { return []*dhcpv4.DHCPv4{refusal(m, two)} },
			func(ctx context.Context, s lease.Server) (lease.Lease, error) {
				return s.Extend(ctx, served(one), true)
			}, "",
		},
		"the better offer is the second": {
			func(m *dhcpv4.DHCPv4) []*dhcpv4.DHCPv4 {
				return []*dhcpv4.DHCPv4{reply(m, dhcpv4.MessageTypeOffer, two, "10.85.0.77"), reply(m, dhcpv4.MessageTypeOffer, one, "10.85.0.9")}
			},
			func(ctx context.Context, s lease.Server) (lease.Lease, error) {
				return s.Discover(ctx, lease.Ask{Link: "eth1", MAC: macA, Wish: addr("10.85.0.9")})
			}, "10.85.0.9",
		},
		"offers without what is needed": {
			func(m *dhcpv4.DHCPv4) []*dhcpv4.DHCPv4 {
				return []*dhcpv4.DHCPv4{
					reply(m, dhcpv4.MessageTypeOffer, two, "10.85.0.5", dhcpv4.WithoutOption(dhcpv4.OptionSubnetMask)),
					reply(m, dhcpv4.MessageTypeOffer, two, "10.85.0.6", dhcpv4.WithoutOption(dhcpv4.OptionServerIdentifier)),
					reply(m, dhcpv4.MessageTypeOffer, two, "10.85.0.7", dhcpv4.WithoutOption(dhcpv4.OptionIPAddressLeaseTime)),
					reply(m, dhcpv4.MessageTypeOffer, two, "0.0.0.0"),
					reply(m, dhcpv4.MessageTypeOffer, two, "10.85.0.8", dhcpv4.WithHwAddr(unused(t))),
					reply(m, dhcpv4.MessageTypeOffer, two, "10.85.0.9"),
				}
			},
			func(ctx context.Context, s lease.Server) (lease.Lease, error) { return s.Discover(ctx, ask) }, "10.85.0.9",
		},
	}
}

// TestSecondServer: what counts of the answers of two servers.
func TestSecondServer(t *testing.T) {
	for name, c := range secondCases(t) {
		t.Run(name, func(t *testing.T) {
			other := &second{answer: c.answer}
			l, err := c.do(soon(t), onLAN(t, func() { other.serve(t) }))
			var refused *lease.RefusedError
			switch {
			case c.want == "" && (!errors.As(err, &refused) || refused.Message != "go away"):
				t.Errorf("%+v, %v, want a refusal", l, err)
			case c.want != "" && (err != nil || l.Address.Addr() != addr(c.want)):
				t.Errorf("%+v, %v, want %s", l, err, c.want)
			}
		})
	}
}

// TestAsked: what a server sees is the container's.
func TestAsked(t *testing.T) {
	s := &second{answer: func(m *dhcpv4.DHCPv4) []*dhcpv4.DHCPv4 {
		return []*dhcpv4.DHCPv4{reply(m, dhcpv4.MessageTypeOffer, router, "10.85.0.9")}
	}}
	if _, err := onLAN(t, func() { s.serve(t) }).Discover(soon(t), lease.Ask{Link: "eth1", MAC: macA, Name: "web", Wish: addr("10.85.0.9")}); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.heard[0]
	if m.ClientHWAddr.String() != macA || m.HostName() != "web" || !m.RequestedIPAddress().Equal(net.ParseIP("10.85.0.9")) || !m.IsBroadcast() || m.Options.Has(dhcpv4.OptionClientIdentifier) {
		t.Errorf("%s", m.Summary())
	}
}
