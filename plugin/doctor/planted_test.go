package doctor

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/driver/cause"
	"github.com/gangway-net/gangway/integration/testkit"
)

// plantedInside are causes in the container.
func plantedInside() map[string]planted {
	return map[string]planted{
		"nothing":                      {},
		"nothing of the port":          {port: 8000},
		"nothing for a client":         {port: 8000, client: "192.0.2.2"},
		"nothing of loopback":          {port: 8000, change: func(s *State) { s.Ports[0].HostIP, s.Ports = netip.MustParseAddr("127.0.0.1"), s.Ports[:1] }, want: "published on 127.0.0.1 alone"},
		"nobody listens":               {port: 8000, do: func(h *host) { h.listener.Close() }, want: "nobody in container web listens on tcp port 80 … docker logs"},
		"loopback only":                {port: 8000, do: func(h *host) { h.instead("127.0.0.1:80") }, want: "listens on 127.0.0.1:80 only … bind 0.0.0.0"},
		"IPv6 only":                    {port: 8000, do: func(h *host) { h.instead("[::]:80") }, want: "listens on [::]:80 for IPv6 only, and its address is 10.80.0.2 … bind 0.0.0.0"},
		"another port":                 {port: 8000, do: func(h *host) { h.instead("0.0.0.0:8080") }, want: "it listens on 8080: publish that, as 8000:8080"},
		"a refused client of a policy": {port: 8000, client: "192.0.2.2", change: policed("lan,8000=10.8.0.0/24", ""), want: "host port 8000/tcp does not answer 192.0.2.2: gangway.ingress=lan,8000=10.8.0.0/24 of network front: add 192.0.2.2 to gangway.ingress"},
		"a container's own policy":     {port: 8000, client: "192.0.2.2", change: policed("any", "10.8.0.0/24"), want: "does not answer 192.0.2.2: gangway.ingress=10.8.0.0/24 of container web"},
		"an allowed client":            {port: 8000, client: "192.0.2.2", change: policed("192.0.2.0/24", "")},
		"nobody of a policy":           {port: 8000, change: policed("none", ""), want: "host port 8000/tcp answers nobody outside: gangway.ingress=none of network front … say in gangway.ingress who may ask"},
		"a policy in audit":            {port: 8000, client: "192.0.2.2", change: func(s *State) { policed("none", "")(s); s.Endpoints[0].Policy.Mode = "audit" }},
		"a relayed client of a policy": {port: 8000, client: "2001:db8::2", change: policed("2001:db8::/32", ""), want: "is relayed, and so does not answer 2001:db8::2: gangway.ingress=2001:db8::/32 of network front"},
		"nothing of a routed port":     {port: 80, change: byItsAddress(80)},
		"a routed port":                {port: 81, change: byItsAddress(81), want: "nobody in container web listens on tcp port 81, where port 81/tcp of 10.80.0.2 leads: it listens on 80: publish that"},
		"a routed port, dropped":       {change: byItsAddress(80), host: "iptables -A FORWARD -d 10.80.0.2 -p tcp --dport 80 -j DROP", want: "iptables filter FORWARD rule 1 drops what comes for port 80/tcp of 10.80.0.2"},
		"nobody accepts": {do: func(h *host) {
			h.in(h.container, func() error {
				_, err := net.Dial("tcp", "10.80.0.2:80") // and the listener does not take it
				return err
			})
		}, want: "container web accepts no connections at tcp port 80: 1 wait … paused"},
		"interface down":     {inside: "ip link set eth0 down", want: "container web: its interface eth0 is down … ip link set eth0 up", more: true},
		"address lost":       {inside: "ip addr add 10.80.0.9/24 dev eth0; ip addr del 10.80.0.2/24 dev eth0; ip addr add 10.80.0.9/24 dev eth0 || true; ip route replace default via 10.80.0.1", want: "has lost its address 10.80.0.2"},
		"no default route":   {inside: "ip route del default", want: "no default route for IPv4"},
		"no IPv6 route":      {inside: "ip -6 route del default", want: "no default route for IPv6"},
		"own iptables":       {inside: "iptables -A INPUT -p tcp --dport 80 -j DROP", want: "in container web, table ip filter chain INPUT rule 1 (handle … drops"},
		"own policy":         {inside: "nft add table inet fw; nft 'add chain inet fw in { type filter hook input priority 0; policy drop; }'; nft add rule inet fw in tcp dport 22 accept", want: "in container web, table inet fw chain in, whose policy is drop, drops what comes for host port 8000/tcp … in the container"},
		"own accepting rule": {inside: "nft add table inet fw; nft 'add chain inet fw in { type filter hook input priority 0; policy drop; }'; nft add rule inet fw in iifname eth0 tcp dport 80 accept"},
		"own answers":        {inside: "nft add table inet fw; nft 'add chain inet fw out { type filter hook output priority 0; policy drop; }'", want: "in container web, table inet fw chain out, whose policy is drop, drops answers from host port 8000/tcp"},
		"own stateful":       {inside: "nft add table inet fw; nft 'add chain inet fw out { type filter hook output priority 0; policy drop; }'; nft add rule inet fw out ct state established accept"},
		"no way back":        {port: 8000, client: "192.0.2.2", inside: "ip route add unreachable 192.0.2.0/24", want: "container web has no way to 192.0.2.2 (no route to host) … nsenter --net="},
		"another way back": {port: 8000, client: "192.0.2.2", inside: "ip link add tun0 type veth peer name tun1; ip link set tun0 up; ip link set tun1 up; ip route add 192.0.2.0/24 dev tun0",
			want: "container web answers 192.0.2.2 by its link tun0, and was asked by eth0"},
		"no published port":   {container: true, change: func(s *State) { s.Ports = nil }, note: "container web publishes no port on network front: this host"},
		"an internal network": {port: 8001, change: func(s *State) { s.Networks[0].Internal = true }, want: "no container of gangway's networks publishes port 8001 … containers of internal networks publish nothing"},
		"IPv6 in use": {
			host:   "ip -6 addr add fd80::77/64 dev gw-a nodad",
			inside: "sysctl -qw net.ipv6.conf.eth0.accept_dad=1; ip addr add fd80::77/64 dev eth0; timeout 30 sh -c 'until ip -6 addr show dev eth0 dadfailed | grep -q fd80::77; do sleep 0.1; done'",
			change: func(s *State) {
				s.Endpoints[0].Addresses = append(s.Endpoints[0].Addresses, netip.MustParsePrefix("fd80::77/64"))
			}, want: "may not use its address fd80::77", more: true},
	}
}

// policed has a network's policy about who may come, and a container's own.
func policed(network, own string) func(s *State) {
	return func(s *State) {
		s.Networks[0].Policy.Ingress = network
		s.Endpoints[0].Policy.Ingress = cmp.Or(own, network)
	}
}

// byItsAddress has a port reached by the container's own address alone.
func byItsAddress(port uint16) func(s *State) {
	return func(s *State) {
		s.Ports = nil
		s.Endpoints[0].Open = []driver.OpenStatus{{Protocol: "tcp", IP: netip.MustParseAddr("10.80.0.2"), First: port, Last: port}}
	}
}

// plantedRules are rules of others on the host.
func plantedRules() map[string]planted {
	const table = "nft add table FAMILY other; nft 'add chain FAMILY other c { type filter hook HOOK priority 0; }'; nft add rule FAMILY other c RULE"
	rule := func(family, hook, rule string) string {
		return strings.NewReplacer("FAMILY", family, "HOOK", hook, "RULE", rule).Replace(table)
	}
	return map[string]planted{
		"a policy":                   {host: "nft add table inet other; nft 'add chain inet other f { type filter hook forward priority 0; policy drop; }'", want: "table inet other chain f, whose policy is drop, drops"},
		"DOCKER-USER":                {host: "iptables -N DOCKER-USER; iptables -A FORWARD -j DOCKER-USER; iptables -A DOCKER-USER -p tcp --dport 80 -j DROP", want: "iptables filter DOCKER-USER rule 1 drops"},
		"before translation":         {host: "iptables -t raw -A PREROUTING -p tcp --dport 8000 -j DROP", want: "iptables raw PREROUTING rule 1 drops"},
		"elsewhere":                  {host: "iptables -t nat -A PREROUTING -p tcp --dport 8000 -j DNAT --to-destination 10.9.9.9:80", want: "iptables nat PREROUTING rule 1 leads elsewhere what comes for host port 8000/tcp … --to-destination 10.9.9.9:80"},
		"elsewhere by nft":           {host: "nft add table ip other; nft 'add chain ip other pre { type nat hook prerouting priority dstnat; }'; nft add rule ip other pre tcp dport 8000 redirect to :81", want: "table ip other chain pre rule 1 … leads elsewhere"},
		"at the device":              {port: 8000, host: rule("netdev", "ingress device lan0", "tcp dport 8000 drop"), want: "table netdev other chain c rule 1 … may drop"},
		"at another device, unasked": {host: rule("netdev", "ingress device lan1", "tcp dport 8000 drop")},
		"at the bridge":              {host: rule("bridge", "output", "oifname gv-1 drop"), want: "table bridge other chain c rule 1 … drops"},
		"between containers":         {host: rule("bridge", "forward", "drop")},
		"for the relay":              {port: 8000, host: "ip6tables -A INPUT -p tcp --dport 8000 -j DROP", want: "ip6tables filter INPUT rule 1 drops what comes for host port 8000/tcp"},
		"to the container":           {host: "iptables -P OUTPUT DROP; iptables -A OUTPUT -o lan0 -j ACCEPT", want: "iptables filter OUTPUT, whose policy is drop, drops"},
		"untracked":                  {host: "iptables -t raw -A PREROUTING -p tcp --dport 8000 -j CT --notrack", want: "iptables raw PREROUTING rule 1 leaves untracked, and so untranslated, what comes for host port 8000/tcp"},
		"untracked by nft":           {host: "nft add table ip other; nft 'add chain ip other pre { type filter hook prerouting priority raw; }'; nft add rule ip other pre tcp dport 8000 notrack", want: "table ip other chain pre rule 1 … leaves untracked"},
		"answers":                    {host: "iptables -t mangle -A FORWARD -p tcp --sport 80 -j DROP", want: "iptables mangle FORWARD rule 1 drops answers from host port 8000/tcp"},
		"other answers":              {port: 8000, host: "iptables -t mangle -A FORWARD -p tcp --sport 81 -j DROP; iptables -t mangle -A FORWARD -i lan0 -o gw-a -m conntrack --ctstate ESTABLISHED -p udp -j DROP"},
		"answers by state":           {host: rule("inet", "forward", "iifname gw-a ct state established drop"), want: "table inet other chain c rule 1 … drops answers"},
		"answers at the bridge":      {port: 8000, host: rule("bridge", "input", "iifname gv-1 ip protocol tcp drop"), want: "table bridge other chain c rule 1 … may drop answers"},
		"an accepted client":         {port: 8000, host: "iptables -P FORWARD DROP; iptables -A FORWARD -s 192.0.2.0/24 -j ACCEPT; iptables -A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT"},
		"a refused client":           {port: 8000, host: "iptables -A FORWARD -s 192.0.2.2 -j DROP", want: "iptables filter FORWARD rule 1 may drop"},
	}
}

// plantedWays are routes, links and addresses of the host.
func plantedWays() map[string]planted {
	return map[string]planted{
		"a way by a VPN":       {host: "ip route add 10.80.0.2/32 dev lan1", want: "the host's way to 10.80.0.2, container web, leads by lan1, and not by bridge gw-a … ip route get 10.80.0.2"},
		"a blackhole":          {host: "ip route add blackhole 10.80.0.2/32", want: "leads nowhere … ip rule"},
		"no route to a client": {port: 8000, client: "198.51.100.9", want: "the host has no way to 198.51.100.9 (network is unreachable) … default route"},
		"no answers":           {port: 8000, client: "192.0.2.2", host: "ip rule add iif gw-a lookup 100; ip route add unreachable default table 100", want: "answers of container web to 192.0.2.2 go nowhere"},
		"answers elsewhere":    {port: 8000, client: "192.0.2.2", host: "ip rule add iif gw-a lookup 100; ip route add default via 203.0.113.2 table 100", want: "answers of container web to 192.0.2.2 leave by lan1, and the host's own by lan0"},
		"a queue":              {port: 8000, host: "tc qdisc add dev gw-a root tbf rate 8bit burst 10 latency 1ms; ping -c 1 -W 1 10.80.0.2 >/dev/null || true", want: "what leaves by gw-a may be lost: its queue tbf has dropped"},
		"a small path":         {port: 8000, client: "192.0.2.2", host: "ip route add 192.0.2.2/32 dev lan0 mtu 1300", want: "bridge gw-a has an MTU of 1500, and the way to 192.0.2.2 1300 … driver.mtu=1300"},
		"a small uplink":       {host: "ip route add default via 192.0.2.2; ip link set lan0 mtu 1400", want: "and lan0, the way out, 1400 … driver.mtu=1400"},
		"reverse path": {port: 8000, client: "192.0.2.2", host: "sysctl -qw net.ipv4.conf.lan1.rp_filter=1", do: func(h *host) {
			h.at("client", "ip neigh replace 203.0.113.1 lladdr 02:00:00:00:00:02 dev eth1; ip route add 10.80.0.0/24 via 203.0.113.1; sysctl -qw net.ipv4.conf.all.rp_filter=0")
			h.send("192.0.2.2:9", "10.80.0.2:9")
			testkit.Eventually(h.t, "a packet is dropped", func() bool {
				n, _ := reversed("/proc/thread-self/net/netstat")
				return n > 0
			})
		}, want: "lan1 may drop what comes … rp_filter=1 … that were dropped … the way to 192.0.2.2 leads by lan0"},
		"an address that went": {port: 8000, change: func(s *State) { s.Ports[0].HostIP = netip.MustParseAddr("192.0.2.77") }, want: "published at 192.0.2.77, which is no address of this host"},
		"a link down":          {port: 8000, host: "ip link set lan0 down", want: "lan0, which has 192.0.2.1, is down"},
		"another link down":    {host: "ip link set lan0 down"},
		"no carrier":           {port: 8000, do: func(h *host) { h.at("client", "ip link set eth0 down") }, want: "lan0, which has 192.0.2.1, is down or has nobody"},
		"the container's link": {host: "ip link set gv-1 down", want: "the host's end gv-1 of its link is down"},
		"the bridge":           {host: "ip link add gw-b type bridge", change: func(s *State) { s.Networks[0].Bridge = "gw-b" }, want: "bridge gw-b is missing or down"},
		"a duplicate":          {host: "ip neigh replace 10.80.0.2 lladdr 02:00:00:00:00:99 dev gw-a", want: "10.80.0.2 is answered for by 02:00:00:00:00:99"},
		"a silent router": {host: "ip link add card type veth peer name cable; ip link set cable up; ip link set card master gw-a up", inside: "ip neigh replace 10.80.0.1 nud failed dev eth0",
			want: "container web: its router 10.80.0.1 does not answer it by card … one hardware address only"},
		"no neighbour": {host: "ip neigh replace 10.80.0.2 nud failed dev gw-a", want: "does not answer when the host asks who has 10.80.0.2"},
	}
}

// plantedLimits are settings and limits of the host.
func plantedLimits() map[string]planted {
	return map[string]planted{
		"forwarding":    {host: "sysctl -qw net.ipv4.ip_forward=0", want: "the host does not forward IPv4 … net.ipv4.ip_forward=1"},
		"a deaf link":   {port: 8000, host: "sysctl -qw net.ipv4.conf.lan0.forwarding=0", want: "lan0 does not forward IPv4 … net.ipv4.conf.lan0.forwarding=1"},
		"a deaf bridge": {host: "sysctl -qw net.ipv4.conf.gw-a.forwarding=0", want: "gw-a does not forward IPv4: what containers answer"},
		"IPv6 forwarding": {host: "sysctl -qw net.ipv6.conf.all.forwarding=0", do: func(h *host) { h.instead("[::]:80") }, change: func(s *State) {
			s.Ports = s.Ports[:1]
			s.Ports[0].ContainerIP, s.Ports[0].HostIP = netip.MustParseAddr("fd80::2"), netip.IPv6Unspecified()
		}, want: "the host does not forward IPv6 … net.ipv6.conf.all.forwarding=1"},
		"a full bridge": {do: fillBridge, want: "bridge gw-a has 923 of 1023 ports … another network"},
		"a full table":  {do: fillTable, want: " entries, and refuses new connections … nf_conntrack_max"},
		"files":         {change: func(s *State) { s.Files = 1000 }, want: "1000 of 1024 files open … LimitNOFILE"},
		"the engine":    {change: func(s *State) { s.Engine = "nobody listens on /run/docker.sock" }, want: "the engine does not answer: nobody listens"},
	}
}

// fillBridge adds 461 pairs, both ends of each as ports.
func fillBridge(h *host) {
	var batch strings.Builder
	for i := range 461 {
		fmt.Fprintf(&batch, "link add a%d master gw-a type veth peer name b%d master gw-a\nlink set b%d master gw-a\n", i, i, i)
	}
	h.run("ip -batch - <<END\n" + batch.String() + "END")
}

// fillTable has the host send a datagram to so many ports of the client that the kernel's
// table of flows is nine tenths full.
func fillTable(h *host) {
	h.run("iptables -A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT; ip neigh replace 192.0.2.2 lladdr 02:00:00:00:00:99 dev lan0")
	limit, err := readNumber("/proc/sys/" + flowLimit)
	if err != nil {
		h.t.Fatal(err)
	}
	for n := 0; n < limit; {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
		if err != nil {
			h.t.Fatal(err)
		}
		for port := 1; port < 1<<16 && n < limit; port++ {
			if unix.Sendto(fd, []byte("x"), 0, &unix.SockaddrInet4{Port: port, Addr: [4]byte{192, 0, 2, 2}}) == nil {
				n++
			}
		}
		unix.Close(fd)
		if have, err := readNumber("/proc/sys/" + flows); err != nil || full(have, limit) {
			return
		}
	}
}

// plantedUnseen are what cannot be looked at: that is said, and nothing is found.
func plantedUnseen() map[string]planted {
	return map[string]planted{
		"no programs":         {bare: true, note: "not looked at: tables of nftables: the program nft is not installed"},
		"a namespace is gone": {change: func(s *State) { s.Endpoints[0].Sandbox = "/run/netns/gone" }, note: "not looked at: container web: open the network namespace"},
		"a container's rules": {port: 8000, inside: "nft add table inet fw; nft 'add chain inet fw in { type filter hook input priority 0; policy drop; }'", bare: true, note: "not looked at: rules of nftables in container web: "},
		"a program":           {host: "tc qdisc add dev lan0 clsact", note: "not looked at: what the programs at lan0 drop … tc filter show dev lan0 ingress"},
		"the daemon's files":  {change: func(s *State) { s.Files = 0 }, note: "not looked at: how many files the daemon has open"},
		"names asked by the host": {change: func(s *State) {
			s.HostAsked = cause.Of(cause.HostAsked, "the host's server of names, 127.0.0.53, is on its loopback, and policies allow *.b.example").Line()
		}, note: "the host's server of names, 127.0.0.53, is on its loopback, and policies allow *.b.example: the engine asks it in the host's own name"},
		"no port filter": {change: func(s *State) { s.Unguarded = "no cls_bpf" }, note: "missing in the kernel: sch_ingress or cls_bpf: containers have no port filter: no cls_bpf"},
		"no protection":  {change: func(s *State) { s.Protection = "none" }, note: "missing in the kernel: tables with an owner (NFT_TABLE_F_OWNER) (Linux 5.12 or newer): isolation is off"},
	}
}
