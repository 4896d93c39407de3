package fwtest

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// dumpTools are the commands whose output is the state of the firewall.
var dumpTools = [...]string{"iptables-nft-save", "ip6tables-nft-save", "iptables-legacy-save", "ip6tables-legacy-save"}

// dump describes all packet filters of a host, one rule or chain a line,
// without comments of the tools and counters. Two dumps are equal if the same
// rules stand in the same order in the same chains; in which order chains, sets
// and tables were made does not show, and neither do built-in chains that are
// empty and accept: the kernel never removes them.
func dump(t *testing.T, h *node) []string {
	t.Helper()
	var lines []string
	for _, tool := range dumpTools {
		out, ok := save(t, h, tool)
		if ok {
			lines = append(lines, saved(strings.TrimSuffix(tool, "-save"), out)...)
		}
	}
	if out, ok := save(t, h, "nft", "-s", "list", "ruleset"); ok {
		lines = append(lines, native(out)...)
	}
	return lines
}

// save runs a tool that dumps rules. One that is not installed dumps nothing,
// but is missed where tests must be complete.
func save(t *testing.T, h *node, tool string, args ...string) (string, bool) {
	t.Helper()
	out, err := h.command("", tool, args...)
	switch {
	case errors.Is(err, exec.ErrNotFound) && os.Getenv("CI") != "true":
		return "", false
	case err != nil:
		t.Fatalf("dump: %v", err)
	}
	return out, true
}

// saved brings the output of iptables-save into lines "TOOL TABLE RULE".
func saved(tool, out string) []string {
	var table string
	var chains, rules []string
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		switch {
		case line == "", line == "COMMIT", line[0] == '#':
		case line[0] == '*':
			table = line[1:]
		case line[0] == ':':
			chain, policy, _ := strings.Cut(line, " ")
			policy, _, _ = strings.Cut(policy, " ")
			if policy != "ACCEPT" {
				chains = append(chains, tool+" "+table+" "+chain+" "+policy)
			}
		default:
			rules = append(rules, tool+" "+table+" "+line)
		}
	}
	slices.Sort(chains)
	// Rules keep their order within a chain only.
	slices.SortStableFunc(rules, func(a, b string) int { return strings.Compare(chainOf(a), chainOf(b)) })
	return append(chains, rules...)
}

// chainOf is "TOOL TABLE -A CHAIN" of a rule's line.
func chainOf(line string) string {
	fields := strings.SplitN(line, " ", 5)
	return strings.Join(fields[:min(4, len(fields))], " ")
}

// native brings the output of nft into one line for each table, chain, set,
// rule and element list. Tables of iptables-nft are left out: its own tool
// dumps them.
func native(out string) []string {
	var blocks [][]string
	table := ""
	for line := range strings.Lines(out) {
		line = strings.TrimRight(line, "\n")
		text := strings.TrimSpace(line)
		depth := len(line) - len(strings.TrimLeft(line, "\t"))
		switch {
		case text == "", text == "}", text[0] == '#':
		case depth == 0:
			if table = strings.TrimSuffix(text, " {"); ofIPTables(table) {
				table = ""
				continue
			}
			blocks = append(blocks, []string{"nft " + table})
		case table == "":
		case depth == 1:
			blocks = append(blocks, []string{"nft " + table + " " + strings.TrimSuffix(text, " {")})
		default:
			last := &blocks[len(blocks)-1]
			*last = append(*last, (*last)[0]+" "+text)
		}
	}
	for i, b := range blocks {
		blocks[i] = oneByOne(b)
		if slices.ContainsFunc(b, func(l string) bool { return strings.HasPrefix(l, b[0]+" flags dynamic") }) {
			// Packets put elements there.
			blocks[i] = slices.DeleteFunc(blocks[i], func(l string) bool { return strings.HasPrefix(l, b[0]+" element ") })
		}
	}
	slices.SortStableFunc(blocks, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
	return slices.Concat(blocks...)
}

// oneByOne brings the elements of a set into one sorted line each: nft lists
// intervals of concatenations in the order in which they were added, which
// means nothing.
func oneByOne(block []string) []string {
	head := block[0] + " elements = {"
	at := slices.IndexFunc(block, func(l string) bool { return strings.HasPrefix(l, head) })
	if at < 0 {
		return block
	}
	list := strings.TrimSuffix(strings.TrimPrefix(strings.Join(block[at:], ""), head), "}")
	list = strings.ReplaceAll(list, block[0]+" ", "")
	var out []string
	for e := range strings.SplitSeq(list, ",") {
		out = append(out, block[0]+" element "+strings.TrimSpace(e))
	}
	slices.Sort(out)
	return append(slices.Clone(block[:at]), out...)
}

// ofIPTables recognises the tables that iptables-nft keeps, by "table FAMILY
// NAME".
func ofIPTables(table string) bool {
	f := strings.Fields(table)
	return len(f) == 3 && (f[1] == "ip" || f[1] == "ip6") &&
		slices.Contains([]string{"filter", "nat", "mangle", "raw", "security"}, f[2])
}

// identities is a dump that differs if anything was written, even the same
// rule once more: with handles and counters. Tables that go with their owner are
// left out: every backend makes its own.
func identities(t *testing.T, h *node) []string {
	t.Helper()
	var lines []string
	for _, tool := range dumpTools {
		out, _ := save(t, h, tool, "-c")
		for line := range strings.Lines(out) {
			if !strings.HasPrefix(line, "#") {
				lines = append(lines, tool+" "+strings.TrimSpace(line))
			}
		}
	}
	out, _ := save(t, h, "nft", "-a", "list", "ruleset")
	for _, table := range strings.SplitAfter(out, "\n}\n") {
		if !strings.Contains(table, "\n\tflags owner\n") {
			lines = append(lines, strings.Split(table, "\n")...)
		}
	}
	return lines
}

// sameDump compares dumps and reports the lines that only one of them has.
func sameDump(t *testing.T, what string, got, want []string) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	t.Errorf("%s: dumps differ (- expected, + there):\n%s", what, strings.Join(difference(got, want), "\n"))
}

// difference lists the lines of one dump that the other does not have; lines
// that are in both, but in another order, come as a whole.
func difference(got, want []string) []string {
	var out []string
	for _, l := range minus(want, got) {
		out = append(out, "- "+l)
	}
	for _, l := range minus(got, want) {
		out = append(out, "+ "+l)
	}
	if out == nil {
		out = append([]string{"the order differs; expected:"}, want...)
		out = append(append(out, "there:"), got...)
	}
	return out
}

// minus returns the lines of a without those of b, each counted.
func minus(a, b []string) []string {
	count := map[string]int{}
	for _, l := range b {
		count[l]++
	}
	var out []string
	for _, l := range a {
		if count[l]--; count[l] < 0 {
			out = append(out, l)
		}
	}
	return out
}
