package trace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// counter is a rule or a policy of iptables with what it has counted.
type counter struct {
	// where names it, text has its words; drops says that it drops what it counts.
	where, text string
	drops       bool
	packets     uint64
}

// counters are those of some programs, before a flow is followed: rules that the kernel does
// not report are known to have met its packets by what they have counted since.
type counters struct {
	programs []string
	all      []counter
}

// legacyPrograms are those of a family whose rules the kernel does not report, if there are
// such rules.
func legacyPrograms(six bool) []string {
	family := "ip"
	if six {
		family = "ip6"
	}
	// The file is that of the thread's network namespace, and there without legacy tables, too.
	if tables, err := os.ReadFile("/proc/thread-self/net/" + family + "_tables_names"); err != nil || len(tables) == 0 { //nolint:gosec // one of two
		return nil
	}
	return []string{family + "tables-legacy"}
}

// allPrograms are those of a family, for kernels that report nothing.
func allPrograms(six bool) []string {
	if six {
		return append(legacyPrograms(six), "ip6tables-nft")
	}
	return append(legacyPrograms(six), "iptables-nft")
}

// count reads the counters of programs. Those that cannot be read are notes.
func count(ctx context.Context, programs []string) (c counters, notes []string) {
	for _, program := range programs {
		listing, cancel := context.WithTimeout(ctx, listTime)
		text, err := exec.CommandContext(listing, program+"-save", "-c").Output() //nolint:gosec // one of four
		cancel()
		switch {
		case errors.Is(err, exec.ErrNotFound):
			notes = append(notes, "not looked at: rules of "+program+", as that program is not installed")
		case err != nil:
			notes = append(notes, fmt.Sprintf("not looked at: rules of %s: %v", program, err))
		default:
			c.programs = append(c.programs, program)
			c.all = append(c.all, parseCounters(program, string(text))...)
		}
	}
	return c, notes
}

// parseCounters reads what iptables-save -c prints: "*filter", ":FORWARD DROP [3:180]" and
// "[2:120] -A FORWARD … -j DROP".
func parseCounters(program, text string) (all []counter) {
	table, rules := "", map[string]int{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "*"); ok {
			table, rules = name, map[string]int{}
			continue
		}
		if name, ok := strings.CutPrefix(line, ":"); ok {
			f := strings.Fields(name)
			if len(f) == 3 && f[1] != "-" {
				all = append(all, counter{fmt.Sprintf("%s %s %s", program, table, f[0]), "its policy, " + strings.ToLower(f[1]), f[1] == "DROP", packets(f[2])})
			}
			continue
		}
		counted, rule, ok := strings.Cut(line, " -A ")
		if chain, text, more := strings.Cut(rule, " "); ok && more {
			rules[chain]++
			_, target, _ := cutLast(" "+text, " -j ")
			drops := strings.HasPrefix(target, "DROP") || strings.HasPrefix(target, "REJECT")
			all = append(all, counter{fmt.Sprintf("%s %s %s rule %d", program, table, chain, rules[chain]), text, drops, packets(counted)})
		}
	}
	return all
}

// cutLast is strings.Cut at the last place.
func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// packets reads the first number of "[3:180]".
func packets(counted string) uint64 {
	digits, _, _ := strings.Cut(strings.TrimPrefix(counted, "["), ":")
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// risen lists what has counted packets since, and says whether one of these drops.
func (c counters) risen(ctx context.Context) (steps []Step, drops bool) {
	if len(c.programs) == 0 {
		return nil, false
	}
	type key struct{ where, text string }
	before := map[key]uint64{}
	for _, r := range c.all {
		before[key{r.where, r.text}] = r.packets
	}
	now, _ := count(ctx, c.programs)
	for _, r := range now.all {
		was, known := before[key{r.where, r.text}]
		if !known || r.packets <= was {
			continue
		}
		text := fmt.Sprintf("%s (%s) has counted meanwhile: %d, whoever sent it", r.where, r.text, r.packets-was)
		if r.drops {
			text += "; it drops what it counts"
			drops = true
		}
		steps = append(steps, Step{Text: text})
	}
	if len(steps) == 0 {
		steps = []Step{{Text: "no rule of " + strings.Join(c.programs, " and ") + " has counted a packet meanwhile"}}
	}
	return steps, drops
}
