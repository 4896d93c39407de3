package doctor

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/plugin"
)

// named has a container with strict names, and a daemon that serves it.
func named(s *State) {
	s.Ports = nil
	s.Serving = plugin.Serving{Questions: 10053, Connections: 10117}
	s.Networks[0].Gateways = []netip.Addr{netip.MustParseAddr("10.80.0.1"), netip.MustParseAddr("fd80::1")}
	s.Endpoints[0].Policy = config.Policy{Egress: config.EgressDeny, Allow: "registry.example:443", Names: config.NamesStrict}
}

// ufw are the rules of a ufw that denies what comes in, as iptables-save shows them, with one of its user. IPv6
// has the same in chains of its own.
const ufw = `
for six in "" 6; do p=ufw$six; to=ip${six}tables; icmp="-p icmp --icmp-type echo-request"
[ -z "$six" ] || icmp="-p ipv6-icmp"
for c in before-input not-local user-input after-input skip-to-policy-input logging-deny; do $to -N $p-$c; done
$to -A INPUT -j $p-before-input; $to -A INPUT -j $p-after-input
$to -A $p-before-input -i lo -j ACCEPT
$to -A $p-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
$to -A $p-before-input -m conntrack --ctstate INVALID -j $p-logging-deny
$to -A $p-before-input -m conntrack --ctstate INVALID -j DROP
$to -A $p-before-input $icmp -j ACCEPT
[ -n "$six" ] || $to -A $p-before-input -j $p-not-local
for type in LOCAL MULTICAST; do $to -A $p-not-local -m addrtype --dst-type $type -j RETURN; done
$to -A $p-not-local -m limit --limit 3/min --limit-burst 10 -j $p-logging-deny
$to -A $p-not-local -j DROP
$to -A $p-before-input -j $p-user-input
$to -A $p-after-input -p udp --dport 137 -j $p-skip-to-policy-input
$to -A $p-skip-to-policy-input -j DROP
$to -A $p-user-input USER
$to -P INPUT DROP; done`

func ufwWith(rule string) string { return strings.Replace(ufw, "USER", rule, 1) }

// ownTable is a table as docs/firewalls.md has it, with a rule beside.
func ownTable(rule string) string {
	return "nft add table inet filter; nft 'add chain inet filter input { type filter hook input priority filter; policy drop; }'; for r in 'ct state established,related accept' 'iif lo accept' " +
		"'meta l4proto ipv6-icmp accept' 'iifgroup 18263 udp dport 53 accept' '" + rule + "'; do nft add rule inet filter input $r; done"
}

// plantedNames are rules of others between containers whose policy has names and the daemon.
func plantedNames() map[string]planted {
	const docs = "see docs/firewalls.md#names-in-policies"
	all := map[string]planted{
		"names, and no rules": {},
		"names, ufw": {host: ufwWith("-p tcp --dport 22 -j ACCEPT"), more: true,
			want: "iptables filter INPUT, whose policy is drop, drops what containers send to the daemon by gw-a: udp port 10053 (names), tcp port 10053 (names), tcp port 10117 (strict names): let it accept that from gw-a, " + docs},
		"names, ufw with port 53": {host: ufwWith("-p udp --dport 53 -j ACCEPT"), more: true, want: "iptables filter INPUT, whose policy is drop, drops what containers send"},
		"names, ufw with all":     {host: strings.Replace(ufw, "USER", "-p udp --dport 10053:10180 -i gw-a -j ACCEPT; $to -A $p-user-input -p tcp --dport 10053:10180 -i gw-a -j ACCEPT", 1)},
		"names, a table":          {host: ownTable("tcp dport 22 accept"), want: "table inet filter chain input, whose policy is drop, drops what containers send to the daemon by gw-a: udp port 10053 (names)"},
		"names, a table with all": {host: ownTable("iifgroup 18263 th dport 10053-10180 accept")},
		"names, a table by type":  {host: ownTable("fib daddr type local th dport 10053-10180 accept")},
		"names, a table with UDP": {host: ownTable("iifname gw-a udp dport 10053-10180 accept"), want: "drops what containers send to the daemon by gw-a: tcp port 10053 (names), tcp port 10117 (strict names)"},
		"names, of IPv6": {host: "ip6tables -A INPUT -p tcp --dport 10117 -j REJECT", want: "ip6tables filter INPUT rule 1 drops what containers send to the daemon by gw-a: tcp port 10117 (strict names): " +
			"change that rule (-p tcp -m tcp --dport 10117 -j REJECT --reject-with icmp6-port-unreachable), or accept that before it, " + docs},
		"names, by source":         {host: "iptables -A INPUT -s 10.80.0.0/24 -j DROP", want: "iptables filter INPUT rule 1 drops what containers send to the daemon"},
		"names, by another source": {host: "iptables -A INPUT -s 10.81.0.0/24 -j DROP; iptables -A INPUT -i gw-b -j DROP"},
		"names, answers": {host: "iptables -P OUTPUT DROP; iptables -A OUTPUT -o lan0 -j ACCEPT", want: "iptables filter OUTPUT, whose policy is drop, drops what the daemon answers containers by gw-a: " +
			"udp port 10053 (names), tcp port 10053 (names), tcp port 10117 (strict names): let it accept that to gw-a, " + docs},
		"names, answers by state": {host: "iptables -P OUTPUT DROP; iptables -A OUTPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT"},
		"names, maybe":            {host: "iptables -A INPUT -i gw-a -m mark --mark 7 -j DROP"},
		"names, untracked":        {host: "iptables -t raw -A PREROUTING -p udp --dport 53 -j CT --notrack", want: "iptables raw PREROUTING rule 1 leaves untracked, and so not redirected, what containers send to the daemon by gw-a: udp port 10053 (names)"},
	}
	for name, c := range all {
		c.change = named
		all[name] = c
	}
	return all
}

// TestServed: where doctor finds nothing between containers and the daemon, they reach it, and where it finds
// something, there is something that they do not reach.
func TestServed(t *testing.T) {
	for name, c := range plantedNames() {
		if strings.Contains(name, "untracked") {
			continue // nothing is redirected here
		}
		t.Run(name, func(t *testing.T) {
			onHost(t, func(h *host) {
				h.run("ip link set gw-a group 18263")
				stop := answering(t)
				defer stop()
				all := []string{"tcp 10.80.0.1:10053", "tcp 10.80.0.1:10117", "udp 10.80.0.1:10053", "tcp [fd80::1]:10053", "tcp [fd80::1]:10117", "udp [fd80::1]:10053"}
				if wrong := h.unanswered(all); len(wrong) > 0 {
					t.Fatalf("without rules %s does not answer", wrong)
				}
				if c.host != "" {
					h.run(c.host)
				}
				if got := h.unanswered(all); len(got) > 0 != (c.want != "") {
					t.Errorf("these do not answer: %q, and doctor finds %q", got, c.want)
				}
			})
		})
	}
}

// answering answers at the daemon's ports.
func answering(t *testing.T) (stop func()) {
	t.Helper()
	var ends []func()
	for _, at := range []string{":10053", ":10117"} {
		l, err := net.Listen("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, func() { l.Close() })
	}
	for _, family := range []string{"udp4", "udp6"} {
		c, err := net.ListenPacket(family, ":10053")
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, func() { c.Close() })
		go func() {
			text := make([]byte, 16)
			for {
				n, from, err := c.ReadFrom(text)
				if err != nil {
					return
				}
				_, _ = c.WriteTo(text[:n], from)
			}
		}()
	}
	return func() {
		for _, end := range ends {
			end()
		}
	}
}

// unanswered are those that the container asks and gets no answer of.
func (h *host) unanswered(all []string) (none []string) {
	failed := make(chan string, len(all))
	for _, one := range all {
		go func() { failed <- h.ask(one) }()
	}
	for range all {
		if one := <-failed; one != "" {
			none = append(none, one)
		}
	}
	return none
}

// ask returns what it asks, and why there is no answer.
func (h *host) ask(one string) (failed string) {
	ctx, cancel := context.WithTimeout(h.t.Context(), 2*time.Second)
	defer cancel()
	proto, at, _ := strings.Cut(one, " ")
	h.in(h.container, func() error {
		c, err := new(net.Dialer).DialContext(ctx, proto, at)
		if err == nil {
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(2 * time.Second))
			if proto == "udp" {
				if _, err = c.Write([]byte("x")); err == nil {
					_, err = c.Read(make([]byte, 1))
				}
			}
		}
		if err != nil {
			failed = fmt.Sprintf("%s: %v", one, err)
		}
		return nil
	})
	return failed
}
