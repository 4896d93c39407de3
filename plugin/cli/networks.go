package cli

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/gangway-net/gangway/plugin"
)

const networksLong = `List networks, their bridges and their options.

MODE is the gateway mode, or internal. OPTIONS are those that the network was
created with, without the prefix com.docker.network. DROPPED counts the packets
that Gangway refused since the daemon's start; --json says why:

  spoofed       an address of the network by another link, or a sender that is
                not the container's own
  unpublished   from outside, to what is not published
  isolated      from or to another network, or an internal one
  icc           between containers of a network with enable_icc=false

` + aboutNames + `

OUTSIDE is the prefix by which a network with gangway.ipv6=prefix is known
outside today.

Values for --format: .Name, .ID, .Mode, .Subnets, .Outside, .Gateways, .Bridge,
.MTU, .ICC, .Guarded, .Endpoints, .Dropped, .Options.`

// aboutNames is for all lists.
const aboutNames = `Names are the engine's. Without its API ids stand in their place. The table is
not wider than 120 columns; --no-trunc cuts nothing, and shows more columns.`

func networksView() view {
	return view{
		headers: row{
			"Name": "NETWORK", "ID": "NETWORK ID", "Mode": "MODE", "Subnets": "SUBNETS", "Gateways": "GATEWAYS", "Outside": "OUTSIDE", "Bridge": "BRIDGE",
			"MTU": "MTU", "ICC": "ICC", "Guarded": "GUARDED", "Endpoints": "ENDPOINTS", "Dropped": "DROPPED", "Options": "OPTIONS",
		},
		short: `{{.Name}}\t{{.Mode}}\t{{.Subnets}}\t{{.Bridge}}\t{{.Endpoints}}\t{{.Dropped}}\t{{.Options}}`,
		long:  `{{.Name}}\t{{.ID}}\t{{.Mode}}\t{{.Subnets}}\t{{.Outside}}\t{{.Gateways}}\t{{.Bridge}}\t{{.MTU}}\t{{.ICC}}\t{{.Guarded}}\t{{.Endpoints}}\t{{.Dropped}}\t{{.Options}}`,
	}
}

func networksCommand() command {
	return command{
		use: "networks [NETWORK]", short: "List networks: name, mode, subnets, bridge and options", long: networksLong,
		lists: &lists{argument: true, complete: networkNames}, run: runNetworks,
	}
}

func runNetworks(ctx context.Context, q query) error {
	if q.want.argument != "" {
		q.awaitNetwork(ctx, q.want.argument)
	}
	l, err := fetch[plugin.Network](ctx, q, "networks")
	if err != nil {
		return err
	}
	if q.want.argument != "" {
		ids, err := pick("network", "is one of Gangway's", q.want.argument, networkRefs(l.list))
		if err != nil {
			return err
		}
		l.keep(func(n plugin.Network) bool { return ids[n.ID] })
	}
	if q.json {
		return l.printRaw(q)
	}
	slices.SortFunc(l.list, func(a, b plugin.Network) int {
		return cmp.Or(cmp.Compare(orID(a.Name, a.ID), orID(b.Name, b.ID)), cmp.Compare(a.ID, b.ID))
	})
	var rows []row
	for _, n := range l.list {
		rows = append(rows, q.networkRow(n))
	}
	return q.show(networksView(), rows)
}

func networkRefs(networks []plugin.Network) (all []named) {
	for _, n := range networks {
		all = append(all, named{n.Name, []string{n.ID}})
	}
	return all
}

func (q query) networkRow(n plugin.Network) row {
	bridge := n.Bridge
	if n.Adopted {
		bridge += " (adopted)"
	}
	mtu := "default"
	if n.MTU != 0 {
		mtu = strconv.Itoa(n.MTU)
	}
	outside := "-"
	if n.Outside.IsValid() {
		outside = n.Outside.String()
	}
	return row{
		"Name": q.name(n.Name, n.ID), "ID": q.id(n.ID), "Mode": mode(n), "Subnets": join(n.Subnets), "Outside": outside, "Gateways": join(n.Gateways), "Bridge": bridge,
		"MTU": mtu, "ICC": yesNo(n.ICC), "Guarded": yesNo(n.Guarded), "Endpoints": strconv.Itoa(n.Endpoints), "Dropped": dropped(n.Dropped), "Options": options(n.Options),
	}
}

// mode is how a network is joined to the outside, in one word where that is so in both
// families.
func mode(n plugin.Network) string {
	four, six := n.ModeIPv4, n.ModeIPv6
	if n.Internal {
		for _, of := range []*string{&four, &six} {
			if *of != "" && *of != "isolated" {
				*of = "internal"
			}
		}
	}
	switch {
	case six == "" || four == six:
		return dash(four)
	case four == "":
		return six
	}
	return four + ", " + six + " (IPv6)"
}

func options(given map[string]string) string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(given)) {
		words = append(words, strings.TrimPrefix(name, "com.docker.network.")+"="+given[name])
	}
	return dash(strings.Join(words, " "))
}
