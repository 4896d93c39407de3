package integration

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/harness"
)

// policyEar notes what arrives at a node, by the numbers of packets. On the engine's host that
// is what comes from networks of gangway to the host, and to a published port.
const policyEar = `nft -f - <<'EOF'
table inet ear {
	set seen4 { typeof ip id; flags dynamic; size 65535; }
	set seen6 { typeof ip6 flowlabel; flags dynamic; size 65535; }
	chain note {
		add @seen4 { ip id }
		add @seen6 { ip6 flowlabel }
	}
	chain heard { type filter hook %s; %s jump note; }
	chain published { type filter hook forward priority 400; udp dport 7474 jump note; }
}
EOF`

func hearHost(t *testing.T, e *harness.Engine) {
	t.Helper()
	e.Run(t, "sh", "-c", fmt.Sprintf(policyEar, "input priority 400", `iifname "gw-*"`))
}

// hostileRoom is a container that tries everything.
type hostileRoom struct {
	t         *testing.T
	e         *harness.Engine
	container string
	// frame begins each frame to the gateway.
	frame []byte
	own   map[bool]netip.Addr
	// addresses are whom it tries, by name.
	addresses map[string]netip.Addr
	// next is the number of the last packet, of all rooms.
	next *uint16
}

// newHostileRoom starts the container on a network, attached to it as docker run is told.
func newHostileRoom(t *testing.T, e *harness.Engine, network, container, attach string, next *uint16) *hostileRoom {
	t.Helper()
	e.Sleep(t, harness.Container{Name: container, Network: attach, Args: []string{"--cap-add", "NET_ADMIN", "--cap-add", "NET_RAW"}})
	bridge := bridgeOf(t, e, network)
	gateway, err := net.ParseMAC(strings.TrimSpace(e.Run(t, "cat", "/sys/class/net/"+bridge+"/address")))
	if err != nil {
		t.Fatal(err)
	}
	parse := netip.MustParseAddr
	r := &hostileRoom{t: t, e: e, container: container, frame: slices.Concat(gateway, macOf(t, e, container)), next: next}
	r.own = map[bool]netip.Addr{false: parse(e.Address(t, container, network)), true: parse(e.Address6(t, container, network))}
	four, six := r.own[false].As4(), r.own[true].As16()
	last := four
	four[3], last[3], six[15] = 1, 255, 1
	local := strings.Fields(e.Run(t, "ip", "-6", "-o", "addr", "show", "dev", bridge, "scope", "link"))
	r.addresses = map[string]netip.Addr{
		"outside": parse("192.0.2.2"), "outside6": parse("2001:db8::2"), "metadata": parse("169.254.169.254"), "private": parse("172.31.7.7"),
		"mapped": parse("::ffff:192.0.2.2"), "6to4": parse("2002:c000:202::1"), "NAT64": parse("64:ff9b::c000:202"),
		"gateway": netip.AddrFrom4(four), "gateway6": netip.AddrFrom16(six), "host": parse(harness.LanIPv4), "host6": parse(harness.LanIPv6),
		"other gateway": parse("10.79.0.1"), "other gateway6": parse("fd00:79::1"), "link-local": netip.MustParsePrefix(local[3]).Addr(),
		"other container": parse(e.Address(t, "published", "n4")), "loopback": parse("127.0.0.1"),
		"everybody": parse("224.0.0.1"), "everybody6": parse("ff02::1"), "subnet": netip.AddrFrom4(last),
	}
	return r
}

// try sends all ways out at once, and says of each whether it arrived.
func (r *hostileRoom) try(ways []way) (arrived []bool) {
	r.t.Helper()
	var script strings.Builder
	numbers := make([]uint16, len(ways))
	for i, w := range ways {
		*r.next++
		numbers[i] = *r.next
		to := r.addresses[w.to]
		out := wayOut{from: r.own[to.Is6()], to: to, foreign: netip.MustParseAddr("203.0.113.7"), number: *r.next}
		kind := []byte{0x08, 0x00}
		if to.Is6() {
			out.foreign, kind = netip.MustParseAddr("2001:db8:7::7"), []byte{0x86, 0xdd}
		}
		for _, p := range w.packets(out) {
			head := slices.Concat(r.frame, kind)
			if w.wire != nil {
				head = w.wire(r.frame, kind)
			}
			fmt.Fprintln(&script, "probe send eth0", hex.EncodeToString(slices.Concat(head, stamped(p, numbers[i]))))
		}
	}
	r.e.Exec(r.t, r.container, "sh", "-c", script.String())
	const list = "nft -n list set inet ear seen4; nft -n list set inet ear seen6"
	seen := map[string]bool{}
	for _, word := range strings.FieldsFunc(r.e.LAN.Outside.Run(r.t, "sh", "-c", list)+r.e.Run(r.t, "sh", "-c", list),
		func(c rune) bool { return strings.ContainsRune(" \t\n,{}", c) }) {
		seen[word] = true
	}
	for _, n := range numbers {
		arrived = append(arrived, seen[fmt.Sprint(n)] || seen[fmt.Sprintf("%#x", n)] || seen[fmt.Sprintf("%#05x", n)])
	}
	return arrived
}

// wrong are the ways of which not all that is allowed arrives, or anything else.
func (r *hostileRoom) wrong(ways []way) (all []string) {
	r.t.Helper()
	for i, arrived := range r.try(ways) {
		if w := ways[i]; arrived != w.allowed {
			all = append(all, fmt.Sprintf("%s to %s arrives: %t", w.name, w.to, arrived))
		}
	}
	return all
}

func (r *hostileRoom) shut(what string, ways []way) {
	r.t.Helper()
	for _, line := range r.wrong(ways) {
		r.t.Errorf("%s: %s: %s", r.container, what, line)
	}
}

// testPolicy: a container that may do all to its own network tries all ways out of a network that allows
// one destination, and as one that is allowed no more on an open network; from an open one
// the same arrive. Policies hold while the daemon is down, and after a flush of the rules.
func testPolicy(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", dual(e, "10.74.0.0/24", "fd00:74::/64")...)
	words := []string{"gangway.egress=deny", "gangway.egress.allow=192.0.2.0/24:8443/tcp", "gangway.host=none"}
	var options []string
	attach := "name=n3"
	for _, w := range words {
		attach += ",driver-opt=" + w
		if strings.HasPrefix(w, "gangway.egress.allow") {
			w += ",[2001:db8::/64]:8443/tcp"
		}
		options = append(options, "-o", w)
	}
	e.Network(t, "n2", append(dual(e, "10.75.0.0/24", "fd00:75::/64"), options...)...)
	e.Network(t, "n3", dual(e, "10.76.0.0/24", "fd00:76::/64")...)
	e.Network(t, "n4", dual(e, "10.79.0.0/24", "fd00:79::/64")...)
	e.Sleep(t, harness.Container{Name: "published", Network: "n4", Args: publish("7400:7474/udp")})
	e.Network(t, "n5", "--subnet", "10.80.0.0/24")
	e.Sleep(t, harness.Container{Name: "relayed", Network: "n5", Args: publish("7401:7401")})
	for route, via := range map[string]string{
		"169.254.169.254/32": "192.0.2.2", "172.31.0.0/16": "192.0.2.2", "2002::/16": "2001:db8::2", "64:ff9b::/96": "2001:db8::2", "::ffff:0:0/96": "2001:db8::2",
	} {
		e.Run(t, "ip", "route", "replace", route, "via", via)
		t.Cleanup(func() { e.Run(t, "ip", "route", "del", route) })
	}
	e.LAN.Outside.Run(t, "sh", "-c", fmt.Sprintf(policyEar, "prerouting priority -450", ""))
	t.Cleanup(func() { e.LAN.Outside.Run(t, "nft", "delete table inet ear") })
	hearHost(t, e)
	t.Cleanup(func() { e.Run(t, "nft", "delete table inet ear") })

	next := uint16(1000)
	ways := waysOut()
	for i, arrived := range newHostileRoom(t, e, "n1", "open", "n1", &next).try(ways) {
		if w := ways[i]; arrived == w.nowhere {
			t.Errorf("from an open network: %s to %s arrives: %t", w.name, w.to, arrived)
		}
	}
	shut := newHostileRoom(t, e, "n2", "shut", "n2", &next)
	shut.shut("a network's policy", ways)
	own := newHostileRoom(t, e, "n3", "own", attach, &next)
	only4 := slices.Clone(ways) // a list cannot be told to docker run here
	for i := range only4 {
		only4[i].allowed = only4[i].allowed && only4[i].to == "outside"
	}
	own.shut("a container's policy", only4)
	policyTold(t, e)
	policyHeld(t, e, shut, ways)
}

// policyTold: what is refused is told to who asks, at once, and counted; and what does not
// hold is refused by name.
func policyTold(t *testing.T, e *harness.Engine) {
	t.Helper()
	start := time.Now()
	if _, err := e.Inside("shut").TryGet("tcp", "192.0.2.2:443", "-timeout", "60s"); err == nil || time.Since(start) > 50*time.Second {
		t.Errorf("a refused connection ends after %s (%v)", time.Since(start), err)
	}
	harness.Eventually(t, "what was refused", func() error {
		list := e.Gangway(t, "drops", "--format", "{{.Network}} {{.Container}} {{.Reason}} {{.By}}.")
		for _, want := range []string{
			"n2 shut policy gangway.egress=deny of network n2.", "n2 shut policy gangway.host=none of network n2.",
			"n3 own policy gangway.egress=deny of container own.", "n2 - policy source of network n2.",
		} {
			if !strings.Contains(list, want) {
				return fmt.Errorf("no %q in\n%s", want, list)
			}
		}
		return nil
	})
	policyDecided(t, e)
	e.Network(t, "locked", "-o", "gangway.lock=true", "--subnet", "10.77.0.0/24")
	e.Refused(t, []string{"gangway.lock"}, "run", "--rm", "--network", "name=locked,driver-opt=gangway.egress=open", harness.Image, "true")
}

// policyDecided: each entry has counted what it let pass, or refused; and what is asked for says
// whose.
func policyDecided(t *testing.T, e *harness.Engine) {
	t.Helper()
	counted := func(what string) map[string]int {
		all := map[string]int{}
		for _, line := range strings.Split(strings.TrimSpace(e.Gangway(t, "decisions", what, "--format", "{{.Network}} {{.Container}} {{.Entry}} {{.Verdict}}\t{{.Packets}}")), "\n") {
			words, number, _ := strings.Cut(line, "\t")
			n, err := strconv.Atoi(number)
			if err != nil {
				t.Fatalf("gangway decisions prints %q", line)
			}
			all[words] = n
		}
		return all
	}
	for container, entries := range map[string][]string{
		"own": {"n3 own gangway.egress.allow=192.0.2.0/24:8443/tcp passed", "n3 own gangway.egress=deny refused", "n3 own gangway.host=none refused"},
		"shut": {"n2 - gangway.egress.allow=192.0.2.0/24:8443/tcp passed", "n2 - gangway.egress.allow=[2001:db8::/64]:8443/tcp passed", "n2 - gangway.egress=deny refused",
			"n2 - gangway.host=none refused"},
	} {
		before := counted(container)
		if len(before) != len(entries) {
			t.Errorf("%s: entries %v, want %q", container, before, entries)
		}
		for _, entry := range entries {
			if before[entry] == 0 {
				t.Errorf("%s: %s has decided nothing: %v", container, entry, before)
			}
		}
		// One more connection to the host is one more packet of the entry that refuses it, and of
		// none that lets anything pass.
		if _, err := e.Inside(container).TryGet("tcp", "192.0.2.1:444"); err == nil {
			t.Errorf("%s reaches the host", container)
		}
		for entry, n := range counted(container) {
			more, passes := strings.Contains(entry, "gangway.host"), strings.HasSuffix(entry, "passed")
			if n < before[entry] || more && n == before[entry] || passes && n > before[entry] {
				t.Errorf("%s: %s has decided %d times, and %d before", container, entry, n, before[entry])
			}
		}
	}
}

// policyHeld: nothing opens while the daemon is down or comes back, or while rules are flushed.
func policyHeld(t *testing.T, e *harness.Engine, r *hostileRoom, ways []way) {
	t.Helper()
	ways = slices.DeleteFunc(slices.Clone(ways), func(w way) bool { return !strings.HasPrefix(w.to, "outside") })
	back := killGangway(t, e)
	r.shut("while the daemon is down, or comes back", ways)
	back()
	r.shut("after a restart", ways)
	flushGangway(t, e)
	// What is allowed may be gone for a moment.
	closed := slices.DeleteFunc(slices.Clone(ways), func(w way) bool { return w.allowed })
	r.shut("after a flush", closed)
	harness.Eventually(t, "the rules to be back", func() error {
		if wrong := r.wrong(ways); len(wrong) > 0 {
			return errors.New(strings.Join(wrong, "; "))
		}
		return nil
	})
}

// flushGangway takes away all of Gangway's rules that somebody can take away.
func flushGangway(t *testing.T, e *harness.Engine) {
	t.Helper()
	e.Run(t, "sh", "-c", `for t in gangway gangway-policy; do nft delete table inet $t 2>/dev/null; done
		for i in iptables ip6tables; do for t in raw nat filter; do
			for c in $($i -t $t -S | sed -n 's/^-N \(GANGWAY[^ ]*\).*/\1/p'); do $i -t $t -F $c; done
		done; done; true`)
}
