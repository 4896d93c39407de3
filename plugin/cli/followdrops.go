package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/printable"
)

// followDrops prints packets as they are refused. An interrupt is its regular end.
func (q query) followDrops(ctx context.Context) error {
	d, err := q.find(ctx)
	if err != nil {
		return err
	}
	q.find = func(context.Context) (*daemon, error) { return d, nil }
	soon, cancel := context.WithTimeout(ctx, q.timeout)
	ids, on, err := q.dropsOf(soon)
	cancel()
	if err != nil {
		return err
	}
	is := func(p plugin.Party) bool {
		return (ids == nil || p.EndpointID != "" && ids[key(p.Whose, p.EndpointID)]) && (on == nil || on[p.NetworkID])
	}
	return d.stream(ctx, plugin.FollowDropsQuery, func(line json.RawMessage) error {
		var p plugin.DroppedPacket
		if err = json.Unmarshal(line, &p); err != nil {
			return fmt.Errorf("the daemon on %s is of another version: %w", d.socket, err)
		}
		switch {
		case !is(p.From) && !is(p.To):
			return q.lostPackets(p.Lost)
		case q.json:
			return q.printLines([]json.RawMessage{line})
		case q.format != "":
			return q.show(packetView(), []row{q.packetRow(p)})
		}
		if err = q.lostPackets(p.Lost); err != nil {
			return err
		}
		text := fmt.Sprintf("%s  %-11s  %-6s  %s -> %s", stamp(p.Time), printable.Word(string(p.Reason)), printable.Word(dash(p.Protocol)), q.party(p.From), q.party(p.To))
		if by := p.ByPolicy(); by != "" {
			text += "  " + printable.Word(by)
		}
		_, err = fmt.Fprintln(q.out, text)
		return err
	})
}

// lostPackets tells of packets that nobody knows more of.
func (q query) lostPackets(n uint64) error {
	if n == 0 || q.json || q.format != "" {
		return nil
	}
	_, err := fmt.Fprintf(q.out, "(%s lost: they came too fast)\n", count(n, "packet"))
	return err
}

// party names who has sent a packet or was to get it.
func (q query) party(p plugin.Party) string {
	text := "-"
	switch {
	case p.Port != 0:
		text = netip.AddrPortFrom(p.Addr, p.Port).String()
	case p.Addr.IsValid():
		text = p.Addr.String()
	}
	network := q.name(p.NetworkName, p.NetworkID)
	switch {
	case len(p.Names) > 0:
		text += " (" + strings.Join(p.Names, ", ") + ")"
	case p.EndpointID != "":
		text += " (" + q.name(p.ContainerName, p.EndpointID) + " on " + network + ")"
	case network != "":
		text += " (network " + network + ")"
	case p.Interface != "":
		text += " (" + p.Interface + ")"
	}
	return printable.Word(text)
}

func packetView() view {
	const line = `{{.Time}}\t{{.Reason}}\t{{.Protocol}}\t{{.From}}\t{{.FromPort}}\t{{.FromContainer}}\t{{.To}}\t{{.ToPort}}\t{{.ToContainer}}\t{{.By}}`
	headers := row{"Time": "TIME", "Reason": "REASON", "By": "BY", "Protocol": "PROTOCOL", "ToNames": "TO NAMES"}
	for name, header := range map[string]string{"From": "FROM", "To": "TO"} {
		headers[name], headers[name+"Port"] = header, header+" PORT"
		headers[name+"Container"], headers[name+"Network"], headers[name+"Interface"] = header+" CONTAINER", header+" NETWORK", header+" INTERFACE"
	}
	return view{headers: headers, short: line, long: line}
}

func (q query) packetRow(p plugin.DroppedPacket) row {
	r := row{"Time": stamp(p.Time), "Reason": string(p.Reason), "By": dash(p.ByPolicy()), "Protocol": dash(p.Protocol), "ToNames": dash(strings.Join(p.To.Names, " "))}
	for name, p := range map[string]plugin.Party{"From": p.From, "To": p.To} {
		r[name] = "-"
		if p.Addr.IsValid() {
			r[name] = p.Addr.String()
		}
		r[name+"Port"] = strconv.Itoa(int(p.Port))
		r[name+"Container"] = dash(cmp.Or(p.ContainerName, q.id(p.EndpointID)))
		r[name+"Network"], r[name+"Interface"] = dash(q.name(p.NetworkName, p.NetworkID)), dash(p.Interface)
	}
	if p.Name != "" {
		r["To"] = p.Name
	}
	return r
}
