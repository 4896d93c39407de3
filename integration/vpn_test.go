package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// The world is behind the host outside, and reached by its end of the tunnel as well as by the LAN. What comes there
// by the LAN, but for the tunnel itself, has leaked.
const (
	world4, world6 = "198.51.100.7", "2001:db8:99::7"
	tunnelPort     = "5555"
)

// theWorld gives it to the host outside, with servers and counters, and has the engine's host know the way by the LAN.
func theWorld(t *testing.T, e *harness.Engine, subnet string) {
	t.Helper()
	out := e.LAN.Outside
	lanAddress(t, out, "lo", world4+"/32", world6+"/128")
	for _, route := range []string{"198.51.100.0/24 via " + out.IPv4, "2001:db8:99::/64 via " + out.IPv6} {
		e.Run(t, append([]string{"ip", "route", "add"}, strings.Fields(route)...)...)
		t.Cleanup(func() { e.Run(t, append([]string{"ip", "route", "del"}, strings.Fields(route)...)...) })
	}
	out.Run(t, "nft", `table inet leak {
		counter lan {
		}
		counter names {
		}
		chain in {
			type filter hook prerouting priority -300;
			iifname "lan0" ip daddr 198.51.100.0/24 counter name lan
			iifname "lan0" ip6 daddr 2001:db8:99::/64 counter name lan
			iifname "lan0" udp dport { 53, 853, 5353 } counter name lan
			iifname "vpn0" udp dport 53 counter name names
		}
		}`)
	t.Cleanup(func() { out.Run(t, "nft", "delete", "table", "inet", "leak") })
	out.Tunnel(t, "vpn0", "10.99.0.1/30", ":"+tunnelPort, subnet+" dev vpn0")
	out.Serve(t, "tcp", "[::]:99", "udp", "[::]:53", "udp", "[::]:99")
}

// came is how many packets a counter of the host outside has.
func came(t *testing.T, e *harness.Engine, counter string) (packets int) {
	t.Helper()
	text := e.LAN.Outside.Run(t, "nft", "list", "counter", "inet", "leak", counter)
	_, rest, _ := strings.Cut(text, "packets ")
	if _, err := fmt.Sscan(rest, &packets); err != nil {
		t.Fatalf("counter %s: %s", counter, text)
	}
	return packets
}

// vpnContainer is a container that carries all that it gets through the tunnel, but for the tunnel itself.
func vpnContainer(t *testing.T, e *harness.Engine, name, network string, more ...string) {
	t.Helper()
	e.Start(t, harness.Container{Name: name, Network: network, Args: args([]string{
		"--cap-add", "NET_ADMIN", "--device", "/dev/net/tun", "--sysctl", "net.ipv4.ip_forward=1", "--restart", "no",
	}, more)}, "probe", "tunnel", "tun0", "10.99.0.2/30", e.LAN.Outside.IPv4+":"+tunnelPort,
		e.LAN.Outside.IPv4+" via 10.88.0.1,0.0.0.0/1 dev tun0,128.0.0.0/1 dev tun0")
	e.Serving(t, name)
}

// hidden is the container c1 behind a gateway.
type hidden struct {
	t *testing.T
	e *harness.Engine
	// own is its address.
	own string
}

// through wants it to reach the world, with its own address: that is by the tunnel.
func (h hidden) through(when string) {
	h.t.Helper()
	harness.Eventually(h.t, when, func() error {
		_, err := h.e.Inside("c1").TryGet("tcp", world4+":99", "-timeout", "1s")
		return err
	})
	from(h.t, when, h.e.Inside("c1").Get(h.t, "tcp", world4+":99"), "outside", h.own)
	from(h.t, when+", UDP", h.e.Inside("c1").Get(h.t, "udp", world4+":99"), "outside", h.own)
	h.e.Inside("c1").Ping(h.t, world4)
}

// closed wants it to reach nothing, and nothing of it to come by the LAN.
func (h hidden) closed(when string) {
	h.t.Helper()
	c1 := h.e.Inside("c1")
	checks := append(vpnLeaks(h.t, h.e),
		func() { c1.Unreachable(h.t, "tcp", world4+":99") },
		func() { c1.Unreachable(h.t, "udp", world4+":99") })
	together(checks...)
	h.dry(when)
}

// dry wants nothing of it to have come by the LAN.
func (h hidden) dry(when string) {
	h.t.Helper()
	if got := came(h.t, h.e, "lan"); got != 0 {
		h.t.Errorf("%s: %d packets of containers behind a gateway came by the LAN", when, got)
	}
}

// published wants its published ports to answer others, and not those behind the gateway.
func (h hidden) published(when string) {
	h.t.Helper()
	host := harness.LanIPv4
	from(h.t, when, h.e.LAN.Outside.Get(h.t, "tcp", host+":8080"), "c1", "10.88.0.1")
	from(h.t, when+", UDP", h.e.LAN.Outside.Get(h.t, "udp", host+":8081"), "c1", "10.88.0.1")
	from(h.t, when+", IPv6", h.e.LAN.Outside.Get(h.t, "tcp", "["+harness.LanIPv6+"]:8080"), "c1", "fd00:88::1")
	h.e.Inside("c2").Unreachable(h.t, "tcp", host+":8080")
}

// testVPN: containers behind a gateway reach the world through its tunnel alone, with their own addresses, by whatever
// address it has, and nothing of theirs comes by the LAN while it is not there, is killed, comes back, or somebody
// removes what steers them.
func testVPN(t *testing.T, e *harness.Engine) {
	h := vpnBegins(t, e)
	h.published("a published port before there is a gateway")
	h.closed("before there is a gateway")
	if got, err := e.TryGangway("status"); err == nil || !strings.Contains(got+err.Error(), "gangway.gateway=container:gw") {
		t.Errorf("status does not say that the gateway is missing:\n%s\n%v", got, err)
	}
	vpnContainer(t, e, "gw", "vpn")
	h.through("with a gateway")
	h.published("a published port")
	vpnWithin(t, e)

	asked := e.RepeatInside(t, "c1", "tcp", world4+":99")
	e.Docker(t, "kill", "gw")
	h.closed("while it is killed")
	e.Docker(t, "start", "gw")
	h.through("started again")
	e.Docker(t, "rm", "-f", "gw")
	e.Sleep(t, harness.Container{Name: "heir", Network: "vpn"}) // has its address now, perhaps
	h.closed("while it is removed")
	vpnContainer(t, e, "gw", "vpn", "--ip", "10.88.0.200")
	h.through("made anew with another address")
	vpnTunnelEnds(h)
	h.through("the tunnel is back")
	vpnHeals(h)
	if row := asked.Row(t); !row[len(row)-1].Answered || !row[0].Answered {
		t.Errorf("the row of questions under way: %d, the first answered: %t, the last: %t", len(row), row[0].Answered, row[len(row)-1].Answered)
	}
	h.dry("in the end")
	// The same without a gateway: the counter counts.
	from(t, "twin", e.Inside("twin").Get(t, "tcp", world4+":99"), "outside", harness.LanIPv4)
	from(t, "twin, IPv6", e.Inside("twin").Get(t, "tcp", "["+world6+"]:99"), "outside", harness.LanIPv6)
	if got := came(t, e, "lan"); got < 4 {
		t.Errorf("the counter at the LAN has %d packets of a container without a gateway", got)
	}
	e.Run(t, "sh", "-c", "conntrack -D -s 10.88.0.0/24; conntrack -D -f ipv6 -s fd00:88::/64; conntrack -D -d 198.51.100.7; true")
}

// vpnBegins makes the world, a network behind a gateway that is still to come, and one without.
func vpnBegins(t *testing.T, e *harness.Engine) hidden {
	t.Helper()
	theWorld(t, e, "10.88.0.0/24")
	e.Host.Serve(t, "udp", "0.0.0.0:53", "tcp", "[::]:98")
	e.Network(t, "vpn", args(dual(e, "10.88.0.0/24", "fd00:88::/64"), []string{"--ip-range", "10.88.0.0/25", "-o", "gangway.gateway=container:gw"})...)
	e.Network(t, "plain", dual(e, "10.89.0.0/24", "fd00:89::/64")...)
	for name, network := range map[string]string{"c1": "vpn", "c2": "vpn", "twin": "plain"} {
		more := []string{"--dns", world4}
		if name == "c1" {
			more = append(more, "-p", "8080:80", "-p", "8081:81/udp")
		}
		e.Serve(t, harness.Container{Name: name, Network: network, Args: more}, "tcp", "[::]:80", "udp", "[::]:81")
	}
	return hidden{t, e, e.Address(t, "c1", "vpn")}
}

// vpnLeaks are what tries would leave past the gateway: IPv6, which it does not carry, other routes, and questions for names to the
// host and by it.
func vpnLeaks(t *testing.T, e *harness.Engine) []func() {
	t.Helper()
	checks := []func(){func() { _, _ = e.TryExec("c1", "timeout", "2", "nslookup", "leak.example", "127.0.0.11") }}
	for _, to := range []string{"[" + world6 + "]:99", e.LAN.Outside.IPv4 + ":99", "10.88.0.1:98", harness.LanIPv4 + ":98"} {
		checks = append(checks, func() { e.Inside("c1").Unreachable(t, "tcp", to) })
	}
	for _, to := range []string{"10.88.0.1:53", harness.LanIPv4 + ":53", world4 + ":53", "[" + world6 + "]:53"} {
		checks = append(checks, func() { e.Inside("c1").Unreachable(t, "udp", to) })
	}
	return checks
}

// vpnWithin: containers behind the gateway reach each other, and it reaches the LAN itself; names are asked for through the
// tunnel; and what reaches the host's names from another network shows that the host answers.
func vpnWithin(t *testing.T, e *harness.Engine) {
	t.Helper()
	from(t, "within", e.Inside("c1").Get(t, "tcp", e.Address(t, "c2", "vpn")+":80"), "c2", e.Address(t, "c1", "vpn"))
	before := came(t, e, "names")
	_, _ = e.TryExec("c1", "timeout", "3", "nslookup", "name.example", "127.0.0.11")
	if got := came(t, e, "names"); got == before {
		t.Error("no question for a name came through the tunnel")
	}
	e.Inside("twin").Get(t, "udp", "10.89.0.1:53")
	from(t, "the host reaches a container", e.Get(t, "tcp", e.Address(t, "c1", "vpn")+":80"), "c1", "10.88.0.1")
}

// vpnTunnelEnds: the program in the gateway is killed, and the container is not; then it would send on what it gets by its own way
// out, with addresses that are not its own.
func vpnTunnelEnds(h hidden) {
	h.t.Helper()
	t, e := h.t, h.e
	e.Docker(t, "rm", "-f", "gw")
	e.Start(t, harness.Container{Name: "gw", Network: "vpn", Args: []string{"--cap-add", "NET_ADMIN", "--device", "/dev/net/tun", "--sysctl", "net.ipv4.ip_forward=1"}},
		"sh", "-c", "while :; do probe tunnel tun0 10.99.0.2/30 "+e.LAN.Outside.IPv4+":"+tunnelPort+" '"+e.LAN.Outside.IPv4+" via 10.88.0.1,0.0.0.0/1 dev tun0,128.0.0.0/1 dev tun0'; ip route del "+e.LAN.Outside.IPv4+"; sleep 2; done")
	harness.Eventually(t, "a tunnel", func() error {
		_, err := e.Inside("c1").TryGet("tcp", world4+":99", "-timeout", "1s")
		return err
	})
	for range 2 {
		e.Exec(t, "gw", "sh", "-c", "kill -9 $(pidof probe)")
		_, _ = e.Inside("c1").TryGet("tcp", world4+":99", "-timeout", "300ms")
		_, _ = e.Inside("c1").TryGet("udp", world4+":53", "-timeout", "300ms")
		h.dry("without a tunnel in the gateway")
		harness.Eventually(t, "a tunnel again", func() error {
			_, err := e.Inside("c1").TryGet("tcp", world4+":99", "-timeout", "1s")
			return err
		})
	}
}

// vpnHeals: rules and routes that somebody removes come back, and a restart of the daemon changes nothing.
func vpnHeals(h hidden) {
	h.t.Helper()
	t, e := h.t, h.e
	bridge := bridgeOf(t, e, "vpn")
	for _, damage := range []string{"ip rule del pref 4759 iif " + bridge, "ip rule del pref 4757 iif " + bridge, "ip route flush table all proto 71"} {
		e.Run(t, strings.Fields(damage)...)
		harness.Eventually(t, "after "+damage, func() error {
			rules := e.Run(t, "ip", "rule")
			if strings.Count(rules, "iif "+bridge) != 4 {
				return fmt.Errorf("rules:\n%s", rules)
			}
			return nil
		})
		h.through("after " + damage)
	}
	crash(t, e, func() { h.through("while the daemon is away") })
	h.through("with the daemon again")
}
