package integration

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gangway-net/gangway/integration/harness"
)

// traced is one flow, and what gangway trace says of it.
type traced struct {
	name, args string
	// knock, if set, is what somebody outside asks for while the command waits.
	knock string
	// do and undo are done on the engine's host.
	do, undo string
	// drops says that the exit code is 1.
	drops bool
	// words are in what it says.
	words []string
}

// testTrace: the way of a packet is told to its end, and the rule that drops it is named,
// whoever has made it.
func testTrace(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", "--subnet", "10.93.0.0/24")
	e.Network(t, "n2", "--subnet", "10.93.1.0/24")
	e.Network(t, "apart", "--subnet", "10.93.2.0/24", "-o", "com.docker.network.bridge.enable_icc=false")
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("8000:80", "8000:80/udp")}, "tcp", "0.0.0.0:80", "udp", "0.0.0.0:80")
	e.Sleep(t, harness.Container{Name: "near", Network: "n1"})
	e.Sleep(t, harness.Container{Name: "c2", Network: "n2"})
	for _, name := range []string{"lone", "lonely"} {
		e.Serve(t, harness.Container{Name: name, Network: "apart"}, "tcp", "0.0.0.0:80")
	}
	e.Network(t, "direct", "--subnet", "10.93.3.0/24", "-o", "com.docker.network.bridge.gateway_mode_ipv4=routed")
	e.Serve(t, harness.Container{Name: "routed", Network: "direct", Args: publish("8010:80")}, "tcp", "0.0.0.0:80", "tcp", "0.0.0.0:81")
	e.Network(t, "n6", "--ipv6", "--subnet", "fd93::/64", "--subnet", "10.93.4.0/24")
	e.Serve(t, harness.Container{Name: "six", Network: "n6", Args: publish("8020:80", "8020:80/udp")}, "tcp", "[::]:80", "udp", "[::]:80")
	e.Network(t, "n7", "--ipv6", "--subnet", "fd94::/64", "--subnet", "10.93.5.0/24")
	e.Sleep(t, harness.Container{Name: "seven", Network: "n7"})
	for _, h := range []string{"10.93.3.0/24 via 192.0.2.1", "fd93::/64 via 2001:db8::1"} {
		e.LAN.Outside.Run(t, "sh", "-c", "ip route add "+h)
		defer e.LAN.Outside.Run(t, "sh", "-c", "ip route del "+h)
	}
	for _, c := range slices.Concat(traces(e.Address(t, "c1", "n1")), directTraces(e.Address(t, "routed", "direct"), e.Address6(t, "six", "n6"))) {
		t.Run(c.name, func(t *testing.T) {
			if c.do != "" {
				e.Run(t, "sh", "-ec", c.do)
				defer e.Run(t, "sh", "-ec", c.undo)
			}
			out, err := trace(e, c)
			if (err != nil) != c.drops {
				t.Errorf("gangway trace %s: %v, want an exit code of 1: %v", c.args, err, c.drops)
			}
			for _, w := range c.words {
				if !strings.Contains(out, w) {
					t.Errorf("gangway trace %s: no %q in\n%s", c.args, w, out)
				}
			}
			for line := range strings.Lines(out) {
				if utf8.RuneCountInString(line) > 121 {
					t.Errorf("a line of %d columns: %s", utf8.RuneCountInString(line), line)
				}
			}
		})
	}
	if tables := e.Run(t, "nft", "list", "tables"); strings.Contains(tables, "gangway-trace") {
		t.Errorf("tables that are left:\n%s", tables)
	}
	if out, err := e.TryGangway("trace", "c1", "nobody:80"); err == nil || !strings.Contains(err.Error(), "exit status 2") {
		t.Errorf("of a container that is not there: %v, want exit code 2\n%s", err, out)
	}
	var answer struct{ Verdict string }
	out := e.Gangway(t, "trace", "near", "192.0.2.1:8000", "--probe", "--json")
	if err := json.Unmarshal([]byte(out), &answer); err != nil || answer.Verdict != "accepted" {
		t.Errorf("as JSON: %v, verdict %q in\n%s", err, answer.Verdict, out)
	}
}

// trace runs the command, while somebody outside asks again and again.
func trace(e *harness.Engine, c traced) (out string, err error) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		out, err = e.TryGangway(append([]string{"trace"}, strings.Fields(c.args)...)...)
	}()
	for {
		select {
		case <-ended:
			return out, err
		default:
		}
		if c.knock == "" {
			<-ended
			continue
		}
		proto, addr, _ := strings.Cut(c.knock, " ")
		_, _ = e.LAN.Outside.TryGet(proto, addr) // it may be dropped
	}
}

// traces are flows to a container "c1" of that address.
func traces(address string) []traced {
	drop := func(rule string) (do, undo string) {
		return "iptables -I " + rule, "iptables -D " + rule
	}
	user, noUser := drop("DOCKER-USER -p tcp --dport 80 -j DROP")
	raw, noRaw := drop("FORWARD -o gw-+ -p udp --dport 80 -j REJECT")
	foreign := "nft add table inet other; nft 'add chain inet other pre { type filter hook prerouting priority -150; }'; nft add rule inet other pre tcp dport { 22, 8000 } counter drop"
	policy := "nft add table ip other; nft 'add chain ip other onward { type filter hook forward priority 50; policy drop; }'"
	return []traced{
		{name: "published", args: "192.0.2.2 192.0.2.1:8000", knock: "tcp 192.0.2.1:8000",
			words: []string{"from 192.0.2.2, outside", "that c1 on network n1 publishes", "translated to " + address + ":80", "accepted: a published port",
				"a packet from 192.0.2.2:", "its destination is now " + address + ":80", "accepted by all chains, leaves by g"}},
		{name: "published-udp", args: "192.0.2.2 192.0.2.1:8000/udp", knock: "udp 192.0.2.1:8000", words: []string{"accepted by all chains, leaves by g"}},
		{name: "docker-user", args: "192.0.2.2 192.0.2.1:8000", knock: "tcp 192.0.2.1:8000", do: user, undo: noUser, drops: true,
			words: []string{"dropped by ip filter DOCKER-USER rule 1 (", "dport 80 ", "drop)"}},
		{name: "rejected", args: "192.0.2.2 192.0.2.1:8000/udp", knock: "udp 192.0.2.1:8000", do: raw, undo: noRaw, drops: true,
			words: []string{"dropped by ip filter FORWARD rule 1 (", "reject"}},
		{name: "untracked", args: "192.0.2.2 192.0.2.1:8000", knock: "tcp 192.0.2.1:8000", do: "iptables -t raw -I PREROUTING -p tcp --dport 8000 -j CT --notrack",
			undo: "iptables -t raw -D PREROUTING 1", drops: true, words: []string{"raw PREROUTING rule 1 (", "diverted: it goes to 192.0.2.1:8000, and not to " + address + ":80"}},
		{name: "foreign", args: "192.0.2.2 192.0.2.1:8000", knock: "tcp 192.0.2.1:8000", do: foreign, undo: "nft delete table inet other", drops: true,
			words: []string{"dropped by inet other pre rule 1 (tcp dport { 22, 8000 } drop)"}},
		{name: "policy", args: "host " + address + ":80 --probe", do: policy, undo: "nft delete table ip other",
			words: []string{"from the host itself", "accepted by all chains", "answer: the connection was accepted"}},
		{name: "foreign-policy", args: "c2 192.0.2.1:8000 --probe", do: policy, undo: "nft delete table ip other", drops: true,
			words: []string{"dropped by ip other onward, whose policy is drop", "answer: none"}},
		{name: "host", args: "host 127.0.0.1:8000 --probe", words: []string{"source becomes the bridge's address", "its destination is now " + address + ":80", "answer: the connection was accepted"}},
		{name: "hairpin", args: "near 192.0.2.1:8000 --probe", words: []string{"hairpin", "accepted by all chains", "answer: the connection was accepted"}},
		{name: "same-network", args: "near c1:80 --probe", words: []string{"containers of one network reach each other", "accepted by all chains", "answer: the connection was accepted"}},
		{name: "nobody-listens", args: "near c1:81 --probe", words: []string{"accepted by all chains", "answer: refused"}},
		{name: "isolation", args: "c2 c1:80 --probe", drops: true,
			words: []string{"isolation: networks n2 and n1 do not reach each other", "dropped by Gangway's own ", "answer: none"}},
		{name: "no-answer", args: "near 192.0.2.1:8000 --probe", do: "nft add table inet other; nft 'add chain inet other f { type filter hook forward priority 0; }'; nft add rule inet other f tcp sport 80 drop",
			undo: "nft delete table inet other", words: []string{"accepted by all chains", "answer: none", "gangway doctor looks at"}},
		{name: "icc-off", args: "lone lonely:80 --probe", drops: true,
			words: []string{"icc off", "enable_icc=false: containers of network apart reach the host only", "no packet came"}},
		{name: "nothing", args: fmt.Sprintf("192.0.2.2 %s:80 --for 300ms", address), drops: true, words: []string{"no packet came"}},
		{name: "out", args: "c1 192.0.2.2:99 --probe", words: []string{"its source becomes an address of the host", "accepted by all chains, leaves by lan0"}},
	}
}

// directTraces are flows to a container of that address on a network of mode routed, and to
// one with that IPv6 address.
func directTraces(routed, six string) []traced {
	const foreign = "nft add table ip6 other; nft 'add chain ip6 other pre { type filter hook prerouting priority -150; }'; nft add rule ip6 other pre tcp dport 8020 counter drop"
	return []traced{
		{name: "routed", args: "192.0.2.2 " + routed + ":80", knock: "tcp " + routed + ":80",
			words: []string{"mode routed", "accepted: the container publishes the port", "accepted by all chains, leaves by g"}},
		{name: "routed-unpublished", args: "192.0.2.2 " + routed + ":81", knock: "tcp " + routed + ":81", drops: true,
			words: []string{"dropped: in mode routed published ports alone", "does not publish port 81/tcp", "dropped by Gangway's own "}},
		{name: "routed-between", args: "c2 routed:80 --probe", words: []string{"accepted: the container publishes the port", "answer: the connection was accepted"}},
		{name: "published-ipv6", args: "2001:db8::2 [2001:db8::1]:8020", knock: "tcp [2001:db8::1]:8020",
			words: []string{"from 2001:db8::2, outside", "translated to [" + six + "]:80", "its destination is now [" + six + "]:80", "accepted by all chains, leaves by g"}},
		{name: "published-ipv6-udp", args: "2001:db8::2 [2001:db8::1]:8020/udp", knock: "udp [2001:db8::1]:8020", words: []string{"accepted by all chains, leaves by g"}},
		{name: "dropped-ipv6", args: "2001:db8::2 [2001:db8::1]:8020", knock: "tcp [2001:db8::1]:8020", do: foreign, undo: "nft delete table ip6 other", drops: true,
			words: []string{"dropped by ip6 other pre rule 1 (tcp dport 8020 drop)"}},
		{name: "closed-ipv6", args: "2001:db8::2 [" + six + "]:81", knock: "tcp [" + six + "]:81", drops: true, words: []string{"only published ports of network n6", "dropped by Gangway's own "}},
		{name: "isolation-ipv6", args: "seven [" + six + "]:80 --probe", drops: true, words: []string{"isolation: networks n7 and n6", "dropped by Gangway's own ", "answer: none"}},
		{name: "host-ipv6", args: "host [" + six + "]:80 --probe", words: []string{"by their bridge", "answer: the connection was accepted"}},
		{name: "relay-ipv6", args: "host [::1]:8000 --probe", words: []string{"relayed by the daemon", "for a program of the host", "answer: the connection was accepted"}},
		{name: "out-ipv6", args: "six [2001:db8::2]:99 --probe", words: []string{"its source becomes an address of the host", "accepted by all chains, leaves by lan0"}},
	}
}
