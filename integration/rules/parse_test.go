package rules

import (
	"regexp"
	"strings"
)

// piece is a line of a golden file, or a part of it, as the explanations name
// it.
type piece struct {
	// at and rule are as in explanation.
	at, rule string
	// text is what the kernel shows, without what at says.
	text string
	// link is the name of a link, for its settings.
	link string
}

// The lines that golden files have.
var (
	nftHead    = regexp.MustCompile(`^nft (?:set|map) ([a-z_0-9]+)(?:: (.*))?$`)
	nftChain   = regexp.MustCompile(`^nft (chain [a-z_0-9]+)(?:: (.*))?$`)
	nftElement = regexp.MustCompile(`^nft ([a-z_0-9]+) \{ (.*) \}$`)
	saved      = regexp.MustCompile(`^ip6?tables -t ([a-z]+) (-A ([A-Z-]+) (.*))$`)
	step       = regexp.MustCompile(`^(inet gangway(?:-fail-closed)?|ip6? [a-z]+) ([A-Za-z0-9_-]+) \| (.*?)(?: \| mark 0x[0-9a-f]+)?$`)
	settings   = regexp.MustCompile(`^(bridge|port|host) ?([^ :]*): (.*)$`)
	setting    = regexp.MustCompile(`([a-z0-9_-]+)=("[^"]*"|\[[^\]]*\]|\S+)`)
)

// parse reads one line; nothing is returned for those that are about no rule.
func parse(line string) []piece {
	if m := nftHead.FindStringSubmatch(line); m != nil {
		return []piece{{at: ofIPv4(m[1]), text: m[2]}}
	}
	if m := nftChain.FindStringSubmatch(line); m != nil {
		return []piece{inChain(m[1], m[2])}
	}
	if m := nftElement.FindStringSubmatch(line); m != nil {
		return []piece{{at: ofIPv4(m[1]), text: m[2]}}
	}
	if m := saved.FindStringSubmatch(line); m != nil {
		return []piece{{at: m[1] + " " + m[3], rule: general(m[4]), text: m[2]}}
	}
	if m := step.FindStringSubmatch(line); m != nil {
		if strings.HasPrefix(m[1], "inet ") {
			return []piece{inChain("chain "+m[2], m[3])}
		}
		_, table, _ := strings.Cut(m[1], " ")
		p := piece{at: table + " " + m[2], text: m[3]}
		if rule, isRule := strings.CutPrefix(m[3], "-A "+m[2]+" "); isRule {
			p.rule = general(rule)
		}
		return []piece{p}
	}
	var all []piece
	if m := settings.FindStringSubmatch(line); m != nil {
		for _, s := range setting.FindAllStringSubmatch(m[3], -1) {
			all = append(all, piece{at: m[1], rule: s[1], text: s[2], link: strings.TrimSpace(m[1] + " " + m[2])})
		}
	}
	return all
}

// inChain is a rule of a chain of nftables, or what is not one: where the chain
// is hooked in, and its end.
func inChain(chain, text string) piece {
	p := piece{at: ofIPv4(chain), text: text}
	if !strings.HasPrefix(text, "type ") && !strings.HasPrefix(text, "policy ") {
		p.rule = ofIPv4(text)
	}
	return p
}

var (
	six = regexp.MustCompile(`((?:^|@)[a-z_]+|(?:chain|goto|jump) (?:open|reply|ports|inward|egress|from_network|high_port|preserve_port|peers(?:_[a-z]+)?))6\b`)
	ip6 = regexp.MustCompile(`\bip6\b`)
)

// ofIPv4 gives names and rules of nftables the form that they have in IPv4.
func ofIPv4(text string) string {
	if strings.HasPrefix(text, "ip6 ") {
		text = "ip " + text[4:]
	}
	text = six.ReplaceAllString(text, "${1}4")
	text = ip6.ReplaceAllString(text, "ip")
	return strings.NewReplacer("ipv6-icmp", "icmp", "nfproto ipv6", "nfproto ipv4").Replace(text)
}

// generalities put a name in capitals in the place of what differs from network
// to network, or between the families.
var generalities = []struct {
	find *regexp.Regexp
	put  string
}{
	{regexp.MustCompile(` -m comment --comment "[^"]*"`), ""},
	{regexp.MustCompile(`! -d (127\.0\.0\.0/8|::1/128)`), "! -d LOOPBACK"},
	{regexp.MustCompile(`(10\.200\.\d+\.0/24|fd00:[0-9a-f:]*/64)`), "SUBNET"},
	{regexp.MustCompile(`[0-9.]+/32|[0-9a-f:]+/128`), "ADDR"},
	{regexp.MustCompile(`gw-[0-9a-z]{12}|\bmine\b`), "BRIDGE"},
	{regexp.MustCompile(`-([io]) (` + uplink + `|` + trusted + `)(?:` + farEnd + `)?`), "-$1 LINK"},
	{regexp.MustCompile(`-p (tcp|udp|sctp) -m (tcp|udp|sctp) --([ds]port) [0-9:]+`), "-p PROTO -m PROTO --$3 PORTS"},
	{regexp.MustCompile(`-p (tcp|udp|sctp) -j SNAT`), "-p PROTO -j SNAT"},
	{regexp.MustCompile(`--to-destination \S+`), "--to-destination TARGET"},
	{regexp.MustCompile(`NETMAP --to \S+`), "NETMAP --to PREFIX"},
	{regexp.MustCompile(`--to-source \S+`), "--to-source SOURCE"},
	{regexp.MustCompile(`ipv6-icmp`), "icmp"},
}

// general is a rule of iptables as the explanations name it.
func general(rule string) string {
	for _, g := range generalities {
		rule = g.find.ReplaceAllString(rule, g.put)
	}
	return rule
}
