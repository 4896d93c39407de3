package iptables

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gangway-net/gangway/driver/firewall"
)

var _ firewall.Counter = (*Backend)(nil)

// Refused implements firewall.Counter, by the counters that rules of iptables have
// anyway. Rules that tell addresses apart would grow with the containers.
func (b *Backend) Refused(ctx context.Context) ([]firewall.Refusal, error) {
	v, tables := b.counted()
	var all []firewall.Refusal
	for six, list := range tables {
		for _, table := range list {
			name := v.command(six, "save")
			out, err := run(ctx, "", name, "-c", "-t", table)
			if err != nil {
				return nil, fmt.Errorf("read what the rules refused: %w", err)
			}
			some, err := refusals(name, table, out)
			if err != nil {
				return nil, fmt.Errorf("read what the rules refused: %s: %w", name, err)
			}
			all = append(all, some...)
		}
	}
	return all, nil
}

// counted returns the tables of each family that hold rules that count, and the variant
// that they are in.
func (b *Backend) counted() (variant, map[bool][]string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	tables := map[bool][]string{}
	for six, f := range b.families {
		for c := range reasons() {
			if _, there := f.want[c]; there && !slices.Contains(tables[six], c.table) {
				tables[six] = append(tables[six], c.table)
			}
		}
	}
	return b.variant, tables
}

// refusals reads what iptables-save -c prints of one table: lines such as
// "[PACKETS:BYTES] -A CHAIN RULE".
func refusals(tool, table string, dump []byte) (all []firewall.Refusal, err error) {
	why := reasons()
	lines := bufio.NewScanner(bytes.NewReader(dump))
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		counter, rest, found := strings.Cut(lines.Text(), "] -A ")
		if !found || !strings.HasPrefix(counter, "[") {
			continue
		}
		name, rule, _ := strings.Cut(rest, " ")
		reason, bridge := why[chain{table, name}], bridgeIn(rule)
		// A rule is the same one while what it drops is logged.
		rule = strings.Replace(rule, " -j "+logChain(table, reason).name, " -j DROP", 1)
		if reason == "" || bridge == "" || !strings.HasSuffix(rule, " -j DROP") {
			continue
		}
		number, _, _ := strings.Cut(counter[1:], ":")
		packets, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("counter %s]: %w", counter, err)
		}
		all = append(all, firewall.Refusal{Counter: tool + " " + name + " " + rule, Reason: reason, Bridge: bridge, Packets: packets})
	}
	return all, lines.Err()
}

// bridgeIn is the bridge that a rule of a network names; empty if it names none.
func bridgeIn(rule string) string {
	words := strings.Fields(rule)
	for i, w := range words {
		if (w == "-i" || w == "-o") && i+1 < len(words) {
			return words[i+1]
		}
	}
	return ""
}
