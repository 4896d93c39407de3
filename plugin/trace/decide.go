package trace

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/plugin"
)

// Verdict is what becomes of a flow.
type Verdict string

// The verdicts. Unknown is for what neither Gangway nor its lists decide.
const (
	Accepted Verdict = "accepted"
	Dropped  Verdict = "dropped"
	Unknown  Verdict = "unknown"
	// Diverted is for what comes elsewhere than it should.
	Diverted Verdict = "diverted"
)

// Decision is what the desired state says of a flow.
type Decision struct {
	Steps   []string `json:"steps"`
	Verdict Verdict  `json:"verdict"`
	// Switched says that the flow stays on one bridge, and may pass no rule of IP.
	Switched bool `json:"switched,omitempty"`
	// To is where the kernel has to lead the flow; invalid where its destination stays.
	To netip.AddrPort `json:"-"`
}

func (d *Decision) step(format string, args ...any) {
	d.Steps = append(d.Steps, fmt.Sprintf(format, args...))
}

// end is the last step.
func (d *Decision) end(v Verdict, format string, args ...any) {
	d.Verdict = v
	d.step("%s: %s", v, fmt.Sprintf(format, args...))
}

// Decide says what the desired state makes of the first packet of a flow; the meaning is
// that of firewall.Network. It is pure.
func Decide(s State, f Flow) Decision {
	d := Decision{Steps: []string{}}
	d.from(s, f)
	to := s.At(f.Destination.Addr())
	if d.refused(s, f, to) {
		return d
	}
	container := len(f.From.Endpoints) > 0
	switch port, found := s.published(f); {
	case container && f.Destination.Addr().IsLoopback():
		d.end(Unknown, "%s is the container itself there: no packet leaves it", f.Destination.Addr())
	case found:
		d.published(s, f, port)
	case to.Host:
		d.step("to %s/%s, an address of the host where no port %d is published", f.Destination, f.Protocol, f.Destination.Port())
		d.end(Unknown, "for a program of the host, if one listens: Gangway has no rules for that")
	case len(to.Endpoints) > 0:
		d.direct(s, f)
	case container:
		d.out(s, f)
	default:
		d.step("to %s/%s, outside of Gangway's networks", f.Destination, f.Protocol)
		d.end(Unknown, "Gangway is not on the way")
	}
	return d
}

func (d *Decision) from(s State, f Flow) {
	switch {
	case f.From.Host:
		d.step("from the host itself")
	case f.From.outside() && !f.Source.IsValid():
		d.step("from anywhere outside of Gangway's networks")
	case f.From.outside():
		d.step("from %s, outside of Gangway's networks", f.Source)
	default:
		e := f.source()
		d.step("from %s%s on network %s%s", nameOf(e.Whose, e.ID), ofAddr(f.Source), netName(s.network(e.NetworkID)), traits(s.network(e.NetworkID), f))
	}
}

func ofAddr(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return ", " + a.String() + ","
}

// traits are a network's options that matter, in brackets.
func traits(n plugin.Network, f Flow) string {
	text := ""
	add := func(word string) {
		if word != "" {
			text += ", " + word
		}
	}
	if mode := mode(n, f); mode != "" {
		add("mode " + mode)
	}
	if n.Internal {
		add("internal")
	}
	if !n.ICC {
		add("icc off")
	}
	if text == "" {
		return ""
	}
	return " (" + text[2:] + ")"
}

// mode is the network's gateway mode in the flow's family.
func mode(n plugin.Network, f Flow) string {
	if f.Destination.Addr().Is6() {
		return n.ModeIPv6
	}
	return n.ModeIPv4
}

// published is for a port of the host that leads to a container.
func (d *Decision) published(s State, f Flow, p plugin.Port) {
	n := s.network(p.NetworkID)
	inside := netip.AddrPortFrom(p.ContainerIP, p.ContainerFirst+(f.Destination.Port()-p.First))
	d.step("to %s/%s, a port that %s on network %s publishes at %s", f.Destination, f.Protocol, nameOf(p.Whose, p.EndpointID), netName(n), p.HostIP)
	local := f.Destination.Addr().IsLoopback()
	if p.Path == plugin.PathPrefix && f.From.Host {
		d.end(Unknown, "what the host itself sends there is not translated: it reaches the container at %s", inside)
		return
	}
	if local && !f.From.Host {
		d.end(Dropped, "%s is reached by the host itself alone", f.Destination.Addr())
		return
	}
	from := plugin.Network{}
	if len(f.From.Endpoints) > 0 {
		from = s.network(f.source().NetworkID)
	}
	same := from.ID != "" && from.ID == n.ID
	if relayed(p, f.Destination.Addr()) {
		d.step("relayed by the daemon to %s: the kernel translates no such packet", inside)
		if from.Internal {
			d.end(Dropped, "the relay refuses clients on internal network %s", netName(from))
			return
		}
		d.end(Accepted, "the container sees the host's address as the client")
		return
	}
	d.To = inside
	d.step("its destination is translated to %s (chain prerouting or output of type nat)", inside)
	switch {
	case from.Internal && !same:
		d.end(Dropped, "nothing leaves internal network %s", netName(from))
		return
	case n.Internal && !same:
		d.end(Dropped, "nothing comes into internal network %s", netName(n))
		return
	case same:
		d.step("its source becomes the bridge's address, so that the answer comes back by the host (hairpin)")
	case local:
		d.step("its source becomes the bridge's address: the container could not answer 127.0.0.1")
	}
	d.end(Accepted, "a published port is open to everybody, unless DOCKER-USER or a rule of others drops it")
}

// relayed says whether the daemon takes the flow, and not the kernel.
func relayed(p plugin.Port, to netip.Addr) bool {
	return p.Path == "relay" || p.Path == "nat+relay" && (to.IsLoopback() && to.Is6() || to.Is6() && to.IsLinkLocalUnicast())
}

// direct is for a container's own address.
func (d *Decision) direct(s State, f Flow) {
	e, _ := s.endpoint(f.Destination.Addr())
	n := s.network(e.NetworkID)
	d.step("to %s/%s, the address of %s on network %s%s", f.Destination, f.Protocol, nameOf(e.Whose, e.ID), netName(n), traits(n, f))
	switch {
	case f.From.Host && mode(n, f) == "isolated":
		d.end(Dropped, "the host has no address on a network of mode isolated, and no route to it")
	case f.From.Host:
		d.end(Accepted, "the host reaches containers by their bridge")
	case f.From.outside():
		d.fromOutside(f, e, n)
	default:
		d.between(s, f, e, n)
	}
}

// between is for one container that asks another.
func (d *Decision) between(s State, f Flow, to plugin.Endpoint, n plugin.Network) {
	by := f.source()
	from := s.network(by.NetworkID)
	switch {
	case by.ID == to.ID:
		d.end(Unknown, "the container itself: no packet leaves it")
	case by.NetworkID == to.NetworkID && !n.ICC:
		d.Switched = true
		d.step("both are on one bridge, %s: no rule of IP is asked, but the port filter of %s", by.Bridge, or(by.HostInterface, "the veth"))
		d.end(Dropped, "enable_icc=false: containers of network %s reach the host only", netName(n))
	case by.NetworkID == to.NetworkID:
		d.Switched = true
		d.step("both are on one bridge, %s: no rule of IP is asked, unless br_netfilter is on", by.Bridge)
		d.end(Accepted, "containers of one network reach each other")
	case from.Internal:
		d.end(Dropped, "nothing leaves internal network %s", netName(from))
	case n.Internal:
		d.end(Dropped, "nothing comes into internal network %s", netName(n))
	case peers(by, to, f):
		d.end(Accepted, "the policies of both sides say so: gangway.egress.allow there has network:%s, and gangway.ingress here has network:%s", netName(n), netName(from))
	default:
		d.into(f, to, n, fmt.Sprintf("isolation: networks %s and %s do not reach each other", netName(from), netName(n)))
	}
}

// fromOutside is for somebody outside who asks a container's own address.
func (d *Decision) fromOutside(f Flow, e plugin.Endpoint, n plugin.Network) {
	const trusted = "com.docker.network.bridge.trusted_host_interfaces"
	links := opened(e, f)
	switch {
	case n.Internal:
		d.end(Dropped, "nothing comes into internal network %s", netName(n))
	case mode(n, f) == "nat" && len(links) > 0:
		d.end(Unknown, "the container publishes the port: open if the packet comes by %s (trusted)", strings.Join(links, " or "))
	case mode(n, f) == "nat" && n.Options[trusted] != "":
		d.end(Dropped, "only what the container publishes is open to what comes by %s (trusted), and it does not publish port %d/%s", n.Options[trusted], f.Destination.Port(), f.Protocol)
	default:
		d.into(f, e, n, "only published ports of network "+netName(n)+" are reached, by an address of the host")
	}
}

// opened lists the links by which others reach the port that is asked for by the container's
// own address; "" stands for all.
func opened(e plugin.Endpoint, f Flow) (links []string) {
	for _, o := range e.Open {
		port := f.Destination.Port()
		if o.IP == f.Destination.Addr() && o.Protocol == f.Protocol && o.First <= port && port <= o.Last && !slices.Contains(links, o.From) {
			links = append(links, o.From)
		}
	}
	return links
}

// into is for what comes into a network from elsewhere without translation.
func (d *Decision) into(f Flow, e plugin.Endpoint, n plugin.Network, closed string) {
	switch m := mode(n, f); {
	case m == "nat-unprotected":
		d.end(Accepted, "in mode nat-unprotected all ports are open to who has a route")
	case m == "routed" && slices.Contains(opened(e, f), ""):
		d.end(Accepted, "the container publishes the port, and in mode routed it is open to who has a route")
	case m == "routed":
		d.end(Dropped, "in mode routed published ports alone are open, and the container does not publish port %d/%s", f.Destination.Port(), f.Protocol)
	default:
		d.end(Dropped, "%s", closed)
	}
}

// out is for a container that asks somebody outside.
func (d *Decision) out(s State, f Flow) {
	n := s.network(f.source().NetworkID)
	d.step("to %s/%s, outside of Gangway's networks", f.Destination, f.Protocol)
	switch {
	case n.Internal:
		d.end(Dropped, "nothing leaves internal network %s", netName(n))
		return
	case n.Options["gangway.gateway"] != "":
		d.end(Unknown, "what leaves network %s goes by its gateway (%s) or is dropped; the gateway itself leaves by the host", netName(n), n.Options["gangway.gateway"])
		return
	case n.Options["gangway.ipv6"] != "" && f.Destination.Addr().Is6() && !n.Outside.IsValid():
		d.end(Dropped, "the host has no prefix into which network %s could be translated (gangway.ipv6=prefix)", netName(n))
		return
	case n.Options["gangway.ipv6"] != "" && f.Destination.Addr().Is6():
		d.step("its source becomes the address with the same host part in %s (gangway.ipv6=prefix)", n.Outside)
	case mode(n, f) == "routed":
		d.step("its source stays: mode routed")
	case n.Options["com.docker.network.bridge.enable_ip_masquerade"] == "false":
		d.step("its source stays: enable_ip_masquerade=false")
	default:
		d.step("its source becomes an address of the host (chain postrouting of type nat)")
	}
	d.end(Accepted, "containers reach the outside, but no bridges of other programs on the host")
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
