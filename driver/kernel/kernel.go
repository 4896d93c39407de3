// Package kernel says what Gangway uses of the Linux kernel, since which version
// that is there, and what happens without it: for the documentation, for error
// messages, and for whoever looks at a host.
//
// Invariant: nothing decides by what stands here. What a kernel can do is tried
// where it is used, since distributions take features over into older versions.
package kernel

import "fmt"

// Known says how it is known what happens without a feature.
type Known string

// The ways to know, the best first.
const (
	// Booted: tests run on a kernel that lacks it (make test-kernels).
	Booted Known = "booted"
	// Emulated: tests switch it off on a kernel that has it.
	Emulated Known = "emulated"
	// Read: the kernel's sources and Gangway's code say so.
	Read Known = "read"
)

// Feature is one thing that newer kernels have. Texts are Markdown.
type Feature struct {
	// Since is the first version of kernel.org that has it.
	Since string
	Name  string
	// For is what Gangway uses it for, Without what happens where it is missing.
	For, Without string
	// Known is about Without.
	Known Known
}

// Needs says in an error what is missing.
func (f Feature) Needs() string { return fmt.Sprintf("%s (Linux %s or newer)", f.Name, f.Since) }

// AltNames is needed to use links of others.
func AltNames() Feature {
	return Feature{
		"5.5", "alternative names of links",
		"noting on a bridge of others, or a link of the host, what Gangway changed there, so that it is given back even after a crash",
		"networks on a bridge of others, with `gangway.uplink` and with `gangway.ndp_proxy` are refused", Emulated,
	}
}

// OwnedTables is needed for whatever must go with the process that made it.
func OwnedTables() Feature {
	return Feature{
		"5.12", "tables with an owner (`NFT_TABLE_F_OWNER`)", "the fail-closed table; `gangway trace`",
		"isolation is off between a flush and the repair; `gangway trace` says what the desired state decides, and which rules of iptables have counted packets", Booted,
	}
}

// Features returns all, by version.
func Features() []Feature {
	return []Feature{
		{"4.16", "`IFLA_TARGET_NETNSID`", "the name of a container's interface in `gangway endpoints`; seeing that IPv6 is off in a container", "no name; the IPv6 address stays with the endpoint, though it does not answer", Read},
		{"4.20", "`NETLINK_GET_STRICT_CHK`", "the kernel filters lists of addresses and routes", "the kernel sends more, Gangway filters: slower, same result", Read},
		{"5.0", "`RTM_GETNEIGH` for one address", "forgetting an outdated neighbour entry of the host at once", "outdated neighbours stay on the host: where another container takes over an address, the host reaches it some seconds later", Read},
		{"5.0", "`meta iifkind`, `oifkind` in nf_tables", "rules that tell bridges from other links", "no nftables backend: iptables", Read},
		{"5.2", "NAT in tables of the family `inet`", "one table for both families", "no nftables backend: iptables", Read},
		{"5.3", "settings of br_netfilter for each network namespace", "nothing; tests switch them", "tests of it cannot run beside each other", Read},
		AltNames(),
		{"5.6", "intervals in concatenations (`pipapo` sets)", "a whole range of published ports as one element", "no nftables backend: iptables. `GANGWAY_FIREWALL=nftables` is an error", Read},
		{"5.8", "`CAP_BPF`", "one socket filter for all reserving sockets", "each socket compiles its own, a port costs about 1.6 times as much", Emulated},
		OwnedTables(),
		{"6.2", "renaming a link that is up", "a bridge or veth that somebody renamed gets its name back without a break", "it is set down for the moment of renaming", Booted},
		{"6.9", "tables that outlive their owner (`NFT_TABLE_F_PERSIST`)", "Gangway's own table has an owner: nobody else can change or flush it", "a shared table, with the fail-closed table beside it", Booted},
		{"6.12", "deletion of tracked flows by address (`CTA_FILTER`)", "flows of a container that leaves go in 0.1 to 0.4 ms each (IPv4)", "the connection table is listed: 13 ms where it has 262 144 buckets. IPv6 is always listed", Booted},
		{"6.15", "right look-ups of IPv6 addresses in concatenations on processors with AVX2 (stable kernels: since April 2025; older than 5.7: not concerned)", "policies with IPv6 addresses and ports; source checks", "an address is taken for another one that differs in its sixth byte alone: what is open to 2001:db8:1::/48 may be open to its neighbours. The daemon tries it, warns, and `gangway status` is degraded", Booted},
		{"6.17", "`net.ipv6.conf.*.force_forwarding`", "knowing that single links forward IPv6, so that this is somebody's choice and stays", "there is no such setting to look at", Booted},
	}
}

// Level is a range of versions that are alike. Texts are Markdown.
type Level struct {
	Linux, Firewall string
	// Flushed is what happens when others flush all rules.
	Flushed string
	// Lacks is what else is weaker or refused.
	Lacks string
	// Tested says on which kernels tests run.
	Tested string
}

// Levels returns all, the newest first.
func Levels() []Level {
	return []Level{
		{"6.9 and newer", "nftables, owned table", "nothing happens: the table is left out. `iptables -F` beside an engine takes the FORWARD hook along until the repair: connections are missing, isolation is not", "nothing", "6.18 (all tests); Debian's 6.12 and newest kernel (`make test-kernels`)"},
		{"5.12 to 6.8", "nftables, fail-closed table", "networks are cut off until the repair, never open", "before 6.2, a link that gets its name back is down for a moment", "Debian's 6.1 (`make test-kernels`)"},
		{"5.6 to 5.11", "nftables, no protection", "**isolation is off until the repair** (measured: 10 to 330 ms)", "as above. The log warns", "Debian's 5.10 (`make test-kernels`)"},
		{"5.5", "iptables, no protection", "**isolation is off until the repair**. Also a bridge that somebody takes out of its interface group is open until then", "`GANGWAY_FIREWALL=nftables` is refused", "none"},
		{"4.18 to 5.4", "iptables, no protection", "as with 5.5 (seen on 4.18: 0.15 s for a bridge out of its group)", "networks on bridges of others are refused. Before 5.0, outdated neighbours stay on the host for some seconds", "seen by hand on 4.18 and 5.4"},
	}
}

// Module is a module or option of the kernel. Texts are Markdown.
type Module struct{ Names, For, Without string }

// Modules returns all.
func Modules() []Module {
	return []Module{
		{"`sch_ingress`, `cls_bpf`", "the [port filter](architecture.md#the-port-filter)", "`gangway status` says `unguarded`; networks with `anti_spoofing=true` or `enable_icc=false` are refused"},
		{"`nf_tables`, `nft_chain_nat`, `nft_fib_inet`", "the nftables backend", "iptables, or, with `GANGWAY_FIREWALL=nftables`, an error that names them"},
		{"`sch_tbf`; `ifb`, `act_mirred`", "[rates](rate.md); the last one also for containers that [watch](taps.md#a-container-that-watches)", "a container with a rate does not start, and the error names what is missing"},
		{"`act_mirred`; `xt_CT` with the iptables backend", "[networks of more than 1000 containers](large.md)", "the next container does not start, and the error names what is missing"},
		{"`xt_devgroup`, `xt_conntrack`, `xt_mark`, `xt_comment`, `xt_addrtype`, `xt_rpfilter`, `xt_TCPMSS`", "the iptables backend; the first three also for the FORWARD hook beside an engine", "the change is refused, with the modules that its rules need"},
		{"`br_netfilter`", "nothing: Gangway does not load it", "frames within a bridge pass by the firewall; the port filter holds in any case"},
		{"`8021q`", "[VLANs](lan.md#vlans) that Gangway makes", "such a network is refused; a VLAN that is there works"},
		{"IPv6", "networks with IPv6", "such a network is refused when a container joins; IPv4 networks work"},
		{"`sctp`", "nothing: published SCTP ports need connection tracking only", "works ([`ports-sctp`](compatibility.md#published-ports))"},
	}
}
