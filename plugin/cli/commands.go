package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/printable"
)

func statusCommand() command {
	return command{use: "status", short: "Show the state of the daemon and its datapath", run: runStatus}
}

// firewallLine names the backend, and the families that are forwarded for the networks
// alone.
func firewallLine(s plugin.Status) string {
	line := s.Firewall
	if meaning := firewall.Protection(s.Protection).Meaning(); meaning != "" {
		line += "; protection: " + s.Protection + ": " + meaning
	}
	if len(s.Closed) > 0 {
		line += "; " + strings.Join(s.Closed, " and ") + " forwarded for the networks alone"
	}
	return line
}

func runStatus(ctx context.Context, q query) error {
	var s plugin.Status
	printed, err := q.answer(ctx, "status", &s)
	if err != nil {
		return err
	}
	if !printed {
		rows := [][]string{{"State:", s.State}}
		label := "Problem:"
		for line := range strings.Lines(s.Problem) {
			rows = append(rows, []string{label, strings.TrimSpace(line)})
			label = ""
		}
		label = "Degraded:"
		for _, line := range s.Degraded {
			rows = append(rows, []string{label, line})
			label = ""
		}
		if s.Unguarded != "" {
			rows = append(rows, []string{"Unguarded:", s.Unguarded})
		}
		label = "Fights:"
		for _, line := range s.Fights {
			rows = append(rows, []string{label, line})
			label = ""
		}
		rows = append(rows, [][]string{
			{"Daemon:", versionLine(s.Version) + ", running since " + stamp(s.Started)},
			{"Firewall:", firewallLine(s)},
			{"Networks:", strconv.Itoa(s.Networks)},
			{"Endpoints:", strconv.Itoa(s.Endpoints)},
			{"Ports:", strconv.Itoa(s.Ports)},
			{"Dropped:", droppedLine(s.Dropped)},
			{"Last check:", stamp(s.LastCheck)},
			{"Since the start:", count(s.Checks, "check") + ", " + count(s.Repairs, "repair") + " (see gangway events)"},
			{"Calls:", fmt.Sprintf("%d answered, %d of them with an error; %d under way", s.Served, s.Failed, s.InFlight)},
		}...)
		if err := q.table(nil, rows); err != nil {
			return err
		}
	}
	if s.State != plugin.HealthOK {
		return errSilent
	}
	return nil
}

func healthCommand() command {
	return command{use: "health", short: "Say whether all is well, for health checks", run: func(ctx context.Context, q query) error {
		var h plugin.Health
		printed, err := q.answer(ctx, "health", &h)
		if err != nil {
			return err
		}
		if !printed {
			line := h.State
			if h.Problem != "" {
				line += ": " + h.Problem
			}
			for _, why := range h.Degraded {
				line += "\ndegraded: " + why
			}
			if h.Unguarded != "" {
				line += "\nunguarded: " + h.Unguarded
			}
			if p := firewall.Protection(h.Protection); p == firewall.NoProtection {
				line += "\nprotection: none: " + p.Meaning()
			}
			if _, err := fmt.Fprintln(q.out, printable.Text(line)); err != nil {
				return err
			}
		}
		if h.State != plugin.HealthOK {
			return errSilent
		}
		return nil
	}}
}

const networksLong = `List networks and their bridges.

DROPPED counts the packets that Gangway refused since the daemon's start; --json
says why:

  spoofed       an address of the network by another link, or a sender that is
                not the container's own
  unpublished   from outside, to what is not published
  isolated      from or to another network, or an internal one
  icc           between containers of a network with enable_icc=false`

func networksCommand() command {
	return command{use: "networks", short: "List networks and their bridges", long: networksLong, ids: true, run: func(ctx context.Context, q query) error {
		var networks []driver.NetworkStatus
		if printed, err := q.answer(ctx, "networks", &networks); err != nil || printed {
			return err
		}
		slices.SortFunc(networks, func(a, b driver.NetworkStatus) int { return cmp.Compare(a.ID, b.ID) })
		var rows [][]string
		for _, n := range networks {
			bridge := n.Bridge
			if n.Adopted {
				bridge += " (adopted)"
			}
			mtu := "default"
			if n.MTU != 0 {
				mtu = strconv.Itoa(n.MTU)
			}
			rows = append(rows, []string{q.id(n.ID), bridge, join(n.Subnets), join(n.Gateways), mtu, yesNo(n.Internal), yesNo(n.ICC), yesNo(n.Guarded), strconv.Itoa(n.Endpoints), dropped(n.Dropped)})
		}
		return q.table([]string{"NETWORK", "BRIDGE", "SUBNETS", "GATEWAYS", "MTU", "INTERNAL", "ICC", "GUARDED", "ENDPOINTS", "DROPPED"}, rows)
	}}
}

const endpointsLong = `List endpoints, one a container and network.

An interface is shown as "index: name": CONTAINER INTERFACE is the end of the
veth pair inside the container, HOST INTERFACE its other end, on the bridge.
SANDBOX is the container's network namespace ("docker inspect" calls it
SandboxKey); an endpoint without one is not in use. DROPPED counts the packets
that Gangway refused since the daemon's start, from the container or for it;
--json says why.`

func endpointsCommand() command {
	return command{use: "endpoints", short: "List endpoints: addresses, interfaces on both sides, bridge and sandbox", long: endpointsLong, ids: true, run: func(ctx context.Context, q query) error {
		var endpoints []driver.EndpointStatus
		if printed, err := q.answer(ctx, "endpoints", &endpoints); err != nil || printed {
			return err
		}
		slices.SortFunc(endpoints, func(a, b driver.EndpointStatus) int {
			return cmp.Or(cmp.Compare(a.NetworkID, b.NetworkID), cmp.Compare(a.ID, b.ID))
		})
		var rows [][]string
		for _, e := range endpoints {
			rows = append(rows, []string{
				q.id(e.ID), q.id(e.NetworkID), join(e.Addresses), dash(e.MAC),
				link(e.ContainerInterface, e.ContainerIndex), link(e.HostInterface, e.HostIndex),
				dash(e.Bridge), strconv.Itoa(e.Ports), dropped(e.Dropped), dash(e.Sandbox),
			})
		}
		return q.table([]string{"ENDPOINT", "NETWORK", "ADDRESSES", "MAC", "CONTAINER INTERFACE", "HOST INTERFACE", "BRIDGE", "PORTS", "DROPPED", "SANDBOX"}, rows)
	}}
}

const portsLong = `List published ports.

An engine cannot learn from a plugin which host ports it published, so "docker
ps" and "docker port" show none for a gangway network; an ephemeral port is
found only here. ENDPOINT is what "docker inspect" calls EndpointID. PATH says
how connections get there: by address translation in the kernel (nat), through
the daemon (relay), or both, as their destination needs.`

func portsCommand() command {
	return command{use: "ports", short: "List published ports, which docker ps does not show for a plugin's networks", long: portsLong, ids: true, run: func(ctx context.Context, q query) error {
		var ports []driver.PortStatus
		if printed, err := q.answer(ctx, "ports", &ports); err != nil || printed {
			return err
		}
		slices.SortFunc(ports, func(a, b driver.PortStatus) int {
			return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), a.HostIP.Compare(b.HostIP), cmp.Compare(a.First, b.First), cmp.Compare(a.EndpointID, b.EndpointID))
		})
		var rows [][]string
		for _, p := range ports {
			last := p.ContainerFirst + (p.Last - p.First)
			rows = append(rows, []string{
				p.Protocol, hostPorts(p.HostIP, p.First, p.Last), hostPorts(p.ContainerIP, p.ContainerFirst, last),
				q.id(p.NetworkID), q.id(p.EndpointID), p.Path,
			})
		}
		return q.table([]string{"PROTOCOL", "HOST", "CONTAINER", "NETWORK", "ENDPOINT", "PATH"}, rows)
	}}
}

// versions is the JSON of gangway version.
type versions struct {
	Client plugin.Version  `json:"client"`
	Daemon *plugin.Version `json:"daemon,omitempty"`
	// Unreachable says why there is no Daemon.
	Unreachable string `json:"unreachable,omitempty"`
}

func versionCommand(client plugin.Version) command {
	return command{use: "version", short: "Show the version of this command and of the daemon", run: func(ctx context.Context, q query) error {
		v := versions{Client: client}
		var running plugin.Version
		plain := q
		plain.json = false
		if _, err := plain.answer(ctx, "version", &running); err != nil {
			v.Unreachable = err.Error()
		} else {
			v.Daemon = &running
		}
		if q.json {
			raw, err := json.Marshal(v)
			if err != nil {
				return err
			}
			return q.printJSON(raw)
		}
		line := v.Unreachable
		if v.Daemon != nil {
			line = versionLine(*v.Daemon)
		}
		return q.table(nil, [][]string{{"Command:", versionLine(client)}, {"Daemon:", line}})
	}}
}

// table writes rows in columns; header may be nil. A cell may hold anything: no
// container's name for its interface makes a column or a line.
func (q query) table(header []string, rows [][]string) error {
	w := tabwriter.NewWriter(q.out, 0, 0, 3, ' ', 0)
	if header != nil {
		rows = append([][]string{header}, rows...)
	}
	for _, row := range rows {
		cells := make([]string, 0, len(row))
		for _, cell := range row {
			cells = append(cells, printable.Word(cell))
		}
		if _, err := fmt.Fprintln(w, strings.Join(cells, "\t")); err != nil {
			return err
		}
	}
	return w.Flush()
}

func versionLine(v plugin.Version) string {
	line := dash(v.Version)
	if v.Commit != "" {
		line += ", commit " + v.Commit
	}
	if v.Go != "" {
		line += ", " + v.Go
	}
	return line
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Local().Format(time.RFC3339)
}

func count(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.FormatUint(n, 10) + " " + what + "s"
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// link shows an interface as ip link does: its index and name.
func link(name string, index int) string {
	switch {
	case name == "" && index == 0:
		return "-"
	case index == 0:
		return name
	}
	return fmt.Sprintf("%d: %s", index, dash(name))
}

func join[T fmt.Stringer](list []T) string {
	words := make([]string, 0, len(list))
	for _, e := range list {
		words = append(words, e.String())
	}
	return dash(strings.Join(words, " "))
}

// hostPorts shows a run of ports of one address, such as 0.0.0.0:8000-8010.
func hostPorts(ip netip.Addr, first, last uint16) string {
	s := netip.AddrPortFrom(ip, first).String()
	if last != first {
		s += "-" + strconv.Itoa(int(last))
	}
	return s
}
