package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/plugin/trace"
	"github.com/gangway-net/gangway/printable"
)

const traceLong = `Follow the packets from FROM to TO: what the desired state says of them, and each
table, chain and rule of the kernel that they meet, other programs' included.

FROM is a container, an address, or "host". TO is a container or an address, with
a port and a protocol, tcp unless said: web:80, 192.0.2.1:8000, [fd00::2]:53/udp.

The kernel reports the way of packets that come: send one when it says "send it
now", or have --probe open one connection (or send one datagram, with a newline)
from the container or the host. Tracing is switched on for this flow alone, by
a table of nftables that goes with the command, however that ends. It needs
Linux 5.12. The kernel does not report rules of iptables-legacy, nor, before 5.12,
any: of these it is told which have counted packets meanwhile, and what of that
drops. What the port filter drops is not seen (tc filter show). A rule is shown
in words where the program nft is installed.

Exit code 0 means that all chains accept the packet, 1 that it is dropped, that it
goes elsewhere than the desired state says, or that none came, 2 that nothing is called so. Without the kernel (--for 0s) it is 1
where the desired state has it dropped.`

// hostWord stands for the host itself.
const hostWord = "host"

// traceFlags are those of gangway trace.
type traceFlags struct {
	probe bool
	wait  time.Duration
}

func traceCommand() command {
	return command{
		use: "trace FROM TO", short: "Follow a packet through the host's rules, to what accepts or drops it", long: traceLong,
		subject: &subject{pair: true, complete: containerNames, flags: func(f *pflag.FlagSet, q *query) {
			f.BoolVar(&q.trace.probe, "probe", false, "open a connection, or send a datagram, from FROM")
			f.DurationVar(&q.trace.wait, "for", 10*time.Second, "how long to wait for a packet; 0s leaves the kernel out")
		}}, run: runTrace,
	}
}

func runTrace(ctx context.Context, q query) error {
	if q.trace.wait < 0 {
		return fmt.Errorf("--for %s: want 0s or more, such as 10s", q.trace.wait)
	}
	state, err := q.lists(ctx)
	if err != nil {
		return err
	}
	flow, err := q.flow(state)
	if err != nil {
		return err
	}
	if state.Names, err = q.learned(ctx, flow); err != nil {
		return err
	}
	decision := trace.Decide(state, flow)
	if !q.json {
		if err = q.section("Desired state:", decision.Steps); err != nil {
			return err
		}
	}
	var seen *trace.Seen
	if q.trace.wait > 0 {
		if seen, err = q.kernel(ctx, flow); err != nil {
			return err
		}
		seen.Compare(decision)
	}
	if q.json {
		err = q.traceJSON(decision, seen)
	} else if seen != nil {
		err = q.seen(seen)
	}
	if end := trace.Outcome(decision, seen); err == nil && (end == trace.Dropped || end == trace.Diverted) {
		err = errSilent
	}
	return err
}

// lists asks the daemon for what is there, and the kernel for the host's addresses.
func (q query) lists(ctx context.Context) (s trace.State, err error) {
	ctx, cancel := context.WithTimeout(ctx, q.timeout)
	defer cancel()
	to, _, _, _ := parseTarget(q.want.second) // an error is for flow
	q.awaitContainer(ctx, q.want.argument)
	q.awaitContainer(ctx, to)
	networks, err := fetch[plugin.Network](ctx, q, "networks")
	if err != nil {
		return s, err
	}
	endpoints, err := fetch[plugin.Endpoint](ctx, q, "endpoints")
	if err != nil {
		return s, err
	}
	ports, err := fetch[plugin.Port](ctx, q, "ports")
	if err != nil {
		return s, err
	}
	s = trace.State{Networks: networks.list, Endpoints: endpoints.list, Ports: ports.list}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return s, fmt.Errorf("list the host's addresses: %w", err)
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			s.Host = append(s.Host, p.Addr().Unmap())
		}
	}
	return s, nil
}

// learned are the names that have opened addresses for who sends, where a policy has names.
func (q query) learned(ctx context.Context, f trace.Flow) (all map[string]map[netip.Addr][]string, err error) {
	ctx, cancel := context.WithTimeout(ctx, q.timeout)
	defer cancel()
	for _, e := range f.From.Endpoints {
		if e.Policy.Allow == "" {
			continue // without names nothing is learned
		}
		var said plugin.PolicyExplanation
		if _, err = q.send(ctx, http.MethodGet, plugin.PolicyQuery("explain", driver.Whom{NetworkID: e.NetworkID, EndpointID: e.ID}, ""), nil, &said); err != nil {
			return nil, err
		}
		names := map[netip.Addr][]string{}
		for _, l := range said.Learned {
			if !slices.Contains(names[l.Address], l.Name) {
				names[l.Address] = append(names[l.Address], l.Name)
			}
		}
		if all == nil {
			all = map[string]map[netip.Addr][]string{}
		}
		all[e.ID] = names
	}
	return all, nil
}

// flow is what the arguments mean.
func (q query) flow(s trace.State) (f trace.Flow, err error) {
	to, port, protocol, err := parseTarget(q.want.second)
	if err != nil {
		return f, err
	}
	f.Protocol = protocol
	if f.From, err = party(s, q.want.argument); err != nil {
		return f, err
	}
	target, err := party(s, to)
	if err != nil {
		return f, err
	}
	addr := trace.Towards(f.From, target)
	switch {
	case !addr.IsValid():
		return f, fmt.Errorf("%s has no address of a family that %s has", to, q.want.argument)
	case q.trace.probe && !f.From.Host && len(f.From.Endpoints) == 0:
		return f, fmt.Errorf("--probe: %s is neither this host nor a container of it: send from there while the command waits", f.From.Addr)
	case f.From.Addr.IsValid() && f.From.Addr.Is6() != addr.Is6():
		return f, fmt.Errorf("%s and %s are of different families", q.want.argument, addr)
	}
	f.Destination = netip.AddrPortFrom(addr, port)
	if q.trace.wait == 0 {
		f.Source = f.From.Likely(addr)
		return f, nil
	}
	f.Source, err = trace.Source(f.From, f.Destination)
	return f, err
}

// party is the container, the host or the address that a word means. A container may be
// called as an address is, or "host".
func party(s trace.State, word string) (p trace.Party, err error) {
	ids, err := pick("container", "is on a network of Gangway", word, containers(s.Endpoints))
	missing := (*notFoundError)(nil)
	if err == nil {
		for _, e := range s.Endpoints {
			if ids[key(e.Whose, e.ID)] {
				p.Endpoints = append(p.Endpoints, e)
			}
		}
		return p, nil
	}
	if !errors.As(err, &missing) {
		return p, err
	}
	if word == hostWord {
		return trace.Party{Host: true}, nil
	}
	if a, parseErr := netip.ParseAddr(strings.Trim(word, "[]")); parseErr == nil {
		return s.At(a), nil
	}
	return p, err
}

// parseTarget reads "web:80", "192.0.2.1:8000/tcp" and "[fd00::2]:53/udp".
func parseTarget(arg string) (to string, port uint16, protocol string, err error) {
	whole, protocol, given := strings.Cut(arg, "/")
	if !given {
		protocol = "tcp"
	}
	i := strings.LastIndexByte(whole, ':')
	n := uint64(0)
	if i > 0 {
		n, err = strconv.ParseUint(whole[i+1:], 10, 16)
	}
	protocol = strings.ToLower(protocol)
	if n == 0 || err != nil || !slices.Contains([]string{"tcp", "udp", "sctp"}, protocol) {
		return "", 0, "", fmt.Errorf("TO %q: want CONTAINER:PORT or ADDRESS:PORT, and behind a / tcp, udp or sctp, such as web:80 or [fd00::2]:53/udp", arg)
	}
	return whole[:i], uint16(n), protocol, nil
}

// kernel follows the flow in the kernel.
func (q query) kernel(ctx context.Context, f trace.Flow) (*trace.Seen, error) {
	seen, err := trace.Follow(ctx, f, trace.Options{Probe: q.trace.probe, For: q.trace.wait, Waiting: func() {
		from := q.want.argument
		if f.Source.IsValid() {
			from = f.Source.String()
		}
		_, _ = fmt.Fprintf(q.hint, "send it now: waiting %s for a packet from %s to %s/%s\n", q.trace.wait, printable.Word(from), f.Destination, f.Protocol)
	}})
	return &seen, err
}

func (q query) traceJSON(d trace.Decision, seen *trace.Seen) error {
	raw, err := json.Marshal(struct {
		State   trace.Decision `json:"state"`
		Kernel  *trace.Seen    `json:"kernel,omitempty"`
		Verdict trace.Verdict  `json:"verdict"`
	}{d, seen, trace.Outcome(d, seen)})
	if err != nil {
		return err
	}
	return q.printJSON(raw)
}

// seen shows the kernel's half.
func (q query) seen(s *trace.Seen) error {
	var lines []string
	for _, step := range s.Steps {
		lines = append(lines, step.Text)
	}
	if s.Packets > 1 {
		lines = append(lines, fmt.Sprintf("one of %d packets", s.Packets))
	}
	if s.Answer != "" {
		lines = append(lines, "answer: "+s.Answer)
	}
	return q.section("Kernel:", append(lines, s.Notes...))
}

// traceColumns is how wide a line may be.
const traceColumns = 120

// section prints lines below a heading, one a step.
func (q query) section(heading string, lines []string) error {
	all := []string{heading}
	for _, line := range lines {
		all = append(all, "  "+clip(printable.Word(line), traceColumns-2))
	}
	_, err := fmt.Fprintln(q.out, strings.Join(all, "\n"))
	return err
}

// clip makes a line not longer than limit, in characters.
func clip(line string, limit int) string {
	if utf8.RuneCountInString(line) <= limit {
		return line
	}
	return string([]rune(line)[:limit-1]) + "…"
}
