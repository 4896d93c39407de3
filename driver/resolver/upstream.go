package resolver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// serverTime is how long one server may take where there is another one.
const serverTime = 1500 * time.Millisecond

// exchange asks servers one after the other until one answers. What does not fit into a
// datagram is asked for again by TCP.
func (r *Resolver) exchange(ctx context.Context, servers []netip.AddrPort, m *dns.Msg) (*dns.Msg, error) {
	err := errors.New("the host has no server that could be asked: see /etc/resolv.conf")
	for i, server := range servers {
		limit := serverTime
		if i == len(servers)-1 {
			limit = questionTime
		}
		var got *dns.Msg
		if got, err = exchangeWith(ctx, server, m, limit); err == nil {
			return got, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, err
}

func exchangeWith(ctx context.Context, server netip.AddrPort, m *dns.Msg, limit time.Duration) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for _, network := range []string{"udp", "tcp"} {
		c := dns.Client{Net: network, Timeout: limit, UDPSize: 1232}
		got, _, err := c.ExchangeContext(ctx, m, server.String())
		switch {
		case err != nil:
			return nil, fmt.Errorf("ask %s by %s: %w", server, network, err)
		case len(got.Question) != 1 || !strings.EqualFold(got.Question[0].Name, m.Question[0].Name) || got.Question[0].Qtype != m.Question[0].Qtype || !got.Response:
			return nil, fmt.Errorf("%s answers another question", server)
		case !got.Truncated:
			return got, nil
		}
	}
	return nil, fmt.Errorf("%s cuts its answers short by TCP", server)
}

// Files reads servers from files as /etc/resolv.conf, not more often than once a second. The
// first is the host's. In the others are those that engines ask where the first one has
// loopback addresses only.
func Files(own string, others ...string) func() (own, others []netip.AddrPort) {
	var mu sync.Mutex
	var read time.Time
	var a, b []netip.AddrPort
	return func() ([]netip.AddrPort, []netip.AddrPort) {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(read) > time.Second {
			a, b, read = serversIn(own), nil, time.Now()
			for _, name := range others {
				b = append(b, serversIn(name)...)
			}
		}
		return a, b
	}
}

// serversIn are the servers of a file; none if it cannot be read.
func serversIn(name string) (all []netip.AddrPort) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		if a, err := netip.ParseAddr(fields[1]); err == nil && len(all) < 3 {
			all = append(all, netip.AddrPortFrom(a, 53))
		}
	}
	return all
}

// ofSystemd is the server of systemd-resolved: where it is the only one, engines ask those that it
// asks itself.
const ofSystemd = "127.0.0.53"

// hostAsks says that an engine asks for the names of containers in the host's own name: its first
// server is on the host's loopback, which no container reaches.
func hostAsks(own, others []netip.AddrPort) (server netip.Addr, does bool) {
	if len(own) == 0 || !own[0].Addr().IsLoopback() {
		return server, false
	}
	server = own[0].Addr()
	return server, len(own) > 1 || server.String() != ofSystemd || len(others) == 0 || others[0].Addr().IsLoopback()
}
