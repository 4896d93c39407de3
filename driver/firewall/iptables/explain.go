package iptables

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// failedLine is how iptables-restore names the line of its input that failed;
// in the nf_tables variant, for what the kernel refuses, the line of the rule.
var failedLine = regexp.MustCompile(`line:? (\d+)`)

// explain adds to what iptables-restore said about its input the line that failed, and
// the modules that the kernel may lack.
func explain(complaint, script string) string {
	text := strings.Join(strings.Fields(complaint), " ")
	var failed []string
	if m := failedLine.FindStringSubmatch(text); m != nil {
		lines := strings.Split(script, "\n")
		if n, err := strconv.Atoi(m[1]); err == nil && n >= 1 && n <= len(lines) {
			text += " (" + lines[n-1] + ")"
			failed = lines[n-1 : n]
			if lines[n-1] == "COMMIT" { // the legacy variant hands all of them over then
				failed = lines
			}
		}
	}
	if modules := modulesOf(failed); len(modules) > 0 && absent(text) {
		text += ": the kernel may lack one of the modules " + strings.Join(modules, ", ")
	}
	if strings.Contains(text, "Permission denied") || strings.Contains(text, "must be root") {
		text += ": gangway needs root or CAP_NET_ADMIN"
	}
	return text
}

// absent says whether a complaint can be about something that the kernel does not have. In
// the legacy variant one about a COMMIT has no reason.
func absent(complaint string) bool {
	return slices.ContainsFunc([]string{
		"missing kernel module", "No such file or directory", "No chain/target/match by that name", "Protocol not supported", "(COMMIT)",
	}, func(words string) bool { return strings.Contains(complaint, words) })
}

// extension is a match or a target of a rule. Chains of gangway's have no such names.
var extension = regexp.MustCompile(`-m ([a-z0-9]+)|-j (MARK|MASQUERADE|DNAT|SNAT|NFLOG|REDIRECT)\b`)

// modulesOf returns the kernel's modules that rules need besides those of iptables itself,
// without those that come with a protocol.
func modulesOf(rules []string) (modules []string) {
	for _, r := range rules {
		for _, m := range extension.FindAllStringSubmatch(r, -1) {
			name := m[1] + m[2]
			if name == "DNAT" || name == "SNAT" {
				name = "nat"
			}
			if !slices.Contains([]string{"tcp", "udp", "icmp"}, name) {
				modules = append(modules, "xt_"+name)
			}
		}
	}
	slices.Sort(modules)
	return slices.Compact(modules)
}
