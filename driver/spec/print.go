package spec

import (
	"fmt"
	"net/netip"
	"strings"
)

// String names the bridge and its addresses.
func (b Bridge) String() string {
	out := "bridge " + b.Name
	if b.Adopted {
		out = "adopted " + out
	}
	if len(b.Addresses) > 0 {
		out += " with " + list(b.Addresses)
	}
	return out
}

// String names the pair's host end, its bridge, and the container's addresses.
func (v Veth) String() string {
	if v.Detached {
		return "link pair " + v.Host + ", in no container"
	}
	return "link pair " + v.Host + " on " + v.Bridge + " of " + list(v.Addresses)
}

// String names the bridge.
func (z Zone) String() string { return "firewall zone of " + z.Bridge }

// String names the family.
func (f Forwarding) String() string { return "forwarding of " + familyName(f.Six) }

// String lists the ports, the first few of many.
func (p HostPorts) String() string {
	const most = 8
	var runs []string
	for _, r := range p.Runs[:min(len(p.Runs), most)] {
		runs = append(runs, r.String())
	}
	out := "host ports of sandbox " + p.Sandbox + ": " + strings.Join(runs, ", ")
	if n := len(p.Runs) - most; n > 0 {
		out += fmt.Sprintf(" and %d more runs", n)
	}
	return out
}

// String names the link.
func (o Outside) String() string { return "link " + o.Name + ", which leads outside" }

// String is "tcp 0.0.0.0:8000-8001 to 10.0.0.2:80-81".
func (p Published) String() string {
	ports := func(a netip.Addr, first, last uint16) string {
		out := netip.AddrPortFrom(a, first).String()
		if last != first {
			out += fmt.Sprintf("-%d", last)
		}
		return out
	}
	return p.Proto.String() + " " + ports(p.HostIP, p.First, p.Last) + " to " +
		ports(p.ContainerIP, p.ContainerFirst, p.ContainerFirst+(p.Last-p.First))
}

func familyName(six bool) string {
	if six {
		return "IPv6"
	}
	return "IPv4"
}

func list[T fmt.Stringer](all []T) string {
	var out []string
	for _, a := range all {
		out = append(out, a.String())
	}
	return strings.Join(out, " and ")
}
