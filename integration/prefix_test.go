package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// The prefixes that the host is delegated, one after the other, and what of each is the network's.
const (
	prefixToday, outsideToday       = "2001:db8:1200::/56", "2001:db8:1200:ff::"
	prefixTomorrow, outsideTomorrow = "2001:db8:2200:40::/60", "2001:db8:2200:4f::"
)

// testIPv6Prefix: containers keep their addresses, and are known outside by those of the prefix that the host
// has: what they send is answered there, and published ports are reached there, and nothing else. Another prefix takes the
// place of the first while packets are under way, and none closes the network. It holds over restarts and damage.
func testIPv6Prefix(t *testing.T, e *harness.Engine) {
	p := prefixed{t, e}
	p.world()
	p.delegated(prefixToday)
	e.Network(t, "n1", append(dual(e, "10.77.0.0/24", "fd00:77::/64"), "-o", "gangway.ipv6=prefix")...)
	e.Network(t, "n2", dual(e, "10.78.0.0/24", "fd00:78::/64")...)
	c1 := harness.Container{Name: "c1", Network: "n1", Args: []string{"--ip6", "fd00:77::100", "-p", "8000:80", "-p", "5353:53/udp"}}
	e.Serve(t, c1, "tcp", "[::]:80", "udp", "[::]:53", "tcp", "[::]:81")
	e.Sleep(t, harness.Container{Name: "c2", Network: "n1"})
	e.Sleep(t, harness.Container{Name: "other", Network: "n2"})
	p.holds("at first", outsideToday)
	p.shown(outsideToday)

	stream, row := e.StreamInside(t, "c1", p.world6()), e.RepeatInside(t, "c2", "tcp", p.world6())
	p.delegated(prefixTomorrow)
	p.becomes("renumbered", outsideTomorrow)
	stream.Broken(t) // what it sends now is nobody's who was asked before
	p.holds("renumbered", outsideTomorrow)
	if err := fails(e.LAN.Outside.Prober, "tcp", "["+outsideToday+"100]:80"); err != nil {
		t.Errorf("the address of before: %v", err)
	}
	if q := row.Row(t); len(q) == 0 || !q[0].Answered || !q[len(q)-1].Answered {
		t.Errorf("questions while the prefix changed: %v", q)
	}

	p.delegated("")
	harness.Eventually(t, "without a prefix", func() error {
		return fails(e.Inside("c1"), "tcp", p.world6())
	})
	together(
		func() { e.Inside("c1").Unreachable(t, "tcp", p.world6()) },
		func() { e.Inside("c1").Unreachable(t, "udp", p.world6()) })
	by(t, "IPv4 without a prefix", e.Inside("c1").Get(t, "tcp", e.LAN.Outside.IPv4+":99"), "outside")
	by(t, "a published port without a prefix", e.LAN.Outside.Get(t, "tcp", "["+harness.LanIPv6+"]:8000"), "c1")
	p.told("the host has no delegated prefix for it", true)
	p.restarted("without a prefix")
	e.Inside("c1").Unreachable(t, "tcp", p.world6())

	p.delegated(prefixToday)
	p.becomes("once more", outsideToday)
	p.holds("once more", outsideToday)
	p.told("the host has no delegated prefix for it", false)
	p.restarted("with a prefix")
	p.holds("after a restart", outsideToday)
	p.heals()
	if got := p.came("inside"); got != 0 {
		t.Errorf("%d packets left with an address of inside", got)
	}
	if p.came("today") == 0 || p.came("tomorrow") == 0 {
		t.Error("nothing was counted: the count shows nothing")
	}
	p.beganWithout()
	p.refused()
}

// prefixed is the scenario.
type prefixed struct {
	t *testing.T
	e *harness.Engine
}

func (p prefixed) world6() string { return "[" + p.e.LAN.Outside.IPv6 + "]:99" }

// world has the host outside send what is for the prefixes to the engine's host, and count what comes by its source.
func (p prefixed) world() {
	p.t.Helper()
	out := p.e.LAN.Outside
	for _, to := range []string{prefixToday, prefixTomorrow, "fd00:77::/64"} {
		out.Run(p.t, "ip", "-6", "route", "add", to, "via", harness.LanIPv6)
		p.t.Cleanup(func() { out.Run(p.t, "ip", "-6", "route", "del", to) })
	}
	out.Run(p.t, "nft", `table inet sources {
		counter inside {
		}
		counter today {
		}
		counter tomorrow {
		}
		chain in {
			type filter hook prerouting priority -300;
			iifname "lan0" ip6 saddr fd00:77::/64 counter name inside
			iifname "lan0" ip6 saddr `+outsideToday+`/64 counter name today
			iifname "lan0" ip6 saddr `+outsideTomorrow+`/64 counter name tomorrow
		}
		}`)
	p.t.Cleanup(func() { out.Run(p.t, "nft", "delete", "table", "inet", "sources") })
	out.Serve(p.t, "tcp", "[::]:99", "udp", "[::]:99")
}

func (p prefixed) came(counter string) (packets int) {
	p.t.Helper()
	text := p.e.LAN.Outside.Run(p.t, "nft", "list", "counter", "inet", "sources", counter)
	_, rest, _ := strings.Cut(text, "packets ")
	if _, err := fmt.Sscan(rest, &packets); err != nil {
		p.t.Fatalf("counter %s: %s", counter, text)
	}
	return packets
}

// delegated gives the host a prefix, or none, as a DHCPv6 client does.
func (p prefixed) delegated(prefix string) {
	p.t.Helper()
	p.e.Run(p.t, "sh", "-c", "ip -6 route flush type unreachable proto dhcp; true")
	if prefix != "" {
		p.e.Run(p.t, "ip", "-6", "route", "add", "unreachable", prefix, "proto", "dhcp", "metric", "1024")
	}
	p.t.Cleanup(func() { p.e.Run(p.t, "sh", "-c", "ip -6 route flush type unreachable proto dhcp; true") })
}

// fails says whether somebody answers who must not.
func fails(p *harness.Prober, proto, addr string) error {
	if a, err := p.TryGet(proto, addr, "-timeout", "700ms"); err == nil {
		return fmt.Errorf("%s %s answers: %s", proto, addr, a)
	}
	return nil
}

// becomes waits until what begins now has an address of a prefix.
func (p prefixed) becomes(when, outside string) {
	p.t.Helper()
	harness.Eventually(p.t, when, func() error {
		a, err := p.e.Inside("c1").TryGet("tcp", p.world6())
		if err == nil && a.Client.Addr().String() != outside+"100" {
			err = fmt.Errorf("asked as %s", a.Client)
		}
		return err
	})
}

// holds wants all that a prefix is for, and nothing else.
func (p prefixed) holds(when, outside string) {
	p.t.Helper()
	t, e := p.t, p.e
	at := "[" + outside + "100]"
	from(t, when+": out", e.Inside("c1").Get(t, "tcp", p.world6()), "outside", outside+"100")
	from(t, when+": out, UDP", e.Inside("c1").Get(t, "udp", p.world6()), "outside", outside+"100")
	from(t, when+": in", e.LAN.Outside.Get(t, "tcp", at+":80"), "c1", e.LAN.Outside.IPv6)
	from(t, when+": in, UDP", e.LAN.Outside.Get(t, "udp", at+":53"), "c1", e.LAN.Outside.IPv6)
	from(t, when+": by the host's address", e.LAN.Outside.Get(t, "tcp", "["+harness.LanIPv6+"]:8000"), "c1", e.LAN.Outside.IPv6)
	by(t, when+": from beside", e.Inside("c2").Get(t, "tcp", at+":80"), "c1")
	by(t, when+": from itself", e.Inside("c1").Get(t, "tcp", at+":80"), "c1")
	from(t, when+": from another network", e.Inside("other").Get(t, "tcp", at+":80"), "c1", e.Address6(t, "other", "n2"))
	from(t, when+": within", e.Inside("c2").Get(t, "tcp", "[fd00:77::100]:81"), "c1", e.Address6(t, "c2", "n1"))
	by(t, when+": by the host", e.Get(t, "tcp", "[fd00:77::100]:81"), "c1")
	closed := func(place string, who *harness.Prober, to string) func() {
		return func() {
			if err := fails(who, "tcp", to); err != nil {
				t.Errorf("%s: from %s %v", when, place, err)
			}
		}
	}
	out := e.LAN.Outside.Prober
	together(closed("outside", out, at+":81"), closed("outside", out, at+":8000"), closed("outside", out, "[fd00:77::100]:80"),
		closed("another network", e.Inside("other"), "[fd00:77::100]:80"))
}

// shown wants the translation in what Gangway shows.
func (p prefixed) shown(outside string) {
	p.t.Helper()
	if got := strings.TrimSpace(p.e.Gangway(p.t, "networks", "n1", "--format", "{{.Outside}}")); got != outside+"/64" {
		p.t.Errorf("gangway networks says %s", got)
	}
	for _, c := range []struct{ want, args string }{
		{"[" + outside + "100]", "ports c1"},
		{"in " + outside + "/64 (gangway.ipv6=prefix)", "trace c1 " + p.world6()},
		{"is translated to [fd00:77::100]:80", "trace " + p.e.LAN.Outside.IPv6 + " [" + outside + "100]:80"},
	} {
		if got, _ := p.e.TryGangway(strings.Fields(c.args)...); !strings.Contains(got, strings.Trim(c.want, "[]")) && !strings.Contains(got, c.want) {
			p.t.Errorf("gangway %s does not say %q:\n%s", c.args, c.want, got)
		}
	}
}

// told says whether gangway status names a cause.
func (p prefixed) told(cause string, want bool) {
	p.t.Helper()
	harness.Eventually(p.t, "gangway status", func() error {
		text, err := p.e.TryGangway("status")
		if strings.Contains(text, cause) != want {
			return fmt.Errorf("want it named %t (%w):\n%s", want, err, text)
		}
		return nil
	})
}

// restarted kills the daemon, where it is not a plugin's, and starts it again.
func (p prefixed) restarted(when string) {
	p.t.Helper()
	if p.e.Driver != string(harness.Daemon) {
		p.e.KillPlugin(p.t)
		return
	}
	p.e.KillGangway(p.t)
	p.e.StartGangway(p.t)
}

// heals has somebody take the rules away.
func (p prefixed) heals() {
	p.t.Helper()
	for _, damage := range []string{"nft flush table inet gangway", "ip6tables -t nat -F GANGWAY-OUTWARD", "ip6tables -t nat -F GANGWAY-INWARD"} {
		_, _ = p.e.Try("sh", "-c", damage) // of the other backend, or a table that nobody else may change
		p.becomes("after "+damage, outsideToday)
		harness.Eventually(p.t, "in after "+damage, func() error {
			_, err := p.e.LAN.Outside.TryGet("tcp", "["+outsideToday+"100]:80")
			return err
		})
	}
}

// beganWithout: a flow that began while the rules were damaged and no daemon ran is translated once they are back.
func (p prefixed) beganWithout() {
	p.t.Helper()
	if p.e.Driver != string(harness.Daemon) {
		return // the engine starts it again at once
	}
	ask := func() (harness.Answer, error) {
		return p.e.Inside("c1").TryGet("udp", p.world6(), "-from", "[fd00:77::100]:5555", "-timeout", "1s")
	}
	p.e.KillGangway(p.t)
	p.e.Run(p.t, "sh", "-c", "nft flush map inet gangway outside6 || ip6tables -t nat -F GANGWAY-OUTWARD")
	if a, err := ask(); err != nil || a.Client.Addr().String() != "fd00:77::100" || p.came("inside") == 0 {
		p.t.Errorf("without rules: %v, %v: nothing is shown by what follows", a, err)
	}
	p.e.StartGangway(p.t)
	harness.Eventually(p.t, "a flow that began without rules", func() error {
		a, err := ask()
		if err == nil && a.Client.Addr().String() != outsideToday+"100" {
			err = fmt.Errorf("asked as %s", a.Client)
		}
		return err
	})
}

// refused are networks that can be none of the kind.
func (p prefixed) refused() {
	p.t.Helper()
	create := func(words string, options ...string) {
		p.t.Helper()
		p.e.Refused(p.t, []string{words}, append([]string{"network", "create", "-d", p.e.Driver, "-o", "gangway.ipv6=prefix", "--subnet", "10.79.0.0/24"}, options...)...)
	}
	create("add --ipv6", "no")
	create("is not below fc00::/7", "--ipv6", "--subnet", "2001:db8:79::/64", "no")
	create("has this subnet of the prefix", "--ipv6", "--subnet", "fd00:79::/64", "no")
	create("leave com.docker.network.bridge.gateway_mode_ipv6 out", "--ipv6", "--subnet", "fd00:79::/64", "-o", "com.docker.network.bridge.gateway_mode_ipv6=routed", "no")
}
