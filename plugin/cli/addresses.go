package cli

import (
	"cmp"
	"context"
	"net/netip"
	"slices"

	"github.com/gangway-net/gangway/ipam/lease"
	"github.com/gangway-net/gangway/plugin"
)

const addressesLong = `List the addresses of Gangway's address manager: all, or those of one network.

STATE is gateway; used, by a container or kept for something outside of Docker
(--aux-address); or kept: free, and given to the container of that name when it
comes back, to others when no other address is left. Engines name the container
from 29 on. "docker network create --ipam-opt gangway.sticky=false" keeps none.
SINCE is when the address got its state. LEASE is that of the LAN's DHCP server
(--ipam-opt gangway.dhcp=LINK): its server and its end, and how it stands if it
is not extended in time: renewing, rebinding (any server is asked), or lost, with
which the container keeps the address all the same.

A network without --ipam-driver gangway:latest has its addresses from the engine
and is not in the list.

` + aboutNames + `

Values for --format: .Network, .NetworkID, .Pool, .Address, .State, .Container,
.ContainerID, .EndpointID, .Since, .Lease, .LeaseServer, .LeaseState.`

func addressesView() view {
	return view{
		headers: row{
			"Lease": "LEASE", "LeaseServer": "SERVER", "LeaseState": "LEASE STATE",
			"Network": "NETWORK", "NetworkID": "NETWORK ID", "Pool": "POOL", "Address": "ADDRESS", "State": "STATE",
			"Container": "CONTAINER", "ContainerID": "CONTAINER ID", "EndpointID": "ENDPOINT ID", "Since": "SINCE",
		},
		short: `{{.Network}}\t{{.Address}}\t{{.State}}\t{{.Container}}\t{{.Since}}\t{{.Lease}}`,
		long:  `{{.Network}}\t{{.NetworkID}}\t{{.Pool}}\t{{.Address}}\t{{.State}}\t{{.Container}}\t{{.ContainerID}}\t{{.EndpointID}}\t{{.Since}}\t{{.Lease}}`,
	}
}

func addressesCommand() command {
	return command{
		use: "addresses [NETWORK]", short: "List addresses: in use, and kept for containers that come back", long: addressesLong,
		lists: &lists{argument: true, complete: networkNames}, run: runAddresses,
	}
}

func runAddresses(ctx context.Context, q query) error {
	l, err := fetch[plugin.Address](ctx, q, "addresses")
	if err != nil {
		return err
	}
	if q.want.argument != "" {
		known, err := fetch[plugin.Network](ctx, q, "networks")
		if err != nil {
			return err
		}
		ids, err := pick("network", "is one of Gangway's", q.want.argument, networkRefs(known.list))
		if err != nil {
			return err
		}
		l.keep(func(a plugin.Address) bool { return ids[a.NetworkID] })
	}
	if q.json {
		return l.printRaw(q)
	}
	slices.SortFunc(l.list, func(a, b plugin.Address) int {
		return cmp.Or(cmp.Compare(orID(a.NetworkName, a.NetworkID), orID(b.NetworkName, b.NetworkID)), cmp.Compare(a.Pool, b.Pool), a.Address.Compare(b.Address))
	})
	var rows []row
	for _, a := range l.list {
		granted := a.Lease
		if granted == nil {
			granted = &plugin.Lease{}
		}
		rows = append(rows, row{
			"Lease": dash(told(a.Lease)), "LeaseServer": dash(addrText(granted.Server)), "LeaseState": dash(granted.State),
			"Network": dash(q.name(a.NetworkName, a.NetworkID)), "NetworkID": dash(q.id(a.NetworkID)), "Pool": a.Pool,
			"Address": a.Address.String(), "State": a.State, "Since": stamp(a.Since),
			"Container": dash(q.name(a.ContainerName, a.EndpointID)), "ContainerID": dash(q.id(a.ContainerID)), "EndpointID": dash(q.id(a.EndpointID)),
		})
	}
	return q.show(addressesView(), rows)
}

// told is a lease in a few words.
func told(l *plugin.Lease) string {
	switch {
	case l == nil:
		return ""
	case l.State == lease.Lost:
		return "lost"
	}
	text := "by " + l.Server.String()
	if !l.Until.IsZero() {
		text += " until " + stamp(l.Until)
	}
	if l.State != lease.Bound {
		text += ", " + l.State
	}
	return text
}

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
