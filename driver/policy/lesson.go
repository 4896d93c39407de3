package policy

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/config"
)

// Seen is the beginning of a flow, and how a policy would name it.
type Seen struct {
	// Option is that which would have to allow it: OptionHost, OptionIngress, or else it leaves.
	Option Option
	// From and To are its ends. Ports are those by which it is known: of what comes to a
	// published port, the host's.
	From, To netip.Addr
	Proto    uint8
	Ports    []uint16
	// Peer is the name of the network of Gangway that its other end is on; empty for none.
	Peer string
	// Server says that it is a server of names, which a policy can name by its address alone.
	Server bool
}

// Lesson is what was seen of some containers, and the policy that would have allowed it. The zero
// value is an empty one. It is not safe for concurrent use.
type Lesson struct {
	// out are destinations, in are sources, host are ports of the host; of each which ports.
	out, in map[target]map[portOf]bool
	host    map[portOf]bool
	// names are those that addresses were learned by.
	names map[netip.Addr]map[string]bool
	flows int
	// Lost is how many flows nobody was told of, or did not fit in.
	Lost uint64
}

// target is a network of Gangway, or else an address, for which its names do not stand if it is a server.
type target struct {
	peer   string
	addr   netip.Addr
	server bool
}

type portOf struct {
	proto uint8
	port  uint16
}

const (
	// mostSeen bounds what a lesson remembers, mostNamed the addresses of which it knows names.
	mostSeen, mostNamed = 4096, 4096
	// manyPorts is from how many ports of one destination on all are meant, and manyPublic from
	// how many addresses without names on whom one port stands for the internet.
	manyPorts, manyPublic = 16, 16
)

// Flows is how many were seen, those that are the same once.
func (l *Lesson) Flows() int { return l.flows }

// Named takes note of what a name has: whoever has asked for it may use it.
func (l *Lesson) Named(name string, addrs []netip.Addr) {
	if l.names == nil {
		l.names = map[netip.Addr]map[string]bool{}
	}
	item, err := nameItem(name)
	if err != nil {
		return // no policy can have it
	}
	for _, a := range addrs {
		if l.names[a] == nil {
			if len(l.names) >= mostNamed || !Opened(a) {
				continue
			}
			l.names[a] = map[string]bool{}
		}
		l.names[a][item] = true
	}
}

// nameItem is a name as policies write it; one of a single word has a dot at its end.
func nameItem(name string) (string, error) {
	if !strings.Contains(name, ".") {
		name += "."
	}
	return config.ParseName(name)
}

// See takes note of a flow, and says whether that is news.
func (l *Lesson) See(s Seen) (news bool) {
	if l.out == nil {
		l.out, l.in, l.host = map[target]map[portOf]bool{}, map[target]map[portOf]bool{}, map[portOf]bool{}
	}
	if len(s.Ports) == 0 {
		s.Ports = []uint16{0}
	}
	for _, port := range s.Ports {
		p := portOf{s.Proto, port}
		if !slices.Contains(protocolsWithPorts(), s.Proto) {
			p = portOf{}
		}
		of := l.host
		switch at := (target{s.Peer, s.To, s.Server}); s.Option {
		case OptionHost:
		case OptionIngress:
			at.addr = s.From
			of = portsAt(l.in, at)
		default:
			of = portsAt(l.out, at)
		}
		switch {
		case of[p]:
			continue
		case l.flows >= mostSeen:
			l.Lost++
			continue
		}
		of[p] = true
		l.flows++
		news = true
	}
	return news
}

func portsAt(all map[target]map[portOf]bool, at target) map[portOf]bool {
	if at.peer != "" {
		at.addr = netip.Addr{}
	}
	if all[at] == nil {
		all[at] = map[portOf]bool{}
	}
	return all[at]
}

// Policy is the one that would have allowed what was seen, and nothing else as far as a policy
// can say so.
func (l *Lesson) Policy() (config.Policy, error) {
	p := config.Policy{Egress: config.EgressDeny, Allow: config.None, Ingress: config.None, Host: l.hostText()}
	for _, list := range []struct {
		word  string
		items []string
	}{{"egress.allow", l.allowed()}, {"ingress", l.admitted()}, {"host", []string{p.Host}}} {
		if len(list.items) == 0 {
			continue
		}
		if err := p.SetWord(list.word, strings.Join(list.items, ",")); err != nil {
			return p, err
		}
	}
	return p, nil
}

// allowed are the items of gangway.egress.allow.
func (l *Lesson) allowed() (items []string) {
	byName, public := map[string]map[portOf]bool{}, map[portOf][]netip.Addr{}
	add := func(who string, ports map[portOf]bool) {
		if byName[who] == nil {
			byName[who] = map[portOf]bool{}
		}
		maps.Copy(byName[who], ports)
	}
	for at, ports := range l.out {
		names := slices.Sorted(maps.Keys(l.names[at.addr]))
		switch {
		case at.peer != "":
			add("network:"+at.peer, ports)
		case len(names) > 0 && !at.server && !ports[portOf{}]:
			for _, name := range names {
				add(name, ports)
			}
		case !at.server && groups()[config.GroupInternet].Contains(at.addr):
			for p := range ports {
				public[p] = append(public[p], at.addr)
			}
		default:
			add(bracketed(at.addr), ports)
		}
	}
	for p, addrs := range public {
		for _, who := range publicly(addrs) {
			add(who, map[portOf]bool{p: true})
		}
	}
	return itemsOf(byName)
}

// itemsOf are destinations with their ports, as options have them.
func itemsOf(all map[string]map[portOf]bool) (items []string) {
	for who, ports := range all {
		for _, text := range portTexts(ports) {
			item := who + text
			if text == "" || text[0] != ':' {
				item = strings.Trim(who, "[]") + text
			}
			items = append(items, item)
		}
	}
	return items
}

// publicly are public addresses, or the internet for many.
func publicly(addrs []netip.Addr) (all []string) {
	if len(addrs) > manyPublic {
		return []string{string(config.GroupInternet)}
	}
	for _, a := range addrs {
		all = append(all, bracketed(a))
	}
	return all
}

func bracketed(a netip.Addr) string {
	if a.Is6() {
		return "[" + a.String() + "]"
	}
	return a.String()
}

// admitted are the items of gangway.ingress: sources for each port. Many of them stand for all
// of the LAN, or for anybody.
func (l *Lesson) admitted() (items []string) {
	sources := map[string][]target{}
	for at, ports := range l.in {
		for _, text := range portTexts(ports) {
			sources[text] = append(sources[text], at)
		}
	}
	for text, all := range sources {
		port := strings.TrimPrefix(text, ":")
		if port != "" {
			port += "="
		}
		if strings.HasPrefix(port, "/") {
			port = "1-65535" + port
		}
		var far []netip.Addr
		for _, at := range all {
			if at.peer != "" {
				items = append(items, port+"network:"+at.peer)
			} else {
				far = append(far, at.addr)
			}
		}
		if len(far) > manyPublic {
			items = append(items, port+widest(far))
			continue
		}
		for _, a := range far {
			items = append(items, port+a.String())
		}
	}
	return items
}

// widest is whom many sources stand for.
func widest(all []netip.Addr) string {
	if slices.ContainsFunc(all, func(a netip.Addr) bool { return !groups()[config.GroupLAN].Contains(a) }) {
		return config.Any
	}
	return string(config.GroupLAN)
}

// hostText is gangway.host: what has no ports is allowed by any alone.
func (l *Lesson) hostText() string {
	switch {
	case len(l.host) == 0:
		return config.None
	case l.host[portOf{}]:
		return config.Any
	}
	var items []string
	for _, text := range portTexts(l.host) {
		if text = strings.TrimPrefix(text, ":"); text[0] == '/' {
			text = "1-65535" + text
		}
		items = append(items, text)
	}
	return strings.Join(items, ",")
}

// portTexts are ports as they stand behind something: runs of neighbours as one, and many of a
// protocol as all of it.
func portTexts(ports map[portOf]bool) (all []string) {
	if ports[portOf{}] {
		return []string{""} // whatever is sent
	}
	sorted := slices.SortedFunc(maps.Keys(ports), func(a, b portOf) int {
		return cmp.Or(cmp.Compare(a.proto, b.proto), cmp.Compare(a.port, b.port))
	})
	for len(sorted) > 0 {
		n := slices.IndexFunc(sorted, func(p portOf) bool { return p.proto != sorted[0].proto })
		if n < 0 {
			n = len(sorted)
		}
		of := sorted[:n]
		sorted = sorted[n:]
		suffix := (config.Ports{Proto: of[0].proto}).String()
		if len(of) > manyPorts {
			all = append(all, suffix)
			continue
		}
		for i := 0; i < len(of); {
			j := i
			for j+1 < len(of) && of[j+1].port == of[j].port+1 {
				j++
			}
			text := fmt.Sprintf(":%d", of[i].port)
			if j > i {
				text += fmt.Sprintf("-%d", of[j].port)
			}
			all = append(all, text+suffix)
			i = j + 1
		}
	}
	return all
}

// Called is an address, or the names that are known for it.
func (l *Lesson) Called(a netip.Addr) string {
	if names := slices.Sorted(maps.Keys(l.names[a])); len(names) > 0 {
		return strings.Join(names, ", ")
	}
	if a.Is6() {
		return "[" + a.String() + "]"
	}
	return a.String()
}
