package doctor

import (
	"bufio"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// hooks are the hooks of the built-in chains of iptables, in the kernel's words.
func hooks() map[string]string {
	return map[string]string{"PREROUTING": "prerouting", "INPUT": "input", "FORWARD": "forward", "OUTPUT": "output", "POSTROUTING": "postrouting"}
}

// parseSave reads what iptables-save or ip6tables-save prints. program is its name without
// "-save". Rules of PREROUTING come before Gangway's translation, those of nat as well: they
// may lead elsewhere.
func parseSave(program, text string, six bool) (all []Base) {
	var table string
	var chains map[string][]Rule
	var bases []Base
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "*"):
			table, chains, bases = line[1:], map[string][]Rule{}, nil
		case strings.HasPrefix(line, ":"):
			f := strings.Fields(line[1:])
			if len(f) > 1 && hooks()[f[0]] != "" {
				bases = append(bases, Base{
					Name: program + " " + table + " " + f[0], Hook: hooks()[f[0]], Early: f[0] == "PREROUTING", Four: !six, Six: six, Closed: f[1] == "DROP", Chain: f[0], Chains: chains,
				})
			}
		case strings.HasPrefix(line, "-A ") && chains != nil && len(words(line)) > 1:
			chain, r := parseRule(line)
			r.Where = fmt.Sprintf("%s %s %s rule %d", program, table, chain, len(chains[chain])+1)
			chains[chain] = append(chains[chain], r)
		case line == "COMMIT":
			all = append(all, bases...)
		}
	}
	return all
}

// parseRule reads a line "-A CHAIN …".
func parseRule(line string) (chain string, r Rule) {
	f := words(line)
	chain, r.Text = f[1], strings.TrimPrefix(line, "-A "+f[1]+" ")
	not := false
	for i := 2; i < len(f); i++ {
		value := ""
		if i+1 < len(f) {
			value = f[i+1]
		}
		switch f[i] {
		case "!":
			not = true
			continue
		case "-m": // the module says nothing yet
		case "-j", "-g":
			r.verdict(f[i], value)
			if value == "NOTRACK" || value == "CT" && strings.Contains(line, "--notrack") {
				r.Verdict = "untrack"
			}
			if r.Verdict != "" && r.Verdict != "jump" && r.Verdict != "goto" {
				return chain, r // what follows belongs to the target
			}
		case "--comment":
		default:
			if !strings.HasPrefix(f[i], "-") {
				continue // the value of what was not known
			}
			if !r.Match.option(f[i], value, not) {
				r.Match.Partly, not = true, false
				continue
			}
		}
		not = false
		i++
	}
	return chain, r
}

// verdict reads a target.
func (r *Rule) verdict(flag, target string) {
	switch target {
	case "ACCEPT", "RETURN":
		r.Verdict = strings.ToLower(target)
	case "DROP", "REJECT":
		r.Verdict = "drop"
	case "LOG", "MARK", "CONNMARK", "NFLOG", "TCPMSS", "CT", "NOTRACK", "MASQUERADE", "SNAT", "SET", "CHECKSUM", "TRACE", "AUDIT", "DSCP", "TOS", "CLASSIFY", "SECMARK", "CONNSECMARK":
		r.Verdict = ""
	case "DNAT", "REDIRECT", "TPROXY":
		r.Verdict = "divert"
	default:
		r.Verdict, r.Target = "jump", target
		if flag == "-g" {
			r.Verdict = "goto"
		}
	}
}

// option reads one condition, and says whether it is known here.
func (m *Match) option(name, value string, not bool) bool {
	switch name {
	case "-p":
		if not || value == "all" {
			return !not
		}
		m.Protocol = value
	case "-s", "-d":
		p, err := prefix(value)
		if err != nil {
			return false
		}
		if name == "-s" {
			m.Source = Prefixes{[]netip.Prefix{p}, not}
		} else {
			m.Destination = Prefixes{[]netip.Prefix{p}, not}
		}
	case "-i":
		m.In = Names{[]string{value}, not}
	case "-o":
		m.Out = Names{[]string{value}, not}
	case "--dport", "--dports":
		return m.Ports.read(value, ":", not)
	case "--sport", "--sports":
		return m.SourcePorts.read(value, ":", not)
	case "--ctorigdstport":
		return m.HostPorts.read(value, ":", not)
	case "--dst-type":
		m.Types = Names{strings.Split(value, ","), not}
	case "--ctstate", "--state":
		m.States = Names{strings.Split(value, ","), not}
	default:
		return false
	}
	return true
}

// read takes a list of ports and ranges.
func (s *Spans) read(list, between string, not bool) bool {
	s.Not = not
	for _, item := range strings.Split(list, ",") {
		from, to, ranged := strings.Cut(item, between)
		if !ranged {
			to = from
		}
		first, err := strconv.ParseUint(from, 10, 16)
		if err != nil {
			return false
		}
		last, err := strconv.ParseUint(to, 10, 16)
		if err != nil {
			return false
		}
		s.All = append(s.All, [2]uint16{uint16(first), uint16(last)})
	}
	return true
}

// prefix reads an address, or a prefix.
func prefix(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return netip.Prefix{}, err
		}
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return netip.ParsePrefix(text)
}

// words splits a line as a shell would; iptables-save quotes with " and \.
func words(line string) (all []string) {
	var word strings.Builder
	quoted, open := false, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && quoted && i+1 < len(line):
			i++
			word.WriteByte(line[i])
		case c == '"':
			quoted, open = !quoted, true
		case c == ' ' && !quoted:
			if open {
				all = append(all, word.String())
			}
			word.Reset()
			open = false
		default:
			word.WriteByte(c)
			open = true
		}
	}
	if open {
		all = append(all, word.String())
	}
	return all
}
