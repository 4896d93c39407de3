package doctor

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// nftObject is what is read of libnftables-json(5).
type nftObject struct {
	Chain *struct {
		Family, Table, Name, Hook, Policy string
		Prio                              int
		// Dev is a name, or a list of names.
		Dev json.RawMessage
	}
	Rule *struct {
		Family, Table, Chain string
		Handle               int
		Expr                 []map[string]json.RawMessage
	}
}

// dstnat is the priority at which others give packets a new destination (NF_IP_PRI_NAT_DST,
// include/uapi/linux/netfilter_ipv4.h). Gangway's table comes one later.
const dstnat = -100

// hookOf names a hook. Those of bridges are others than those of IP: what the host sends to a
// port of a bridge comes to the bridge's output.
func hookOf(family, hook string) string {
	if family == "bridge" {
		return "bridge " + hook
	}
	return hook
}

// ownTables begins the names of Gangway's tables, which the daemon checks itself.
const ownTables = "gangway"

// parseNft reads what "nft -j list ruleset" prints, but for Gangway's tables and those
// that were read already, by "family table".
func parseNft(text []byte, read map[string]bool) ([]Base, error) {
	var list struct {
		Nftables []nftObject
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("read the answer of nft: %w", err)
	}
	tables := map[string]map[string][]Rule{}
	chains := func(family, table string) map[string][]Rule {
		name := family + " " + table
		if tables[name] == nil {
			tables[name] = map[string][]Rule{}
		}
		return tables[name]
	}
	skipped := func(family, table string) bool {
		known := slices.Contains([]string{"ip", "ip6", "inet", "bridge", "netdev"}, family)
		return !known || strings.HasPrefix(table, ownTables) || read[family+" "+table]
	}
	var all []Base
	for _, o := range list.Nftables {
		switch {
		case o.Chain != nil && !skipped(o.Chain.Family, o.Chain.Table):
			if c := o.Chain; c.Hook != "" {
				devices, _ := nftValues(c.Dev)
				all = append(all, Base{
					Name: fmt.Sprintf("table %s %s chain %s", c.Family, c.Table, c.Name), Hook: hookOf(c.Family, c.Hook), Devices: Names{All: devices},
					Early: c.Hook == "ingress" || c.Hook == "prerouting" && c.Prio <= dstnat, Bridged: c.Family == "bridge",
					Four: c.Family != "ip6", Six: c.Family != "ip", Closed: c.Policy == "drop",
					Chain: c.Name, Chains: chains(c.Family, c.Table),
				})
			}
		case o.Rule != nil && !skipped(o.Rule.Family, o.Rule.Table):
			in := chains(o.Rule.Family, o.Rule.Table)
			r := nftRule(o.Rule.Expr)
			r.Text = fmt.Sprintf("see nft -a list chain %s %s %s", o.Rule.Family, o.Rule.Table, o.Rule.Chain)
			r.Where = fmt.Sprintf("table %s %s chain %s rule %d (handle %d)", o.Rule.Family, o.Rule.Table, o.Rule.Chain, len(in[o.Rule.Chain])+1, o.Rule.Handle)
			in[o.Rule.Chain] = append(in[o.Rule.Chain], r)
		}
	}
	return all, nil
}

// nftRule reads a rule's statements.
func nftRule(expr []map[string]json.RawMessage) (r Rule) {
	for _, e := range expr {
		for name, body := range e {
			switch name {
			case "accept", "drop", "return":
				r.Verdict = name
			case "reject":
				r.Verdict = "drop"
			case "dnat", "redirect", "tproxy":
				r.Verdict = "divert"
			case "notrack":
				r.Verdict = "untrack"
			case "jump", "goto":
				var to struct{ Target string }
				if json.Unmarshal(body, &to) == nil {
					r.Verdict, r.Target = name, to.Target
				}
			case "match":
				if !r.Match.nft(body) {
					r.Match.Partly = true
				}
			case "counter", "log", "comment", "mangle":
			default: // a verdict map may lead anywhere
				r.Match.Partly = true
			}
		}
	}
	return r
}

// nft reads one condition, and says whether it is known here.
func (m *Match) nft(body json.RawMessage) bool {
	var c struct {
		Op   string
		Left struct {
			Meta    struct{ Key string }
			Ct      struct{ Key string }
			Payload struct{ Protocol, Field string }
			Fib     nftFib
		}
		Right json.RawMessage
	}
	if json.Unmarshal(body, &c) != nil {
		return false
	}
	not := c.Op == "!="
	all, ok := nftValues(c.Right)
	if !slices.Contains([]string{"!=", "==", "in"}, c.Op) || !ok || len(all) == 0 {
		return false
	}
	l := c.Left
	switch key := l.Meta.Key + l.Ct.Key + l.Payload.Field + l.Fib.of(); key {
	case "iifname", "iif":
		m.In = Names{all, not}
	case "oifname", "oif":
		m.Out = Names{all, not}
	case "l4proto":
		m.Protocol = all[0]
		return len(all) == 1 && !not
	case "daddr type":
		m.Types = Names{all, not}
	case "state", "status":
		m.States = Names{all, not}
	case "sport":
		return m.SourcePorts.read(strings.Join(all, ","), "-", not)
	case "dport":
		if l.Payload.Protocol != "th" {
			m.Protocol = l.Payload.Protocol
		}
		return m.Ports.read(strings.Join(all, ","), "-", not)
	case "daddr", "saddr":
		return m.nftAddresses(key, all, not)
	default:
		return false
	}
	return true
}

// nftFib is what a condition asks the routing table.
type nftFib struct {
	Result string
	// Flags is a name, or a list of names.
	Flags json.RawMessage
}

// of is what is asked, of what; empty for nothing.
func (f nftFib) of() string {
	flags, _ := nftValues(f.Flags)
	return strings.TrimSpace(strings.Join(append(flags, f.Result), " "))
}

func (m *Match) nftAddresses(field string, all []string, not bool) bool {
	p := Prefixes{Not: not}
	for _, text := range all {
		one, err := prefix(text)
		if err != nil {
			return false
		}
		p.All = append(p.All, one)
	}
	if field == "daddr" {
		m.Destination = p
	} else {
		m.Source = p
	}
	return true
}

// nftValues reads the right side of a condition: a value, a range, a prefix, or a list of
// these. ok is false for what is known to the kernel alone, such as a named set.
func nftValues(right json.RawMessage) (all []string, ok bool) {
	var text string
	if json.Unmarshal(right, &text) == nil {
		return []string{text}, !strings.HasPrefix(text, "@")
	}
	var number float64
	if json.Unmarshal(right, &number) == nil {
		return []string{strconv.FormatFloat(number, 'f', -1, 64)}, true
	}
	var list []json.RawMessage
	if json.Unmarshal(right, &list) == nil {
		for _, item := range list {
			values, ok := nftValues(item)
			if !ok {
				return nil, false
			}
			all = append(all, values...)
		}
		return all, true
	}
	var object struct {
		Set    []json.RawMessage
		Range  []json.RawMessage
		Prefix *struct {
			Addr string
			Len  int
		}
	}
	if json.Unmarshal(right, &object) != nil {
		return nil, false
	}
	switch {
	case object.Prefix != nil:
		return []string{fmt.Sprintf("%s/%d", object.Prefix.Addr, object.Prefix.Len)}, true
	case len(object.Range) == 2:
		from, ok1 := nftValues(object.Range[0])
		to, ok2 := nftValues(object.Range[1])
		return []string{strings.Join(append(from, to...), "-")}, ok1 && ok2
	case object.Set != nil:
		set, err := json.Marshal(object.Set)
		if err != nil {
			return nil, false
		}
		return nftValues(set)
	}
	return nil, false
}
