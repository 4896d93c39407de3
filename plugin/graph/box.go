package graph

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/printable"
)

// box is a network with what is on it.
type box struct {
	plugin.Network
	places []place
}

// place is a container's place on a network.
type place struct {
	plugin.GraphEndpoint
	ports []port
	// own says that its policy is not its network's.
	own bool
}

// port is a published run of ports, with all addresses of the host that lead there.
type port struct {
	plugin.Port
	hosts []netip.Addr
	ways  []string
}

// boxes puts together what belongs together, in the order in which it is listed. What is of
// no network that is listed is left out: it has come or gone while the lists were made.
func boxes(g plugin.Graph) (all []box) {
	ports := map[string][]port{}
	for _, p := range g.Ports {
		ports[p.EndpointID] = merge(ports[p.EndpointID], p)
	}
	places := map[string][]place{}
	for _, e := range g.Endpoints {
		places[e.NetworkID] = append(places[e.NetworkID], place{GraphEndpoint: e, ports: ports[e.ID]})
	}
	for _, n := range g.Networks {
		on := places[n.ID]
		for i := range on {
			on[i].own = on[i].Policy != n.Policy
		}
		all = append(all, box{n, on})
	}
	return all
}

// merge adds a run, or one more address to the run that has the same ports.
func merge(list []port, p plugin.Port) []port {
	i := slices.IndexFunc(list, func(q port) bool {
		return q.First == p.First && q.Last == p.Last && q.Protocol == p.Protocol && q.ContainerFirst == p.ContainerFirst
	})
	if i < 0 {
		list = append(list, port{Port: p})
		i = len(list) - 1
	}
	list[i].hosts = append(list[i].hosts, p.HostIP)
	if !slices.Contains(list[i].ways, p.Path) {
		list[i].ways = append(list[i].ways, p.Path)
	}
	return list
}

// at is where the host listens, such as "*:8000/tcp": the star is all addresses of both
// families.
func (p port) at() string {
	ports := portRange(p.First, p.Last)
	all := 0
	var hosts []string
	for _, h := range p.hosts {
		if h.IsUnspecified() {
			all++
		}
		hosts = append(hosts, bracketed(h)+":"+ports)
	}
	if all == 2 && len(p.hosts) == 2 {
		hosts = []string{"*:" + ports}
	}
	return strings.Join(hosts, " ") + "/" + p.Protocol
}

// to is the port of the container.
func (p port) to() string {
	return portRange(p.ContainerFirst, p.ContainerFirst+(p.Last-p.First))
}

// way is how packets get there, where it is not the usual: by the kernel.
func (p port) way() string {
	if slices.Contains(p.ways, "relay") {
		return "relay"
	}
	return ""
}

func bracketed(a netip.Addr) string {
	if a.Is6() {
		return "[" + a.String() + "]"
	}
	return a.String()
}

func portRange(first, last uint16) string {
	if first == last {
		return strconv.Itoa(int(first))
	}
	return strconv.Itoa(int(first)) + "-" + strconv.Itoa(int(last))
}

// idLength is that of ids as Docker shows them.
const idLength = 12

func short(id string) string { return id[:min(len(id), idLength)] }

// title is a network's name, fit to be shown.
func (b box) title() string { return printable.Word(cmp.Or(b.Name, short(b.ID))) }

// about has the network's subnets and what is special about it.
func (b box) about() string {
	var words []string
	for _, s := range b.Subnets {
		words = append(words, s.String())
	}
	return strings.Join(append(words, b.kind()), " · ")
}

// kind is how a network is joined to the outside.
func (b box) kind() string {
	var words []string
	switch {
	case b.Internal:
		words = append(words, "internal")
	case b.ModeIPv6 == "" || b.ModeIPv4 == b.ModeIPv6:
		words = append(words, cmp.Or(b.ModeIPv4, "no mode"))
	case b.ModeIPv4 == "":
		words = append(words, b.ModeIPv6)
	default:
		words = append(words, b.ModeIPv4, b.ModeIPv6+" (IPv6)")
	}
	if !b.ICC {
		words = append(words, "icc off")
	}
	if b.Policy != (config.Policy{}) {
		words = append(words, policyMark(b.Policy))
	}
	return printable.Word(strings.Join(words, ", "))
}

// policyMark says that something has a policy, in a word.
func policyMark(p config.Policy) string {
	if p.Audits() {
		return "policy: audit"
	}
	return "policy"
}

// policy is the mark of a container whose policy is not its network's; empty for none.
func (p place) policy() string {
	switch {
	case !p.own:
		return ""
	case p.Policy == config.Policy{}:
		return "own policy: open"
	}
	return "own " + policyMark(p.Policy)
}

// title is a container's name, fit to be shown.
func (p place) title() string {
	return printable.Word(cmp.Or(p.ContainerName, short(cmp.Or(p.ContainerID, p.ID))))
}

// addresses are those of the container, without the lengths of prefixes.
func (p place) addresses() (all []string) {
	for _, a := range p.Addresses {
		all = append(all, a.Addr().String())
	}
	return all
}

// twins are the pairs of places that one container has on several networks: each with the
// next.
func twins(all []box) (pairs [][2]string) {
	last := map[string]string{}
	for _, b := range all {
		for _, p := range b.places {
			key := cmp.Or(p.ContainerID, p.Sandbox)
			if before := last[key]; key != "" && before != "" {
				pairs = append(pairs, [2]string{before, p.ID})
			}
			last[key] = p.ID
		}
	}
	return pairs
}

// clip cuts text to so many characters.
func clip(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most-1]) + "…"
}
