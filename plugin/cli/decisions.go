package cli

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"

	"github.com/gangway-net/gangway/plugin"
)

const decisionsLong = `List what the entries of policies have decided: of all networks and containers,
or of one container.

An entry is an item of gangway.egress.allow, gangway.egress.deny, gangway.host
or gangway.ingress, or what such an option, or gangway.egress, says of all the
rest. PACKETS are those that began a flow, or were to: what follows in a flow
that is known meets no entry. The numbers begin when a policy comes into force,
and anew when it changes or is repaired. Networks and containers with the very
same policy are counted together; WITH says with how many others. "-" as a
container stands for all of the network that have no policy of their own. What
gangway.egress=open and gangway.host=any let pass is not counted. An entry
without ports or protocol is asked before others of its list. VERDICT is passed,
refused or, in mode audit, audited. POLICY is its name in the kernel.

` + aboutNames + `

Values for --format: .Network, .NetworkID, .Container, .ContainerID, .EndpointID,
.Policy, .Option, .Value, .Entry, .Verdict, .Packets, .Bytes, .With.`

func decisionsView() view {
	return view{
		headers: row{
			"Network": "NETWORK", "NetworkID": "NETWORK ID", "Container": "CONTAINER", "ContainerID": "CONTAINER ID", "EndpointID": "ENDPOINT ID",
			"Policy": "POLICY", "Option": "OPTION", "Value": "VALUE", "Entry": "ENTRY", "Verdict": "VERDICT", "Packets": "PACKETS", "Bytes": "BYTES", "With": "WITH",
		},
		short: `{{.Network}}\t{{.Container}}\t{{.Entry}}\t{{.Verdict}}\t{{.Packets}}\t{{.With}}`,
		long:  `{{.Network}}\t{{.NetworkID}}\t{{.Container}}\t{{.ContainerID}}\t{{.EndpointID}}\t{{.Policy}}\t{{.Entry}}\t{{.Verdict}}\t{{.Packets}}\t{{.Bytes}}\t{{.With}}`,
	}
}

func decisionsCommand() command {
	return command{
		use: "decisions [CONTAINER]", short: "List how often each entry of a policy let pass, or refused", long: decisionsLong,
		lists: &lists{argument: true, network: true, complete: containerNames}, run: runDecisions,
	}
}

func runDecisions(ctx context.Context, q query) error {
	ids, on, err := q.dropsOf(ctx)
	if err != nil {
		return err
	}
	l, err := q.fetchDecisions(ctx, ids)
	if err != nil {
		return err
	}
	l.keep(func(d plugin.Decisions) bool { return on == nil || on[d.NetworkID] })
	if q.json {
		return l.printRaw(q)
	}
	slices.SortStableFunc(l.list, func(a, b plugin.Decisions) int {
		return cmp.Or(
			cmp.Compare(orID(a.NetworkName, a.NetworkID), orID(b.NetworkName, b.NetworkID)),
			cmp.Compare(orID(a.ContainerName, a.EndpointID), orID(b.ContainerName, b.EndpointID)))
	})
	var rows []row
	for _, d := range l.list {
		for i := range d.Entries {
			rows = append(rows, q.decisionRow(d, i))
		}
	}
	return q.show(decisionsView(), rows)
}

// fetchDecisions asks for those of a container's places, or for all if container is nil.
func (q query) fetchDecisions(ctx context.Context, container map[string]bool) (all excerpt[plugin.Decisions], err error) {
	if container == nil {
		return fetch[plugin.Decisions](ctx, q, "decisions")
	}
	places, err := fetch[plugin.Endpoint](ctx, q, "endpoints")
	if err != nil {
		return all, err
	}
	for _, e := range places.list {
		if !container[key(e.Whose, e.ID)] {
			continue
		}
		l, err := fetch[plugin.Decisions](ctx, q, "decisions?of="+url.QueryEscape(e.ID))
		if err != nil {
			return all, err
		}
		all.list, all.each = append(all.list, l.list...), append(all.each, l.each...)
	}
	return all, nil
}

func (q query) decisionRow(d plugin.Decisions, entry int) row {
	e, with := d.Entries[entry], "-"
	if d.Sharers > 0 {
		with = fmt.Sprintf("%d more", d.Sharers)
	}
	return row{
		"Network": q.name(d.NetworkName, d.NetworkID), "NetworkID": q.id(d.NetworkID),
		"Container": dash(q.name(d.ContainerName, d.EndpointID)), "ContainerID": dash(q.id(d.ContainerID)), "EndpointID": dash(q.id(d.EndpointID)),
		"Policy": d.Policy, "Option": string(e.Option), "Value": e.Value, "Entry": e.String(), "Verdict": d.Verdict(e), "With": with,
		"Packets": strconv.FormatUint(e.Packets, 10), "Bytes": strconv.FormatUint(e.Bytes, 10),
	}
}
