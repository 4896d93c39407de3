package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gangway-net/gangway/plugin"
)

const endpointsLong = `List endpoints, one a container and network: all, or those of one container.

CONTAINER is a container's name, or the beginning of its id or of an endpoint's.
INTERFACES are the ends of the veth pair: inside the container, and on the
bridge; with --no-trunc they have columns of their own, and indexes.
SANDBOX is the container's network namespace ("docker inspect" calls it
SandboxKey); an endpoint without one is not in use. DROPPED counts the packets
that Gangway refused since the daemon's start, from the container or for it;
--json says why.
Ports of others on a network's bridge, such as taps of virtual machines, are at
the end, with the hardware addresses that the bridge has learned behind them;
they have no endpoint, and --json is without them (GET /gangway/v1/foreign).

` + aboutNames + `

Values for --format: .Container, .ContainerID, .ID, .Network, .NetworkID,
.Addresses, .MAC, .Interface, .HostInterface, .Interfaces, .Bridge, .Ports,
.Dropped, .Sandbox.`

func endpointsView() view {
	return view{
		headers: row{
			"Container": "CONTAINER", "ContainerID": "CONTAINER ID", "ID": "ENDPOINT ID", "Network": "NETWORK", "NetworkID": "NETWORK ID",
			"Addresses": "ADDRESSES", "MAC": "MAC", "Interface": "INTERFACE", "HostInterface": "HOST INTERFACE", "Interfaces": "INTERFACES", "Bridge": "BRIDGE",
			"Ports": "PORTS", "Dropped": "DROPPED", "Sandbox": "SANDBOX",
		},
		short: `{{.Container}}\t{{.Network}}\t{{.Addresses}}\t{{.Interfaces}}\t{{.Ports}}\t{{.Dropped}}`,
		long:  `{{.Container}}\t{{.ContainerID}}\t{{.ID}}\t{{.Network}}\t{{.NetworkID}}\t{{.Addresses}}\t{{.MAC}}\t{{.Interface}}\t{{.HostInterface}}\t{{.Bridge}}\t{{.Ports}}\t{{.Dropped}}\t{{.Sandbox}}`,
	}
}

func endpointsCommand() command {
	return command{
		use: "endpoints [CONTAINER]", short: "List endpoints: container, network, addresses, and interfaces on both sides", long: endpointsLong,
		lists: &lists{argument: true, network: true, complete: containerNames}, run: runEndpoints,
	}
}

func runEndpoints(ctx context.Context, q query) error {
	l, err := q.wantedEndpoints(ctx)
	if err != nil {
		return err
	}
	if q.json {
		return l.printRaw(q)
	}
	sortEndpoints(l.list)
	var rows []row
	for _, e := range l.list {
		rows = append(rows, q.endpointRow(e))
	}
	foreign, err := q.foreignRows(ctx)
	if err != nil {
		return err
	}
	return q.show(endpointsView(), append(rows, foreign...))
}

// foreignRows are ports of others on the bridges that the user asks for: they are no
// container's.
func (q query) foreignRows(ctx context.Context) (rows []row, err error) {
	if q.want.argument != "" {
		return nil, nil
	}
	on, err := q.network(ctx)
	if err != nil {
		return nil, err
	}
	l, err := fetch[plugin.ForeignPort](ctx, q, "foreign")
	if err != nil {
		return nil, err
	}
	for _, p := range l.list {
		if on != nil && !on[p.NetworkID] {
			continue
		}
		host := p.Interface
		if q.full {
			host = link(p.Interface, p.Index)
		}
		learned := strings.Join(p.Learned, " ")
		if more := p.Addresses - len(p.Learned); more > 0 {
			learned += fmt.Sprintf(" and %d more", more)
		}
		rows = append(rows, row{
			"Container": "(foreign " + p.Kind + ")", "ContainerID": "-", "ID": "-", "Network": q.name(p.NetworkName, p.NetworkID), "NetworkID": dash(q.id(p.NetworkID)),
			"Addresses": dash(learned), "MAC": "-", "Interface": "-", "HostInterface": host, "Interfaces": "- " + host, "Bridge": p.Bridge,
			"Ports": "0", "Dropped": "0", "Sandbox": "-",
		})
	}
	return rows, nil
}

// wantedEndpoints are those of the container and the network that the user names, or all.
func (q query) wantedEndpoints(ctx context.Context) (l excerpt[plugin.Endpoint], err error) {
	q.awaitContainer(ctx, q.want.argument)
	l, err = fetch[plugin.Endpoint](ctx, q, "endpoints")
	if err != nil {
		return l, err
	}
	if q.want.argument != "" {
		ids, err := pick("container", "is on a network of Gangway", q.want.argument, containers(l.list))
		if err != nil {
			return l, err
		}
		l.keep(func(e plugin.Endpoint) bool { return ids[key(e.Whose, e.ID)] })
	}
	if on, err := q.network(ctx); err != nil {
		return l, err
	} else if on != nil {
		l.keep(func(e plugin.Endpoint) bool { return on[e.NetworkID] })
	}
	return l, nil
}

// sortEndpoints orders endpoints as lists show them.
func sortEndpoints(all []plugin.Endpoint) {
	slices.SortFunc(all, func(a, b plugin.Endpoint) int {
		return cmp.Or(
			cmp.Compare(orID(a.NetworkName, a.NetworkID), orID(b.NetworkName, b.NetworkID)),
			cmp.Compare(orID(a.ContainerName, a.ID), orID(b.ContainerName, b.ID)), cmp.Compare(a.ID, b.ID))
	})
}

func (q query) endpointRow(e plugin.Endpoint) row {
	inside, host := dash(e.ContainerInterface), dash(e.HostInterface)
	if q.full {
		inside, host = link(e.ContainerInterface, e.ContainerIndex), link(e.HostInterface, e.HostIndex)
	}
	both := inside + " " + host
	if e.ContainerInterface+e.HostInterface == "" {
		both = "-"
	}
	return row{
		"Container": q.name(e.ContainerName, e.ID), "ContainerID": dash(q.id(e.ContainerID)), "ID": q.id(e.ID),
		"Network": q.name(e.NetworkName, e.NetworkID), "NetworkID": q.id(e.NetworkID),
		"Addresses": join(e.Addresses), "MAC": dash(e.MAC), "Interface": inside, "HostInterface": host, "Interfaces": both, "Bridge": dash(e.Bridge),
		"Ports": strconv.Itoa(e.Ports), "Dropped": dropped(e.Dropped), "Sandbox": dash(e.Sandbox),
	}
}
