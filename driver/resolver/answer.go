package resolver

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/policy"
)

const (
	// leastTime and mostTime bound how long an address is open: a container uses an answer
	// at once, whatever its time, and asks again at last after mostTime.
	leastTime = 30 * time.Second
	mostTime  = time.Hour
	// mostAddresses of one answer are opened; others are left out of it.
	mostAddresses = 64
	// mostTurns is how long a chain of names (CNAME) may be.
	mostTurns = 12
)

// client is who asks, and where it was sent to.
type client struct {
	bound
	from, local netip.AddrPort
	proto       uint8
}

func (c client) audited() bool { return c.policy.Audit }

// sizeFor is how large an answer by UDP may be.
func sizeFor(q *dns.Msg) int {
	if o := q.IsEdns0(); o != nil {
		return min(max(int(o.UDPSize()), dns.MinMsgSize), 1232)
	}
	return dns.MinMsgSize
}

// failed is an answer without one.
func failed(q *dns.Msg, code int) *dns.Msg {
	m := new(dns.Msg)
	m.SetRcode(q, code)
	m.RecursionAvailable = true
	if o := q.IsEdns0(); o != nil {
		m.SetEdns0(1232, o.Do())
	}
	return m
}

// reply decides what a question gets.
func (r *Resolver) reply(ctx context.Context, c client, q *dns.Msg) *dns.Msg {
	switch {
	case q.Opcode != dns.OpcodeQuery:
		return failed(q, dns.RcodeNotImplemented)
	case len(q.Question) != 1:
		return failed(q, dns.RcodeFormatError)
	}
	asked := q.Question[0]
	switch asked.Qtype {
	case dns.TypeAXFR, dns.TypeIXFR:
		return failed(q, dns.RcodeRefused)
	}
	name := plain(asked.Name)
	refused := asked.Qclass != dns.ClassINET || !c.policy.MayAsk(name)
	if refused && !c.audited() {
		r.refused.note(c, name, nil)
		return failed(q, dns.RcodeRefused)
	}
	m, err := r.forward(ctx, c, q)
	if refused {
		r.refused.note(c, name, r.answerOf(c, m, asked.Name)) // before the container has it
	}
	if err != nil {
		r.o.Log.WithError(err).Debugf("ask for %s", printable(name))
		return failed(q, dns.RcodeServerFailure)
	}
	list := take(m, asked, c.policy, c.Texts, r.who(c.from.Addr()))
	if len(list) == 0 {
		return m
	}
	if err = r.o.Learn(ctx, list); err != nil {
		r.o.Log.WithError(err).Warn("a name is not answered")
		return failed(q, dns.RcodeServerFailure)
	}
	return m
}

// who are the addresses of who asks: by one family it may ask for addresses of the other one.
func (r *Resolver) who(from netip.Addr) (all []policy.Who) {
	for _, a := range append([]netip.Addr{from}, r.o.Host.Addresses(from)...) {
		if w := (policy.Who{Addr: a}); !slices.Contains(all, w) {
			all = append(all, w)
		}
	}
	return all
}

// plain is a name as policies write it.
func plain(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// take makes an answer what the container gets: what belongs to the question alone, for no
// longer than its addresses are open. It returns these. by are the policy's texts.
func take(m *dns.Msg, asked dns.Question, p policy.Policy, by config.Policy, who []policy.Who) (list []policy.Learned) {
	m.Answer = ofQuestion(m.Answer, asked.Name)
	opens := p.Opens(plain(asked.Name))
	now := time.Now()
	seen := map[netip.Addr]bool{}
	kept := m.Answer[:0]
	for _, rr := range m.Answer {
		h := rr.Header()
		h.Ttl = min(h.Ttl, uint32(mostTime/time.Second))
		a := addressOf(rr)
		switch rr := rr.(type) {
		case *dns.HTTPS:
			rr.Value = withoutHints(rr.Value)
		case *dns.SVCB:
			rr.Value = withoutHints(rr.Value)
		}
		if !a.IsValid() || !policy.Opened(a) || len(opens) == 0 {
			kept = append(kept, rr)
			continue
		}
		if seen[a] = true; len(seen) > mostAddresses {
			continue
		}
		kept = append(kept, rr)
		until := now.Add(max(leastTime, time.Duration(h.Ttl)*time.Second))
		for _, w := range who {
			for _, ports := range opens {
				if !w.Addr.IsValid() || w.Addr.Is4() == a.Is4() {
					list = append(list, policy.Learned{Who: w, By: by, Name: plain(asked.Name), To: a, Ports: ports, Until: until})
				}
			}
		}
	}
	m.Answer = kept
	return list
}

// answerOf is what somebody gets whose question would be refused; nil without an answer.
func (r *Resolver) answerOf(c client, m *dns.Msg, name string) *firewall.Answer {
	if m == nil {
		return nil
	}
	of := &firewall.Answer{}
	for _, rr := range ofQuestion(m.Answer, name) {
		if a := addressOf(rr); a.IsValid() && len(of.Addrs) < mostAddresses {
			of.Addrs = append(of.Addrs, a)
		}
	}
	own, others := r.o.Servers()
	if s := r.serversFor(c); len(s) == 1 && !slices.Contains(own, s[0]) && !slices.Contains(others, s[0]) {
		of.Server = s[0].Addr()
	}
	return of
}

// addressOf is that of a record; invalid for none.
func addressOf(rr dns.RR) (a netip.Addr) {
	switch rr := rr.(type) {
	case *dns.A:
		a, _ = netip.AddrFromSlice(rr.A.To4())
	case *dns.AAAA:
		a, _ = netip.AddrFromSlice(rr.AAAA.To16())
	}
	return a
}

// ofQuestion are the records of a name, and of the names that it leads to.
func ofQuestion(all []dns.RR, name string) (kept []dns.RR) {
	names := []string{dns.CanonicalName(name)}
	for range mostTurns {
		before := len(names)
		for _, rr := range all {
			c, is := rr.(*dns.CNAME)
			if is && slices.Contains(names, dns.CanonicalName(c.Hdr.Name)) && !slices.Contains(names, dns.CanonicalName(c.Target)) {
				names = append(names, dns.CanonicalName(c.Target))
			}
		}
		if len(names) == before {
			break
		}
	}
	for _, rr := range all {
		if slices.Contains(names, dns.CanonicalName(rr.Header().Name)) || rr.Header().Rrtype == dns.TypeDNAME {
			kept = append(kept, rr)
		}
	}
	return kept
}

// withoutHints takes addresses out of a record that describes a service: they are not those
// that open.
func withoutHints(all []dns.SVCBKeyValue) []dns.SVCBKeyValue {
	return slices.DeleteFunc(all, func(v dns.SVCBKeyValue) bool {
		return v.Key() == dns.SVCB_IPV4HINT || v.Key() == dns.SVCB_IPV6HINT
	})
}

// forward asks a server what a container has asked, and nothing else that it has sent: what
// is in options could be for anybody.
func (r *Resolver) forward(ctx context.Context, c client, q *dns.Msg) (*dns.Msg, error) {
	asks := new(dns.Msg)
	asks.Id = dns.Id()
	asks.RecursionDesired, asks.CheckingDisabled, asks.AuthenticatedData = q.RecursionDesired, q.CheckingDisabled, q.AuthenticatedData
	asks.Question = []dns.Question{q.Question[0]}
	opt := q.IsEdns0()
	asks.SetEdns0(1232, opt != nil && opt.Do())
	got, err := r.exchange(ctx, r.serversFor(c), asks)
	if err != nil {
		return nil, err
	}
	m := new(dns.Msg)
	m.SetReply(q)
	m.Rcode = got.Rcode & 0xf
	m.Authoritative, m.RecursionAvailable, m.AuthenticatedData = got.Authoritative, got.RecursionAvailable, got.AuthenticatedData
	m.CheckingDisabled = got.CheckingDisabled
	m.Answer, m.Ns = got.Answer, got.Ns
	m.Compress = true
	if opt != nil {
		m.SetEdns0(1232, opt.Do())
	}
	return m, nil
}

// serversFor are those that are asked for a container: the one that it asked, if the host
// asks it too, or the policy names it as one; else the host's own. While a policy is learned, its
// answers open nothing, so it may be any but a container of somebody's network.
func (r *Resolver) serversFor(c client) []netip.AddrPort {
	own, others := r.o.Servers()
	asked, err := r.o.Host.Asked(c.proto, c.from, c.local)
	anybody := c.policy.Learn && len(r.o.Host.Addresses(asked.Addr())) == 0
	if err == nil && asked.Port() == 53 && (anybody || slices.Contains(own, asked) || slices.Contains(others, asked) || c.policy.Serves(asked.Addr())) {
		return []netip.AddrPort{asked}
	}
	return own
}

// answer is what a name has by now.
type answer struct {
	message  *dns.Msg
	question dns.Question
}

// ask asks the host's own servers for a name.
func (r *Resolver) ask(ctx context.Context, name string, kind uint16) (answer, error) {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), kind)
	m.SetEdns0(1232, false)
	own, _ := r.o.Servers()
	got, err := r.exchange(ctx, own, m)
	return answer{got, m.Question[0]}, err
}
