package upgrade

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// shell runs a script in the namespace of the calling thread.
func shell(t *testing.T, script, input string) string {
	t.Helper()
	cmd := exec.Command("sh", "-ec", script)
	cmd.Stdin = strings.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, stderr.String())
	}
	return string(out)
}

// prepare makes a namespace like a host that uses iptables, with an address and
// a bridge of its own that a network is put on.
func prepare(t *testing.T) {
	t.Helper()
	shell(t, `ip link add outside type bridge; ip addr add 192.0.2.1/24 dev outside; ip link set outside up
		ip link add theirs type bridge; ip addr add 10.55.0.1/24 dev theirs; ip link set theirs up
		echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
		for at in "raw PREROUTING" "filter FORWARD" "nat PREROUTING" "nat OUTPUT" "nat POSTROUTING"; do set -- $at
		for cmd in iptables ip6tables; do $cmd -t $1 -A $2 -j ACCEPT; $cmd -t $1 -D $2 -j ACCEPT; done; done`, "")
}

// picture is what gangway leaves in the kernel. What is chosen anew each time is
// left out: hardware addresses, the numbers of links, which element of a set is first, who
// has asked for neighbours.
func picture(t *testing.T) string {
	t.Helper()
	return shell(t, `
iptables-nft-save | grep -v '^#' | sed '/^:/s/ \[.*//'; ip6tables-nft-save | grep -v '^#' | sed '/^:/s/ \[.*//'
nft -s list ruleset | grep -A10000 gangway | sed '/limit rate over/d; s/ # progname.*//; s/elements = {//; s/^[[:space:]]*//; s/[[:space:]]*[,}]*$//' || true
ip -o -d link show | sed 's/^[0-9]*: //; s/@[^:]*//; s/ link.ether [^ ]* brd [^ ]*//; s/ state [A-Z]* / /; s/,LOWER_UP\|NO-CARRIER,\|,M-DOWN//g; s/qdisc [a-z]*//; s/bridge_id.*\(group_fwd\|mcast_vlan\)/\1/; s/designated_.*hold_timer *[0-9.]*//; s/_timer *[0-9.]*//g; s/no 0x[0-9a-f]*/no/g; s/ gso_max_size.*//' | cut -d'\' -f1,3- | sort
ip -o addr show scope global | sed 's/^[0-9]*: //; s/valid_lft.*//; s/tentative//' | sort
grep -H . /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding /proc/sys/net/ipv[46]/conf/g*/route_localnet /proc/sys/net/ipv6/conf/g*/disable_ipv6 2>/dev/null | sort
ss -Hlntu | awk '{print $1, $5}' | sort`, "")
}

// same fails the test unless two pictures are equal.
func same(t *testing.T, what, before, after string) {
	t.Helper()
	count := map[string]int{}
	for line := range strings.Lines(after) {
		count[line]++
	}
	for line := range strings.Lines(before) {
		count[line]--
	}
	var diff []string
	for line, n := range count {
		if n != 0 {
			diff = append(diff, fmt.Sprintf("%+d %s", n, line))
		}
	}
	if len(diff) > 0 {
		slices.Sort(diff)
		t.Fatalf("%s:\n%s", what, strings.Join(diff, ""))
	}
}

// device is what the kernel holds of a link, as far as gangway sets it.
type device struct {
	Name     string   `json:"ifname"`
	Peer     string   `json:"link"`
	Master   string   `json:"master"`
	Group    string   `json:"group"`
	Alias    string   `json:"ifalias"`
	Address  string   `json:"address"`
	MTU      int      `json:"mtu"`
	Flags    []string `json:"flags"`
	AltNames []string `json:"altnames"`
	Info     struct {
		Kind string `json:"info_kind"`
	} `json:"linkinfo"`
	Addresses []struct {
		Local  string `json:"local"`
		Length int    `json:"prefixlen"`
		Scope  string `json:"scope"`
		NoDAD  bool   `json:"nodad"`
	} `json:"addr_info"`
}

// links writes the commands that make the namespace's links once more.
func links(t *testing.T) string {
	t.Helper()
	var all []device
	if err := json.Unmarshal([]byte(shell(t, "ip -d -j addr show", "")), &all); err != nil {
		t.Fatal(err)
	}
	slices.SortStableFunc(all, func(a, b device) int { return strings.Compare(a.Info.Kind, b.Info.Kind) }) // bridges first
	var out strings.Builder
	made := map[string]bool{"theirs": true, "outside": true}
	for _, d := range all {
		if d.Info.Kind != "bridge" && d.Info.Kind != "veth" {
			continue
		}
		switch {
		case made[d.Name]:
			fmt.Fprintf(&out, "link set %s address %s mtu %d\n", d.Name, d.Address, d.MTU)
		case d.Info.Kind == "veth":
			fmt.Fprintf(&out, "link add %s address %s mtu %d type veth peer name %s\n", d.Name, d.Address, d.MTU, d.Peer)
			made[d.Peer] = true
		default:
			fmt.Fprintf(&out, "link add %s address %s mtu %d type bridge\n", d.Name, d.Address, d.MTU)
		}
		d.finish(&out)
	}
	return out.String()
}

// finish writes what is set after a link was made.
func (d device) finish(out *strings.Builder) {
	if d.Alias != "" {
		fmt.Fprintf(out, "link set %s alias %s\n", d.Name, d.Alias)
	}
	if d.Group != "" && d.Group != "default" {
		fmt.Fprintf(out, "link set %s group %s\n", d.Name, d.Group)
	}
	if d.Master != "" {
		fmt.Fprintf(out, "link set %s master %s\n", d.Name, d.Master)
	}
	for _, a := range d.AltNames {
		fmt.Fprintf(out, "link property add dev %s altname %s\n", d.Name, a)
	}
	for _, a := range d.Addresses {
		flags := ""
		if a.NoDAD {
			flags = " nodad"
		}
		if a.Scope == "global" {
			fmt.Fprintf(out, "addr replace %s/%d dev %s%s\n", a.Local, a.Length, d.Name, flags)
		}
	}
	if slices.Contains(d.Flags, "UP") {
		fmt.Fprintf(out, "link set %s up\n", d.Name)
	}
}

// The files of a folder that hold the kernel's part.
const (
	linksFile = "links.ip"
	rulesFile = "rules.nft"
)

// keepKernel writes what the namespace holds into a folder. The rules of
// iptables are in the ruleset as well: both are nf_tables. Flags of a table stay
// behind: one that nft makes its own goes when nft ends.
func keepKernel(t *testing.T, dir string) {
	t.Helper()
	write(t, dir, linksFile, links(t))
	for _, save := range []string{"iptables-nft-save", "ip6tables-nft-save"} {
		write(t, dir, save, shell(t, save+` | grep -v '^#' | sed '/^:/s/\[.*/[0:0]/'`, ""))
	}
	write(t, dir, rulesFile, shell(t, `nft -s list tables | grep gangway | grep -v gangway-neighbour-limit | while read -r table; do nft -s list $table; done | sed 's/ # progname.*//; /^\tflags /,/^$/d'`, ""))
}

// putKernel makes the namespace hold what keepKernel found.
func putKernel(t *testing.T, dir string) {
	t.Helper()
	shell(t, "ip -batch -", read(t, dir, linksFile))
	shell(t, "iptables-nft-restore", read(t, dir, "iptables-nft-save"))
	shell(t, "ip6tables-nft-restore", read(t, dir, "ip6tables-nft-save"))
	shell(t, "nft -f -", read(t, dir, rulesFile))
}

// formerTables are tables that earlier versions made, as somebody loads them from a file
// with all rules: nobody owns them, and the fail-closed one drops what it finds unmarked.
const formerTables = `
table inet gangway-valve { chain valve { type filter hook forward priority filter + 1; policy drop; }; }
table arp gangway-pace { chain pace { type filter hook input priority filter; }; }
table ip6 gangway-pace { chain pace { type filter hook input priority raw; }; }
`

func read(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(dir + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(dir+"/"+name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
