package policy

import (
	"fmt"
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

// Asks says that questions for names, wherever containers send them, are answered by the
// resolver: the policy names some.
func (p Policy) Asks() bool {
	return p.Learn || slices.ContainsFunc(p.Allow, func(a config.Peers) bool { return a.Name != "" || a.Group == config.GroupDNS })
}

// MayAsk says whether a name may be asked for.
func (p Policy) MayAsk(name string) bool {
	return !p.denied(name) && slices.ContainsFunc(p.Allow, func(a config.Peers) bool { return a.Group == config.GroupDNS || a.Covers(name) })
}

// Opens are the ports for which the addresses of a name are allowed, each once.
func (p Policy) Opens(name string) (all []config.Ports) {
	if p.denied(name) {
		return nil
	}
	for _, a := range p.Allow {
		if a.Covers(name) && p.mayOpen(a.Ports) && !slices.Contains(all, a.Ports) {
			all = append(all, a.Ports)
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
func (p Policy) HasNames() bool {
	return slices.ContainsFunc(p.Allow, func(a config.Peers) bool { return a.Name != "" })
}

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

func (p Policy) denied(name string) bool {
	return slices.ContainsFunc(p.Deny, func(d config.Peers) bool { return d.Covers(name) })
}

// Plain are the names that stand for themselves alone, each once.
func (p Policy) Plain() (all []string) {
	for _, a := range p.Allow {
		if name := a.Plain(); name != "" && !p.denied(name) && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

// Serves says that the policy names the address as a server that may be asked: with port 53.
// What a group or all ports of it allow does not make it one: whoever answers decides which
// addresses are opened.
func (p Policy) Serves(a netip.Addr) bool {
	return slices.ContainsFunc(p.Allow, func(e config.Peers) bool {
		return e.Literal() && e.First == dnsPort && e.Last == dnsPort && e.Prefix.Contains(a)
	})
}

// NamesServer says that the policy names some server that may be asked.
func (p Policy) NamesServer() bool {
	return slices.ContainsFunc(p.Allow, func(e config.Peers) bool { return p.Serves(e.Prefix.Addr()) })
}

// checkNames refuses names that can never match.
func (p Policy) checkNames() error {
	for _, a := range p.Allow {
		if a.Name != "" && !p.mayOpen(a.Ports) {
			return fmt.Errorf("gangway.egress.allow has %s, which can never match: with gangway.egress.names=%s a name opens TCP alone; allow addresses for the rest", a, config.NamesStrict)
		}
	}
	for _, d := range p.Deny {
		switch {
		case d.Group == config.GroupDNS:
			return mistake(OptionDeny, d, "which can never match: nothing is asked unless gangway.egress.allow has it; a server is denied by its address, all by 0.0.0.0/0:53,[::/0]:53")
		case d.Name == "":
		case !d.All():
			return mistake(OptionDeny, d, "and a name that is denied is not answered, whatever the port: leave ports and protocol out")
		case !slices.ContainsFunc(p.Allow, func(a config.Peers) bool { return a.Group == config.GroupDNS || coversName(a, d) || coversName(d, a) }):
			return mistake(OptionDeny, d, "which can never match: no name in gangway.egress.allow has it. Who knows an address needs no name for it: deny addresses")
		}
	}
	return nil
}

// coversName says whether the name of an entry has all of another one's.
func coversName(outer, inner config.Peers) bool {
	if inner.Name == "" {
		return false
	}
	if inner.Plain() != "" {
		return outer.Covers(inner.Name)
	}
	return outer.Name != "" && outer.Plain() == "" && strings.HasSuffix(inner.Name[1:], outer.Name[1:])
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
