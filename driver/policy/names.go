package policy

import (
	"net/netip"
	"slices"
	"strings"
	"sync"

	"go4.org/netipx"

	"github.com/gangway-net/gangway/config"
)

// dnsPort is where questions for names are sent, by UDP or TCP.
const dnsPort = 53

func (p Packet) asks() bool { return p.Port == dnsPort && (p.Proto == 6 || p.Proto == 17) }

// nameIndex finds the entries with names that cover one, and those that it covers: each
// question asks for some, and a list may have thousands.
type nameIndex struct {
	// at has the places of entries by name, or by the base of *.NAME; dns says that all may be
	// asked for, named that some are.
	at         map[indexed][]int
	dns, named bool
}

type indexed struct {
	base string
	wild bool
}

func indexedOf(e config.Peers) indexed {
	if base, wild := strings.CutPrefix(e.Name, "*."); wild {
		return indexed{base, true}
	}
	return indexed{strings.TrimSuffix(e.Name, "."), false}
}

func indexNames(list []config.Peers) nameIndex {
	x := nameIndex{at: map[indexed][]int{}}
	for i, e := range list {
		if x.dns = x.dns || e.Group == config.GroupDNS; e.Name == "" {
			continue
		}
		x.named = true
		x.at[indexedOf(e)] = append(x.at[indexedOf(e)], i)
	}
	return x
}

// covering are the places of entries that cover a name, in order.
func (x nameIndex) covering(name string) []int {
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	all := slices.Clone(x.at[indexed{name, false}])
	return x.above(name, all)
}

// above adds those of *.NAME that cover a name.
func (x nameIndex) above(name string, all []int) []int {
	for {
		_, rest, more := strings.Cut(name, ".")
		if !more {
			slices.Sort(all)
			return all
		}
		all = append(all, x.at[indexed{rest, true}]...)
		name = rest
	}
}

// Asks says that questions for names, wherever containers send them, are answered by the
// resolver: the policy names some.
func (p Policy) Asks() bool { return p.Learn || p.allows.named || p.allows.dns }

// MayAsk says whether a name may be asked for.
func (p Policy) MayAsk(name string) bool {
	return !p.denied(name) && (p.allows.dns || len(p.allows.covering(name)) > 0)
}

// Opens are the ports for which the addresses of a name are allowed, each once.
func (p Policy) Opens(name string) (all []config.Ports) {
	if p.denied(name) {
		return nil
	}
	for _, i := range p.allows.covering(name) {
		if ports := p.Allow[i].Ports; p.mayOpen(ports) && !slices.Contains(all, ports) {
			all = append(all, ports)
		}
	}
	return all
}

// WhyNamed says whether a container with the policy may ask for a name, and reach its addresses as
// the packet says; and what else there is to know.
func (p Policy) WhyNamed(name string, to Packet) (v Verdict, note string) {
	if d := first(p.Deny, func(d config.Peers) bool { return d.Covers(name) }); d != nil {
		return Verdict{By: listed(OptionDeny, d)}, "the question is refused"
	}
	for _, ports := range p.Opens(name) {
		if match(ports, to) {
			return Verdict{true, p.ByName(ports)}, ""
		}
	}
	switch {
	case !p.MayAsk(name):
		return Verdict{By: p.Otherwise(OptionEgress)}, "the question is refused"
	case p.Egress == config.EgressInternet:
		return Verdict{true, p.Otherwise(OptionEgress)}, "the question is answered, and a public address in the answer is reached"
	}
	return Verdict{By: p.Otherwise(OptionEgress)}, "the question is answered, and the addresses in the answer stay closed for this"
}

// named are the ports for which some name is allowed, each once.
func (p Policy) named() (all []config.Ports) {
	for _, a := range p.Allow {
		if a.Name != "" && p.mayOpen(a.Ports) && !slices.Contains(all, a.Ports) {
			all = append(all, a.Ports)
		}
	}
	return all
}

// HasNames says that the policy allows some names, or *.NAME.
func (p Policy) HasNames() bool { return p.allows.named }

// Reads says that connections to addresses of names have to say the name, and are read for it.
// In mode audit nothing is read: who waits for the other side to begin would wait for ever.
func (p Policy) Reads() bool { return p.Strict && !p.Audit && len(p.named()) > 0 }

// OpensTo says whether a name is allowed for a port by TCP.
func (p Policy) OpensTo(name string, port uint16) bool {
	to := Packet{Proto: protoTCP, Port: port}
	return slices.ContainsFunc(p.Opens(name), func(ports config.Ports) bool { return match(ports, to) })
}

// mayOpen says that a name may open some of these ports. A strict one is told by TCP alone.
func (p Policy) mayOpen(ports config.Ports) bool {
	return !p.Strict || ports.Proto == 0 || ports.Proto == protoTCP
}

// protoTCP is the number of TCP.
const protoTCP = 6

func (p Policy) denied(name string) bool { return len(p.denies.covering(name)) > 0 }

// Plain are the names that stand for themselves alone, each once.
func (p Policy) Plain() (all []string) {
	seen := map[string]bool{}
	for _, a := range p.Allow {
		if name := a.Plain(); name != "" && !seen[name] && !p.denied(name) {
			all = append(all, name)
			seen[name] = true
		}
	}
	return all
}

// Serves says that the policy names the address as a server that may be asked: with port 53.
// What a group or all ports of it allow does not make it one: whoever answers decides which
// addresses are opened.
func (p Policy) Serves(a netip.Addr) bool {
	return slices.ContainsFunc(p.Allow, func(e config.Peers) bool {
		return isServer(e) && e.Prefix.Contains(a)
	})
}

// NamesServer says that the policy names some server that may be asked.
func (p Policy) NamesServer() bool { return slices.ContainsFunc(p.Allow, isServer) }

func isServer(e config.Peers) bool {
	return e.Literal() && e.First == dnsPort && e.Last == dnsPort
}

// Opened says whether names may open an address: not what no other host has, nor where clouds
// tell of themselves, nor the host.
func Opened(a netip.Addr) bool {
	return a.IsValid() && !a.Is4In6() && !a.IsLoopback() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLinkLocalUnicast() &&
		!never().Contains(a)
}

// never are addresses that names open to nobody.
var never = sync.OnceValue(func() *netipx.IPSet {
	return setOf(append(metadata(), "0.0.0.0/8", "240.0.0.0/4", mapped, compatible))
})
