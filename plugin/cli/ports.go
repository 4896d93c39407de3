package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gangway-net/gangway/plugin"
)

const portsLong = `List published ports: all, those of one container, or one port of the host.

An engine cannot learn from a plugin which host ports it published, so "docker
ps" and "docker port" show none for a gangway network; an ephemeral port is
found only here. CONTAINER is a container's name, or the beginning of its id or
of an endpoint's; PORT is a port of the host, such as 8000 or 8000/udp. TARGET
is the port inside the container. WAYS has the host's addresses, and for each
how connections get from there to the container: by address translation in the
kernel (nat), through the daemon (relay), or both, as their destination needs.
INGRESS says who may ask from outside, where a policy does not let anybody.

` + aboutNames + `

Values for --format: .Port, .Protocol, .HostPorts, .HostIPs, .Ways, .Container,
.ContainerID, .ContainerPorts, .ContainerIPs, .EndpointID, .Network, .NetworkID,
.Ingress.`

func portsView() view {
	return view{
		headers: row{
			"Port": "PORT", "Protocol": "PROTOCOL", "HostPorts": "HOST PORTS", "HostIPs": "HOST ADDRESSES", "Ways": "WAYS", "Container": "CONTAINER",
			"ContainerID": "CONTAINER ID", "ContainerPorts": "TARGET", "ContainerIPs": "CONTAINER ADDRESSES", "EndpointID": "ENDPOINT ID",
			"Network": "NETWORK", "NetworkID": "NETWORK ID", "Ingress": "INGRESS",
		},
		short: `{{.Port}}\t{{.Container}}\t{{.ContainerPorts}}\t{{.Network}}\t{{.Ingress}}\t{{.Ways}}`,
		long:  `{{.Port}}\t{{.Container}}\t{{.ContainerID}}\t{{.EndpointID}}\t{{.ContainerPorts}}\t{{.ContainerIPs}}\t{{.Network}}\t{{.NetworkID}}\t{{.Ingress}}\t{{.Ways}}`,
	}
}

func portsCommand() command {
	return command{
		use: "ports [CONTAINER|PORT[/PROTOCOL]]", short: "List published ports, which docker ps does not show for a plugin's networks", long: portsLong,
		lists: &lists{argument: true, network: true, complete: containerNames}, run: runPorts,
	}
}

func runPorts(ctx context.Context, q query) error {
	q.awaitContainer(ctx, q.want.argument)
	l, err := fetch[plugin.Port](ctx, q, "ports")
	if err != nil {
		return err
	}
	if q.want.argument != "" {
		wanted, err := q.wantedPorts(ctx, l.list)
		if err != nil {
			return err
		}
		l.keep(wanted)
	}
	if on, err := q.network(ctx); err != nil {
		return err
	} else if on != nil {
		l.keep(func(p plugin.Port) bool { return on[p.NetworkID] })
	}
	if q.json {
		return l.printRaw(q)
	}
	var rows []row
	for _, runs := range published(l.list) {
		rows = append(rows, q.portRow(runs))
	}
	return q.show(portsView(), rows)
}

// wantedPorts says which runs the argument means. A number is a port of the host, unless
// there is none and a container has it as its name. A container that publishes nothing
// is found among the endpoints.
func (q query) wantedPorts(ctx context.Context, all []plugin.Port) (func(plugin.Port) bool, error) {
	port, isPort, err := parsePort(q.want.argument)
	if err != nil || isPort && slices.ContainsFunc(all, port.is) {
		return port.is, err
	}
	endpoints, err := fetch[plugin.Endpoint](ctx, q, "endpoints")
	if err != nil {
		return nil, err
	}
	ids, err := pick("container", "is on a network of Gangway", q.want.argument, containers(endpoints.list))
	if missing := (*notFoundError)(nil); errors.As(err, &missing) && isPort {
		err = port.notPublished(all)
	}
	return func(p plugin.Port) bool { return ids[key(p.Whose, p.EndpointID)] }, err
}

// published brings together what is one published port: the same ports of the host at
// several addresses.
func published(all []plugin.Port) (ports [][]plugin.Port) {
	order := func(a, b plugin.Port) int {
		return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(a.Last, b.Last), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.EndpointID, b.EndpointID), cmp.Compare(a.ContainerFirst, b.ContainerFirst))
	}
	slices.SortFunc(all, func(a, b plugin.Port) int {
		return cmp.Or(order(a, b), a.HostIP.Compare(b.HostIP), a.ContainerIP.Compare(b.ContainerIP))
	})
	for i, p := range all {
		if i > 0 && order(all[i-1], p) == 0 {
			ports[len(ports)-1] = append(ports[len(ports)-1], p)
		} else {
			ports = append(ports, []plugin.Port{p})
		}
	}
	return ports
}

func (q query) portRow(runs []plugin.Port) row {
	p := runs[0]
	host, inside := portRange(p.First, p.Last), portRange(p.ContainerFirst, p.ContainerFirst+(p.Last-p.First))
	var hostIPs, containerIPs, ways []string
	for _, run := range runs {
		hostIPs = append(hostIPs, run.HostIP.String())
		ways = append(ways, fmt.Sprintf("%s (%s)", run.HostIP, run.Path))
		if ip := run.ContainerIP.String(); !slices.Contains(containerIPs, ip) {
			containerIPs = append(containerIPs, ip)
		}
	}
	ingress := "any"
	if len(p.Ingress) > 0 {
		ingress = strings.Join(p.Ingress, ",")
	}
	return row{
		"Ingress": ingress, "Port": host + "/" + p.Protocol, "Protocol": p.Protocol, "HostPorts": host, "HostIPs": strings.Join(hostIPs, " "), "Ways": strings.Join(ways, ", "),
		"Container": q.name(p.ContainerName, p.EndpointID), "ContainerID": dash(q.id(p.ContainerID)), "ContainerPorts": inside, "ContainerIPs": strings.Join(containerIPs, " "),
		"EndpointID": q.id(p.EndpointID), "Network": q.name(p.NetworkName, p.NetworkID), "NetworkID": q.id(p.NetworkID),
	}
}

// portRange shows a run of ports, such as 8000-8010.
func portRange(first, last uint16) string {
	if first == last {
		return strconv.Itoa(int(first))
	}
	return strconv.Itoa(int(first)) + "-" + strconv.Itoa(int(last))
}
