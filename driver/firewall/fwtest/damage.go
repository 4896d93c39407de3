package fwtest

import (
	"slices"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/driver/firewall"
)

// saveLine is a line of a dump that comes from iptables-save.
type saveLine struct{ tool, table, op, chain, rest string }

func parseSaveLine(l string) (saveLine, bool) {
	f := strings.SplitN(l, " ", 5)
	if len(f) < 4 || f[0] == "nft" {
		return saveLine{}, false
	}
	s := saveLine{tool: f[0], table: f[1], op: f[2], chain: f[3], rest: strings.Join(f[4:], " ")}
	if name, isChain := strings.CutPrefix(f[2], ":"); isChain {
		s.op, s.chain = ":", name
	}
	return s, true
}

// script runs commands of iptables-restore in the line's table.
func (l saveLine) script(commands ...string) func(h *node) error {
	return func(h *node) error {
		stdin := "*" + l.table + "\n" + strings.Join(commands, "\n") + "\nCOMMIT\n"
		_, err := h.command(stdin, l.tool+"-restore", "--noflush", "--wait")
		return err
	}
}

// with is the rule of a line with another command.
func (l saveLine) with(command string) string { return command + " " + l.chain + " " + l.rest }

// damages lists the ways to break what the line says. owned tells whether its
// chain is the backend's, first whether it is the first of its rules: what is done to the order
// there is not repeated for each rule.
func (l saveLine) damages(owned, first bool) []damage {
	text := l.String()
	if l.op == ":" {
		return []damage{
			{"flush " + text, l.script("-F " + l.chain)},
			{"strange rule at the start of " + text, l.script("-I " + l.chain + " -j RETURN")},
			{"strange rule at the end of " + text, l.script("-A " + l.chain + " -p tcp -j RETURN")},
			{"accepting rule at the start of " + text, l.script("-I " + l.chain + " -j ACCEPT")},
		}
	}
	list := []damage{{"delete " + text, l.script(l.with("-D"))}}
	if first || !owned {
		list = append(list, damage{"double " + text, l.script(l.with("-A"))})
	}
	if first {
		// In a chain of others the place matters only as far as packets show
		// it: see misplaced.
		list = append(list, damage{"move to the end " + text, l.script(l.with("-D"), l.with("-A"))})
	}
	return list
}

func (l saveLine) String() string {
	return strings.Join([]string{l.tool, l.table, l.op, l.chain, l.rest}, " ")
}

// damagesIPTables finds what can be broken of the rules in iptables.
func damagesIPTables(lines []string) []damage {
	var all []saveLine
	owned := map[saveLine]bool{}
	for _, text := range lines {
		l, ok := parseSaveLine(text)
		if !ok {
			continue
		}
		all = append(all, l)
		if l.op == ":" {
			owned[saveLine{tool: l.tool, table: l.table, chain: l.chain}] = true
		}
	}
	var out []damage
	last := saveLine{}
	for _, l := range all {
		chain := saveLine{tool: l.tool, table: l.table, chain: l.chain}
		out = append(out, l.damages(owned[chain], owned[chain] && chain != last)...)
		last = chain
	}
	return append(out, damageTables(all)...)
}

// damageTables takes everything out of a table, one table after the other.
func damageTables(lines []saveLine) []damage {
	commands := map[saveLine][]string{}
	var tables []saveLine
	note := func(l saveLine, command string) {
		key := saveLine{tool: l.tool, table: l.table}
		if commands[key] == nil {
			tables = append(tables, key)
		}
		commands[key] = append(commands[key], command)
	}
	// Rules go before the chains that they lead to.
	for _, op := range [...]string{"-A", ":"} {
		for _, l := range lines {
			switch {
			case l.op != op:
			case op == "-A":
				note(l, l.with("-D"))
			default:
				note(l, "-X "+l.chain)
			}
		}
	}
	var out []damage
	for _, table := range tables {
		out = append(out, damage{"empty " + table.tool + " " + table.table, table.script(commands[table]...)})
	}
	return out
}

// flushed shows that Sync starts from nothing after somebody flushed all
// tables, which takes the rules of others along.
func (s *suite) flushed(t *testing.T) {
	full := bulk(2, 3)
	h := newHost(t, s.opts, bare)
	b := s.backend(t, h)
	b.add(t, full)
	marker := ":" + s.opts.Marker + " - [0:0]\n"
	if s.opts.Marker == "" {
		marker = ""
	}
	script := "*raw\nCOMMIT\n*mangle\nCOMMIT\n*nat\nCOMMIT\n*filter\n:FORWARD ACCEPT [0:0]\n" + marker + "COMMIT\n"
	flush := func(h *node) {
		t.Helper()
		for _, f := range families {
			h.mustCommand(t, script, s.opts.tool(f)+"-restore", "--wait")
		}
		if slices.ContainsFunc(dump(t, h), isNative) {
			h.mustCommand(t, "", "nft", "flush", "ruleset")
		}
	}
	flush(h)
	if s.opts.Owned {
		b.settled(t, full) // without the tables of others there is no FORWARD hook either
	} else {
		b.reports(t, "all tables flushed", full)
	}
	clean := newNode(t, "host")
	flush(clean)
	s.backend(t, clean).sync(t, full)
	sameDump(t, "all tables flushed", dump(t, h), dump(t, clean))
	b.add(t, firewall.Ruleset{Networks: full.Networks[:1]})
	b.settled(t, full)
}
