package rules

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/gangway-net/gangway/driver/spec"
)

// ruleDump is what the kernel holds of gangway's rules, a line each.
type ruleDump struct {
	// constant is what the first network brings, whatever its options; it
	// keeps the kernel's order.
	constant []string
	// added is what belongs to a network or a container; sorted.
	added []string
}

// owned marks what belongs to a network or a container, in both backends; a hook
// in a nat table is there as long as such a rule is behind it.
var owned = regexp.MustCompile(`net=|-t nat -A [A-Z]+ .*-j GANGWAY-`)

func (d *ruleDump) add(line string) {
	if owned.MatchString(line) {
		d.added = append(d.added, line)
	} else {
		d.constant = append(d.constant, line)
	}
}

// rules lists the rules of the host.
func (h *host) rules() ruleDump {
	h.t.Helper()
	var d ruleDump
	h.nativeRules(&d)
	for _, tool := range []string{"iptables", "ip6tables"} {
		h.savedRules(tool, &d)
	}
	slices.Sort(d.added)
	return d
}

// nativeRules reads gangway's tables in nf_tables, the bridges of a fail-closed table aside:
// those are the networks', like the rules that it goes with.
func (h *host) nativeRules(d *ruleDump) {
	h.t.Helper()
	table, block, elements, inside := "", "", "", false
	for line := range strings.Lines(h.run("", "nft", "-s", "list", "ruleset", "inet")) {
		text, _, _ := strings.Cut(strings.TrimSpace(line), " # progname ")
		rest, starts := strings.CutPrefix(text, "elements = {")
		switch {
		case text == "" || text == "}":
		case strings.HasPrefix(block, "table inet gangway") && strings.HasPrefix(text, "flags"): // whose it is, not what it does
		case starts || inside:
			elements += " " + rest
			if inside = !strings.HasSuffix(rest, "}"); inside {
				continue
			}
			for e := range strings.SplitSeq(strings.TrimSuffix(elements, "}"), ",") {
				if table != "table inet gangway-fail-closed" {
					d.add("nft " + strings.TrimPrefix(strings.TrimPrefix(block, "set "), "map ") + " { " + strings.TrimSpace(e) + " }")
				}
			}
			elements = ""
		case strings.HasSuffix(text, "{"):
			if block = strings.TrimSuffix(text, " {"); strings.HasPrefix(block, "table ") {
				table = block
			} else {
				d.add("nft " + block)
			}
		default:
			d.add("nft " + block + ": " + text)
		}
	}
}

// savedRules reads the rules of one iptables, besides the engine's.
func (h *host) savedRules(tool string, d *ruleDump) {
	h.t.Helper()
	table := ""
	for line := range strings.Lines(h.run("", tool+"-nft-save")) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "*"):
			table = line[1:]
		case strings.HasPrefix(line, "-A ") && !strings.Contains(engineRules, line):
			d.add(tool + " -t " + table + " " + line)
		}
	}
}

// links lists what the host has of bridges, their ports and switches, besides
// what a host has anyway.
func (h *host) links() []string {
	h.t.Helper()
	var out []string
	all, err := h.nl.LinkList()
	h.ok(err)
	slices.SortFunc(all, func(a, b netlink.Link) int { return strings.Compare(a.Attrs().Name, b.Attrs().Name) })
	for _, l := range all {
		switch {
		case l.Type() == "bridge":
			out = append(out, h.bridge(l)...)
		case l.Type() == "veth" && l.Attrs().MasterIndex != 0:
			out = append(out, h.port(l))
		}
	}
	return append(out, fmt.Sprintf("host: ip_forward=%s ipv6-forwarding=%s", h.sysctl("ipv4/ip_forward"), h.sysctl("ipv6/conf/all/forwarding")))
}

// portFlag finds the flags of a bridge port that gangway sets.
var portFlag = regexp.MustCompile(`\b(hairpin|bcast_flood|mcast_flood) (on|off)`)

func (h *host) port(l netlink.Link) string {
	h.t.Helper()
	name := l.Attrs().Name
	line := fmt.Sprintf("port %s: mtu=%d", name, l.Attrs().MTU)
	for _, flag := range portFlag.FindAllStringSubmatch(h.run("", "bridge", "-d", "link", "show", "dev", name), -1) {
		line += " " + flag[1] + "=" + flag[2]
	}
	// What it lets pass is package portfilter's golden files.
	filter := strings.Contains(h.run("", "tc", "filter", "show", "dev", name, "ingress"), "bytecode")
	return line + " port_filter=" + onOff(filter)
}

func (h *host) bridge(l netlink.Link) []string {
	h.t.Helper()
	a := l.Attrs()
	group := "other"
	if a.Group == spec.LinkGroup {
		group = fmt.Sprint(a.Group)
	}
	alias := a.Alias
	if name, id, found := strings.Cut(alias, ":"); found {
		alias = name + ":" + id[:min(12, len(id))]
	}
	addrs, err := h.nl.AddrList(l, netlink.FAMILY_ALL)
	h.ok(err)
	list := []string{}
	for _, a := range addrs {
		if !a.IP.IsLinkLocalUnicast() {
			list = append(list, a.IPNet.String())
		}
	}
	return []string{
		fmt.Sprintf("bridge %s: alias=%q group=%s mtu=%d up=%s addresses=%v", a.Name, alias, group, a.MTU, onOff(a.Flags&1 != 0), list),
		fmt.Sprintf("bridge %s: route_localnet=%s disable_ipv6=%s accept_ra=%s accept_dad=%s", a.Name,
			h.sysctl("ipv4/conf/"+a.Name+"/route_localnet"), h.sysctl("ipv6/conf/"+a.Name+"/disable_ipv6"),
			h.sysctl("ipv6/conf/"+a.Name+"/accept_ra"), h.sysctl("ipv6/conf/"+a.Name+"/accept_dad")),
	}
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func (h *host) sysctl(name string) string {
	h.t.Helper()
	value, err := os.ReadFile("/proc/sys/net/" + name)
	h.ok(err)
	return strings.TrimSpace(string(value))
}
