package integration

import (
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
	"github.com/gangway-net/gangway/integration/rawip"
)

// spoofPort is the attacker's port, and what it publishes at spoofPublished.
const (
	spoofPort      = 9000
	spoofPublished = 8000
)

// testSourceCheck: a container with default capabilities sends a datagram that claims to
// come from a victim's port, to itself through its gateway or to its own
// published port, and then asks that port from where the datagram went. The
// connection table takes the question for an answer; it must not arrive.
func testSourceCheck(t *testing.T, e *harness.Engine) {
	published := publish(fmt.Sprintf("%d:%d/udp", spoofPublished, spoofPort))
	e.Network(t, "n1", dual(e, "10.74.0.0/24", "fd00:74::/64")...)
	// Without masquerade the reply goes to the victim's own address, whoever asks.
	e.Network(t, "n2", append(dual(e, "10.74.1.0/24", "fd00:741::/64"), "-o", "com.docker.network.bridge.enable_ip_masquerade=false")...)
	e.Network(t, "n3", append(dual(e, "10.74.2.0/24", "fd00:742::/64"), "-o", "com.docker.network.bridge.enable_icc=false")...)
	for name, network := range map[string]string{"v2": "n2", "v3": "n3"} {
		e.Serve(t, harness.Container{Name: name, Network: network}, "udp", "[::]:80")
	}
	e.Sleep(t, harness.Container{Name: "near", Network: "n2"})
	e.Sleep(t, harness.Container{Name: "a1", Network: "n1", Args: published})
	e.Sleep(t, harness.Container{Name: "a3", Network: "n3"})
	e.Sleep(t, harness.Container{Name: "own", Network: "bridge"})
	looseReversePath(t, e)
	for _, six := range []bool{false, true} {
		victim := spoofAddr(t, e, "v2", "n2", six)
		by(t, "the same network", e.Inside("near").Get(t, "udp", netip.AddrPortFrom(victim, 80).String()), "v2")
		for _, attacker := range []string{"a1", "a3", "own"} {
			if attacker == "own" && six {
				continue // the engine's default network has IPv4 only
			}
			forgeToItself(t, e, attacker, "v2", six)
		}
		forgeToItself(t, e, "a1", "v3", six)
		forgeToItself(t, e, "a3", "v3", six)
		host := netip.MustParseAddr(harness.LanIPv4)
		if six {
			host = netip.MustParseAddr(harness.LanIPv6)
		}
		forge(t, e, "a1", "v2", netip.AddrPortFrom(host, spoofPublished), six)
		forge(t, e, "a1", "v3", netip.AddrPortFrom(host, spoofPublished), six)
	}
}

// looseReversePath sets rp_filter to what closes nothing, until the end of the test.
func looseReversePath(t *testing.T, e *harness.Engine) {
	t.Helper()
	const setting = "/proc/sys/net/ipv4/conf/all/rp_filter"
	before := e.Run(t, "cat", setting)
	e.Run(t, "sh", "-c", "echo 2 >"+setting)
	t.Cleanup(func() { e.Run(t, "sh", "-c", "echo "+before+" >"+setting) })
}

var spoofNetworks = map[string]string{"v2": "n2", "near": "n2", "v3": "n3", "a3": "n3", "a1": "n1", "own": "bridge"}

func spoofAddr(t *testing.T, e *harness.Engine, container, network string, six bool) netip.Addr {
	t.Helper()
	if six {
		return netip.MustParseAddr(e.Address6(t, container, network))
	}
	return netip.MustParseAddr(e.Address(t, container, network))
}

func forgeToItself(t *testing.T, e *harness.Engine, attacker, victim string, six bool) {
	t.Helper()
	forge(t, e, attacker, victim, netip.AddrPortFrom(spoofAddr(t, e, attacker, spoofNetworks[attacker], six), spoofPort), six)
}

// forge sends the victim's datagram to an address, and then a question from the
// attacker to the victim.
func forge(t *testing.T, e *harness.Engine, attacker, victim string, to netip.AddrPort, six bool) {
	t.Helper()
	target := netip.AddrPortFrom(spoofAddr(t, e, victim, spoofNetworks[victim], six), 80)
	own := netip.AddrPortFrom(spoofAddr(t, e, attacker, spoofNetworks[attacker], six), spoofPort)
	gateway, err := net.ParseMAC(strings.TrimSpace(e.Run(t, "cat", "/sys/class/net/"+spoofBridge(t, e, attacker)+"/address")))
	if err != nil {
		t.Fatal(err)
	}
	frame := append(append([]byte{}, gateway...), macOf(t, e, attacker)...)
	if six {
		frame = append(frame, 0x86, 0xdd)
	} else {
		frame = append(frame, 0x08, 0x00)
	}
	frame = append(frame, rawip.Datagram(target, to, "first\n")...)
	before := datagrams(t, e, victim)
	e.Exec(t, attacker, "probe", "send", "eth0", hex.EncodeToString(frame))
	answer, err := e.Inside(attacker).TryGet("udp", target.String(), "-timeout", "700ms", "-from", own.String())
	if n := datagrams(t, e, victim) - before; n != 0 || err == nil {
		t.Errorf("%s, first datagram to %s: %d datagrams reach %s at %s, answered by %q", attacker, to, n, victim, target, answer.Host)
	}
}

// spoofBridge is the bridge that a container is on.
func spoofBridge(t *testing.T, e *harness.Engine, container string) string {
	t.Helper()
	if spoofNetworks[container] == "bridge" {
		return "docker0"
	}
	return bridgeOf(t, e, spoofNetworks[container])
}

// datagrams is how many datagrams a container has received, whether anybody waits
// for them or not.
func datagrams(t *testing.T, e *harness.Engine, container string) int {
	t.Helper()
	script := `awk '/^Udp: [0-9]/ { n += $2 + $3 } /^Udp6(InDatagrams|NoPorts)/ { n += $2 } END { print n }' /proc/net/snmp /proc/net/snmp6`
	n, err := strconv.Atoi(e.Exec(t, container, "sh", "-c", script))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
