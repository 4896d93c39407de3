package harness

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/testkit"
)

// Snapshot is what an engine's host holds in the kernel and in gangway's
// folders: one sorted list of lines for each kind of thing. What changes by
// itself (counters, timers, handles, indexes) is left out, so that two
// snapshots are equal when nothing was added, lost or changed.
type Snapshot map[string][]string

// commands are the sections of a snapshot that are lists of lines as they are.
var commands = []struct{ section, script string }{
	{"routes", "ip -4 route show table all; ip -6 route show table all"},
	{"policy rules", "ip -4 rule; ip -6 rule"},
	{"proxy neighbours", "ip -6 neigh show proxy"},
	{"iptables", "iptables-save"},
	{"ip6tables", "ip6tables-save"},
	{"legacy tables", "cat /proc/net/ip_tables_names /proc/net/ip6_tables_names 2>/dev/null || true"},
	// Without who has asked for neighbours lately.
	{"nftables", `nft list ruleset | awk '/^table/ { limit = /gangway-neighbour-limit/ } limit && /elements = / { skip = 1 } !skip { print } /}/ { skip = 0 }'`},
	{"sysctls", `cd /proc/sys/net && grep -H . ipv4/ip_forward ipv4/ip_nonlocal_bind ipv4/ip_local_port_range \
		ipv4/conf/*/forwarding ipv4/conf/*/route_localnet ipv4/conf/*/rp_filter ipv4/conf/*/arp_ignore ipv4/conf/*/proxy_arp \
		ipv6/conf/*/forwarding ipv6/conf/*/accept_ra ipv6/conf/*/accept_dad ipv6/conf/*/disable_ipv6 ipv6/conf/*/proxy_ndp \
		netfilter/nf_conntrack_tcp_be_liberal 2>/dev/null || true`},
	{"bridge netfilter", "grep -H . /proc/sys/net/bridge/* 2>/dev/null || true"},
	{"sockets", "ss -Hlntu; ss -HlwS 2>/dev/null || true"},
	{"flows", "conntrack -L -f ipv4 2>/dev/null; conntrack -L -f ipv6 2>/dev/null"},
	// Without what one of them has just forked, which has its name until it runs
	// another program.
	{"processes", `cat /proc/[0-9]*/stat 2>/dev/null | awk '{ name[$1] = $2; parent[$1] = $4 }
		END { for (p in name) if (name[p] ~ /^.(gangway|docker-proxy|containerd-shim)/ && name[parent[p]] != name[p]) print name[p] }'`},
	{"mounts", "awk '$5 ~ /plugins|netns/ { print $5 }' /proc/self/mountinfo"},
	// A managed plugin's folder is the engine's, which changes its mode.
	{"plugin files", `find /run/docker/plugins /var/lib/gangway -path '/run/docker/plugins/*' -type d -printf '%y %p\n' \
		-o -printf '%y %m %p\n' 2>/dev/null || true`},
}

// volatile is what changes by itself within a line.
var volatile = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`\[\d+:\d+\]`), "[counters]"},
	{regexp.MustCompile(`packets \d+ bytes \d+`), "counters"},
	{regexp.MustCompile(` expires \d+sec`), ""},
	{regexp.MustCompile(` linkdown`), ""},
	{regexp.MustCompile(` # count \d+`), ""},         // how many elements a set has: they stand below, where they matter
	{regexp.MustCompile(` # progname .*`), ""},       // the owner of a table, if he happens to have the right port
	{regexp.MustCompile(`^(\w+\s+\d+) \d+ `), "$1 "}, // a flow's time to live
	{regexp.MustCompile(` (SYN_SENT|SYN_RECV|ESTABLISHED|FIN_WAIT|CLOSE_WAIT|LAST_ACK|TIME_WAIT|CLOSE) `), " "},
	// The ids of a managed plugin and its process, after a new installation.
	{regexp.MustCompile(`/plugins/[0-9a-f]{64}`), "/plugins/ID"},
	{regexp.MustCompile(`/[0-9a-f]{64}-std(err|out)$`), "/ID-std$1"},
	// Source ports of what goes out follow the sockets that the host has at the time.
	{regexp.MustCompile(`--to-ports \d+-\d+ --random`), "--to-ports RANGE --random"},
	{regexp.MustCompile(`:\d+-\d+ fully-random`), ":RANGE fully-random"},
	{regexp.MustCompile(` (use|mark|zone)=\d+`), ""},
	{regexp.MustCompile(`\s+`), " "},
}

// ownFlow is one of the host itself with the LAN: no container has part in it.
// It ends when its time is over, as on every host.
var ownFlow = func() *regexp.Regexp {
	const lan = `(192\.0\.2\.|2001:db8::)\S+`
	return regexp.MustCompile(`( src=` + lan + ` dst=` + lan + ` .*){2}`)
}()

// Snapshot takes a snapshot of the engine's host.
func (e *Engine) Snapshot(t testing.TB) Snapshot {
	t.Helper()
	var script strings.Builder
	for _, c := range commands {
		fmt.Fprintf(&script, "echo '@@@ %s'; { %s; }\n", c.section, c.script)
	}
	s := Snapshot{}
	for _, c := range commands {
		s[c.section] = nil
	}
	section := ""
	for _, line := range strings.Split(e.Run(t, "sh", "-c", script.String()), "\n") {
		if name, ok := strings.CutPrefix(line, "@@@ "); ok {
			section = name
			continue
		}
		if line = normalise(line); line != "" {
			s[section] = append(s[section], line)
		}
	}
	s["links"] = e.links(t)
	// The flows of the host with itself and the group memberships that every
	// address announces are not the datapath's.
	s["flows"] = without(s["flows"], " src=127.", " src=::1 ", " dst=224.0.0.", " dst=ff02:")
	s["flows"] = slices.DeleteFunc(s["flows"], ownFlow.MatchString)
	// Link-local routes come and go with the carrier.
	s["routes"] = without(s["routes"], "fe80:", "multicast ff00:")
	for _, lines := range s {
		sort.Strings(lines)
	}
	return s
}

func normalise(line string) string {
	if strings.HasPrefix(line, "#") || strings.HasPrefix(line, "conntrack v") {
		return ""
	}
	for _, v := range volatile {
		line = v.pattern.ReplaceAllString(line, v.with)
	}
	return strings.TrimSpace(line)
}

// without drops the lines that contain any of the words.
func without(lines []string, words ...string) []string {
	var kept []string
next:
	for _, line := range lines {
		for _, word := range words {
			if strings.Contains(line, word) {
				continue next
			}
		}
		kept = append(kept, line)
	}
	return kept
}

// Link is one network link with its addresses, as ip(8) shows it.
type Link struct {
	Index     int    `json:"ifindex"`
	Name      string `json:"ifname"`
	MTU       int    `json:"mtu"`
	Master    string `json:"master"`
	State     string `json:"operstate"`
	Group     string `json:"group"`
	Alias     string `json:"ifalias"`
	MAC       string `json:"address"`
	Peer      int    `json:"link_index"`
	PeerNetns *int   `json:"link_netnsid"`
	Info      struct {
		Kind string `json:"info_kind"`
	} `json:"linkinfo"`
	Addresses []struct {
		Local  string `json:"local"`
		Prefix int    `json:"prefixlen"`
		Scope  string `json:"scope"`
	} `json:"addr_info"`
}

// Links returns the links of the node by name.
func (n *Node) Links(t testing.TB) map[string]Link {
	t.Helper()
	var all []Link
	if err := json.Unmarshal([]byte(n.Run(t, "ip", "-j", "-d", "addr", "show")), &all); err != nil {
		t.Fatalf("read links: %v", err)
	}
	byName := map[string]Link{}
	for _, l := range all {
		if l.Name != "" { // ip prints {} for links that vanish meanwhile
			byName[l.Name] = l
		}
	}
	return byName
}

func (e *Engine) links(t testing.TB) []string {
	t.Helper()
	var lines []string
	for _, l := range e.Links(t) {
		line := fmt.Sprintf("%s kind=%s mtu=%d master=%s group=%s alias=%s", l.Name, l.Info.Kind, l.MTU, l.Master, l.Group, l.Alias)
		for _, a := range l.Addresses {
			if a.Scope != "link" { // link-local ones come with the first carrier
				line += fmt.Sprintf(" %s/%d", a.Local, a.Prefix)
			}
		}
		lines = append(lines, line)
	}
	return lines
}

// Diff returns what b has more ("+") and less ("-") than s, one line each, and
// an empty text if they are equal.
func (s Snapshot) Diff(b Snapshot) string {
	sections := map[string]bool{}
	for name := range s {
		sections[name] = true
	}
	for name := range b {
		sections[name] = true
	}
	names := make([]string, 0, len(sections))
	for name := range sections {
		names = append(names, name)
	}
	sort.Strings(names)
	var out strings.Builder
	for _, name := range names {
		if d := diffLines(s[name], b[name]); d != "" {
			fmt.Fprintf(&out, "%s:\n%s", name, d)
		}
	}
	return out.String()
}

// diffLines compares two sorted lists as multisets.
func diffLines(a, b []string) string {
	count := map[string]int{}
	for _, line := range b {
		count[line]++
	}
	for _, line := range a {
		count[line]--
	}
	var out []string
	for line, n := range count {
		for ; n > 0; n-- {
			out = append(out, "  + "+line+"\n")
		}
		for ; n < 0; n++ {
			out = append(out, "  - "+line+"\n")
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i][4:]+out[i][:4] < out[j][4:]+out[j][:4] })
	return strings.Join(out, "")
}

// Unchanged fails the test unless the engine's host is, now or soon, as it was
// in the snapshot. Sections that the snapshot lacks are not compared.
func (e *Engine) Unchanged(t testing.TB, before Snapshot) {
	t.Helper()
	var diff string
	err := poll(testkit.Patience, func() error {
		now := e.Snapshot(t)
		for section := range now {
			if _, ok := before[section]; !ok {
				delete(now, section)
			}
		}
		if diff = before.Diff(now); diff != "" {
			return errors.New("not as before")
		}
		return nil
	})
	if err != nil {
		t.Errorf("%s: the host is not as before:\n%s", e, diff)
	}
}

// Restored takes a snapshot, and compares with it when the test has cleaned up.
// Call it first.
func (e *Engine) Restored(t testing.TB) {
	t.Helper()
	before := e.Snapshot(t)
	t.Cleanup(func() { e.Unchanged(t, before) })
}
