package firewall

import "fmt"

// String names the bridge and what the network is.
func (n Network) String() string {
	out := "rules of bridge " + n.Bridge
	if n.Internal {
		out += ", internal"
	}
	if !n.ICC {
		out += ", containers apart"
	}
	for _, s := range n.Subnets {
		out += ", " + s.String()
	}
	return out
}

// String says where the ports lead.
func (p Port) String() string { return "published port " + p.Published.String() }

// String names the container's ports, and who reaches them.
func (o Open) String() string {
	out := fmt.Sprintf("open port %s %s:%d-%d", o.Proto, o.Addr, o.First, o.Last)
	if o.From != "" {
		out += " by link " + o.From
	}
	return out
}

// String names the container and its clients.
func (d Direct) String() string {
	return fmt.Sprintf("published ports of %s for its neighbours in %s", d.Addr, d.Clients)
}

// String names the ports.
func (k Keep) String() string {
	return fmt.Sprintf("source ports udp %s:%d-%d kept", k.Addr, k.First, k.Last)
}

// String is the range.
func (h HighPorts) String() string {
	return fmt.Sprintf("source ports %s %d-%d of what goes out", h.Proto, h.First, h.Last)
}

// String names the family.
func (c Closed) String() string {
	name := "IPv4"
	if c.Six {
		name = "IPv6"
	}
	return "forwarding of " + name + " for the networks alone"
}
