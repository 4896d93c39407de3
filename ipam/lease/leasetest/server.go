// Package leasetest is a DHCP server for tests, without a wire.
package leasetest

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/gangway-net/gangway/ipam/lease"
)

// Server grants the addresses of a subnet, the lowest first, the same one to the same hardware
// address as long as nobody else has it. Its methods are safe for concurrent use.
type Server struct {
	mu sync.Mutex
	// Subnet, Router and Self are the LAN's, Time is how long leases last; 0 for ever.
	subnet       netip.Prefix
	router, self netip.Addr
	time         time.Duration
	// holders are by address.
	holders  map[netip.Addr]string
	declined map[netip.Addr]bool
	behaviour
	calls []string
}

// behaviour is what a test makes of the server.
type behaviour struct {
	// away answers nothing, refusing refuses all, once the next one alone.
	away, refusing, once bool
	// hold, if set, is waited for before an answer.
	hold chan struct{}
	// granted are offered first, whoever has them.
	granted []netip.Addr
}

// New returns a server of a subnet, whose first address is the router's and its own.
func New(subnet string, length time.Duration) *Server {
	p := netip.MustParsePrefix(subnet)
	router := p.Addr().Next()
	return &Server{subnet: p, router: router, self: router, time: length, holders: map[netip.Addr]string{}, declined: map[netip.Addr]bool{}}
}

// Set changes what the server does.
func (s *Server) Set(change func(s *Server)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// Away has it answer nothing, or answer again.
func (s *Server) Away(is bool) { s.Set(func(s *Server) { s.away = is }) }

// Refusing has it refuse every lease, or no more.
func (s *Server) Refusing(is bool) { s.Set(func(s *Server) { s.refusing = is }) }

// RefuseOnce has it refuse the next lease.
func (s *Server) RefuseOnce() { s.Set(func(s *Server) { s.once = true }) }

// Hold has it answer when the channel is closed.
func (s *Server) Hold(until chan struct{}) { s.Set(func(s *Server) { s.hold = until }) }

// NoRouter has it name no router.
func (s *Server) NoRouter() { s.Set(func(s *Server) { s.router = netip.Addr{} }) }

// Grant has it offer addresses before all others.
func (s *Server) Grant(addrs ...string) {
	s.Set(func(s *Server) {
		for _, a := range addrs {
			s.granted = append(s.granted, netip.MustParseAddr(a))
		}
	})
}

// Move gives an address to somebody.
func (s *Server) Move(addr, mac string) {
	s.Set(func(s *Server) { s.holders[netip.MustParseAddr(addr)] = mac })
}

// Holder says who has an address.
func (s *Server) Holder(addr string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holders[netip.MustParseAddr(addr)]
}

// Take returns what the server was asked since the last time.
func (s *Server) Take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := s.calls
	s.calls = nil
	return calls
}

// heard notes a question; it waits for the end of ctx where the server is away.
func (s *Server) heard(ctx context.Context, format string, args ...any) error {
	s.mu.Lock()
	s.calls = append(s.calls, fmt.Sprintf(format, args...))
	away, hold := s.away, s.hold
	s.mu.Unlock()
	if hold != nil {
		<-hold
	}
	if away {
		<-ctx.Done()
		return lease.ErrSilent
	}
	return ctx.Err()
}

func (s *Server) lease(ask lease.Ask, a netip.Addr) lease.Lease {
	l := lease.Lease{
		Link: ask.Link, MAC: ask.MAC, Name: ask.Name, Address: netip.PrefixFrom(a, s.subnet.Bits()),
		Router: s.router, DNS: []netip.Addr{s.self}, Server: s.self, Via: "02:00:00:00:00:01",
	}
	if s.time > 0 {
		now := time.Now().UTC().Round(0)
		l.Renew, l.Rebind, l.Until = now.Add(s.time/2), now.Add(s.time/8*7), now.Add(s.time)
	}
	return l
}

// Discover is lease.Server's.
func (s *Server) Discover(ctx context.Context, ask lease.Ask) (lease.Lease, error) {
	if err := s.heard(ctx, "discover %s name=%s wish=%s", ask.MAC, ask.Name, ask.Wish); err != nil {
		return lease.Lease{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.granted) > 0 {
		a := s.granted[0]
		s.granted = s.granted[1:]
		return s.lease(ask, a), nil
	}
	if ask.MAC != "" {
		for a, mac := range s.holders {
			if mac == ask.MAC {
				return s.lease(ask, a), nil
			}
		}
	}
	if ask.Wish.IsValid() && s.subnet.Contains(ask.Wish) && s.holders[ask.Wish] == "" {
		return s.lease(ask, ask.Wish), nil
	}
	for a := s.self.Next(); ; a = a.Next() {
		if s.holders[a] == "" && !s.declined[a] {
			return s.lease(ask, a), nil
		}
	}
}

// Request is lease.Server's.
func (s *Server) Request(ctx context.Context, ask lease.Ask, offer lease.Lease) (lease.Lease, error) {
	return s.grant(ctx, ask, offer.Address.Addr(), "request")
}

// Extend is lease.Server's.
func (s *Server) Extend(ctx context.Context, l lease.Lease, everybody bool) (lease.Lease, error) {
	how := "renew"
	if everybody {
		how = "rebind"
	}
	return s.grant(ctx, lease.Ask{Link: l.Link, MAC: l.MAC, Name: l.Name}, l.Address.Addr(), how)
}

func (s *Server) grant(ctx context.Context, ask lease.Ask, a netip.Addr, how string) (lease.Lease, error) {
	if err := s.heard(ctx, "%s %s %s name=%s", how, ask.MAC, a, ask.Name); err != nil {
		return lease.Lease{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	once := s.once
	s.once = false
	if holder := s.holders[a]; once || s.refusing || holder != "" && holder != ask.MAC {
		return lease.Lease{}, &lease.RefusedError{Server: s.self, Message: "no"}
	}
	s.holders[a] = ask.MAC
	return s.lease(ask, a), nil
}

// GiveUp is lease.Server's.
func (s *Server) GiveUp(ctx context.Context, l lease.Lease, used bool) error {
	how := "release"
	if used {
		how = "decline"
	}
	err := s.heard(ctx, "%s %s %s", how, l.MAC, l.Address.Addr())
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && s.holders[l.Address.Addr()] == l.MAC {
		delete(s.holders, l.Address.Addr())
		s.declined[l.Address.Addr()] = used
	}
	return err
}

// Forget has it forget whom it grants addresses first.
func (s *Server) Forget() { s.Set(func(s *Server) { s.granted = nil }) }
