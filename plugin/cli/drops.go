package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/plugin"
)

const dropsLong = `List the packets that Gangway refused since the daemon's start, by network,
container and reason: all, or those of one container.

A packet is counted for the container that was to get it or that sent it, as far
as the rules tell: those of the iptables backend count by network alone, and "-"
stands for a container or network that is not known or is gone. The reasons:

  spoofed       a source that cannot come from there, such as an address of
                another container
  unpublished   from outside, to what is not published
  isolated      between two networks, or to or from an internal one
  icc           between containers of a network without enable_icc
  policy        a policy does not allow it: BY says which entry, of the container
                or else of its network; "source" is an address that is none of
                the network
  audit         a policy in mode audit would not have allowed it: it passed

What the administrator's rules in DOCKER-USER refuse is not among them.

With --follow each packet is a line, as it is refused, with who has sent it and
who was to get it. The kernel tells of up to 50 packets a second for each
reason, 100 at once; a line says how many more were lost on their way from there
because this command was too slow. What a container's port filter drops is
counted only: see it with gangway capture. So is what the fail-closed table
drops. A packet that DOCKER-USER accepts after all is no line. The rules log as
long as somebody follows, and not otherwise.

` + aboutNames + `

Values for --format: .Network, .NetworkID, .Container, .ContainerID, .EndpointID,
.Reason, .By, .Packets. With --follow .Time, .Reason, .By, .Protocol, .From,
.FromPort, .FromContainer, .FromNetwork, .FromInterface, .To, .ToPort,
.ToContainer, .ToNetwork, .ToInterface, .ToNames (of an address that was learned by a name).`

func dropsView() view {
	return view{
		headers: row{
			"Network": "NETWORK", "NetworkID": "NETWORK ID", "Container": "CONTAINER", "ContainerID": "CONTAINER ID", "EndpointID": "ENDPOINT ID",
			"Reason": "REASON", "By": "BY", "Packets": "PACKETS",
		},
		short: `{{.Network}}\t{{.Container}}\t{{.Reason}}\t{{.Packets}}\t{{.By}}`,
		long:  `{{.Network}}\t{{.NetworkID}}\t{{.Container}}\t{{.ContainerID}}\t{{.EndpointID}}\t{{.Reason}}\t{{.Packets}}\t{{.By}}`,
	}
}

func dropsCommand() command {
	return command{
		use: "drops [CONTAINER]", short: "List the packets that were refused, by network, container and reason", long: dropsLong,
		follows: true,
		lists:   &lists{argument: true, network: true, complete: containerNames}, run: runDrops,
	}
}

func runDrops(ctx context.Context, q query) error {
	if q.follow {
		return q.followDrops(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, q.timeout)
	defer cancel()
	ids, on, err := q.dropsOf(ctx)
	if err != nil {
		return err
	}
	l, err := fetch[plugin.Dropped](ctx, q, "drops")
	if err != nil {
		return err
	}
	l.keep(func(d plugin.Dropped) bool {
		return (ids == nil || d.EndpointID != "" && ids[key(d.Whose, d.EndpointID)]) && (on == nil || on[d.NetworkID])
	})
	if q.json {
		return l.printRaw(q)
	}
	slices.SortFunc(l.list, func(a, b plugin.Dropped) int {
		return cmp.Or(
			cmp.Compare(orID(a.NetworkName, a.NetworkID), orID(b.NetworkName, b.NetworkID)),
			cmp.Compare(orID(a.ContainerName, a.EndpointID), orID(b.ContainerName, b.EndpointID)),
			cmp.Compare(b.Packets, a.Packets), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.By.String(), b.By.String()))
	})
	var rows []row
	for _, d := range l.list {
		rows = append(rows, row{
			"Network": dash(q.name(d.NetworkName, d.NetworkID)), "NetworkID": dash(q.id(d.NetworkID)),
			"Container": dash(q.name(d.ContainerName, d.EndpointID)), "ContainerID": dash(q.id(d.ContainerID)), "EndpointID": dash(q.id(d.EndpointID)),
			"Reason": string(d.Reason), "By": dash(d.PolicyOf(d.By, d.NetworkID, d.EndpointID)), "Packets": strconv.FormatUint(d.Packets, 10),
		})
	}
	return q.show(dropsView(), rows)
}

// dropsOf are the keys of the container and the ids of the networks that are meant; nil for
// all.
func (q query) dropsOf(ctx context.Context) (container, networks map[string]bool, err error) {
	if q.want.argument != "" {
		q.awaitContainer(ctx, q.want.argument)
		l, failed := fetch[plugin.Endpoint](ctx, q, "endpoints")
		if failed != nil {
			return nil, nil, failed
		}
		if container, err = pick("container", "is on a network of Gangway", q.want.argument, containers(l.list)); err != nil {
			return nil, nil, err
		}
	}
	networks, err = q.network(ctx)
	return container, networks, err
}

// dropped shows how many packets were refused.
func dropped(d driver.Drops) string { return strconv.FormatUint(d.Total(), 10) }

// droppedLine says why as well, what happened most first.
func droppedLine(d driver.Drops) string {
	line := count(d.Total(), "packet")
	var parts []string
	for _, r := range d.Reasons() {
		parts = append(parts, fmt.Sprintf("%d %s", d[r], r))
	}
	if len(parts) > 0 {
		line += ": " + strings.Join(parts, ", ")
	}
	return line
}
