package integration

import (
	"encoding/hex"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// testPublishedOnly: of a container that publishes one port, the others stay
// closed for everybody outside of its network, whichever way they come.
func testPublishedOnly(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", "--subnet", "10.74.0.0/24")
	e.Network(t, "n2", "--subnet", "10.74.1.0/24")
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("8000:80")},
		"tcp", "0.0.0.0:80", "tcp", "0.0.0.0:81", "tcp", "0.0.0.0:8000")
	e.Sleep(t, harness.Container{Name: "c2", Network: "n2"})
	e.Sleep(t, harness.Container{Name: "near", Network: "n1"})
	addr := e.Address(t, "c1", "n1")
	outside := e.LAN.Outside
	outside.Run(t, "ip", "route", "add", "10.74.0.0/24", "via", harness.LanIPv4)
	t.Cleanup(func() { outside.Run(t, "ip", "route", "del", "10.74.0.0/24") })
	for _, closed := range []string{":81", ":8000"} {
		outside.Unreachable(t, "tcp", addr+closed)
		e.Inside("c2").Unreachable(t, "tcp", addr+closed)
		by(t, "same bridge", e.Inside("near").Get(t, "tcp", addr+closed), "c1")
	}
	outside.Unreachable(t, "tcp", "192.0.2.1:81")
	from(t, "published", outside.Get(t, "tcp", "192.0.2.1:8000"), "c1", outside.IPv4)
}

// testIsolation: networks do not reach each other, in either direction and in
// both families, nor the networks of the engine's own driver.
func testIsolation(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", args(gangwayIPAM(e), []string{"--ipv6", "--subnet", "10.74.0.0/24", "--subnet", "fd00:74::/64"})...)
	e.Network(t, "n2", args(gangwayIPAM(e), []string{"--ipv6", "--subnet", "10.74.1.0/24", "--subnet", "fd00:741::/64"})...)
	e.Serve(t, harness.Container{Name: "c1", Network: "n1"}, "tcp", "[::]:80", "udp", "[::]:80")
	e.Serve(t, harness.Container{Name: "c2", Network: "n2"}, "tcp", "[::]:80", "udp", "[::]:80")
	e.Serve(t, harness.Container{Name: "own", Network: "bridge"}, "tcp", "[::]:80", "udp", "[::]:80")
	addr := map[string]string{"c1": e.Address(t, "c1", "n1"), "c2": e.Address(t, "c2", "n2"), "own": e.Address(t, "own", "bridge")}
	for a := range addr {
		for b := range addr {
			if a == b {
				continue
			}
			for _, proto := range []string{"tcp", "udp"} {
				e.Inside(a).Unreachable(t, proto, addr[b]+":80")
			}
			if err := e.Inside(a).TryPing(addr[b]); err == nil {
				t.Errorf("%s pings %s", a, b)
			}
		}
	}
	e.Inside("c1").Unreachable(t, "tcp", "["+e.Address6(t, "c2", "n2")+"]:80")
	e.Inside("c2").Unreachable(t, "tcp", "["+e.Address6(t, "c1", "n1")+"]:80")
	for _, name := range []string{"c1", "c2", "own"} {
		by(t, "host asks "+name, e.Get(t, "tcp", addr[name]+":80"), name)
	}
}

// testDockerUser: what an administrator drops in DOCKER-USER is dropped, also
// for published ports.
func testDockerUser(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", "--subnet", "10.74.0.0/24")
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("8000:80")}, "tcp", "0.0.0.0:80")
	by(t, "before", e.LAN.Outside.Get(t, "tcp", "192.0.2.1:8000"), "c1")
	rule := []string{"DOCKER-USER", "-s", "192.0.2.2", "-p", "tcp", "--dport", "80", "-j", "DROP"}
	e.Run(t, append([]string{"iptables", "-I"}, rule...)...)
	removed := false
	remove := func() {
		if !removed {
			e.Run(t, append([]string{"iptables", "-D"}, rule...)...)
			removed = true
		}
	}
	t.Cleanup(remove)
	e.LAN.Outside.Unreachable(t, "tcp", "192.0.2.1:8000")
	by(t, "another client", e.LAN.Neighbour.Get(t, "tcp", "192.0.2.1:8000"), "c1")
	remove()
	by(t, "after", e.LAN.Outside.Get(t, "tcp", "192.0.2.1:8000"), "c1")
}

// testUntouched: a network with containers changes neither the policies of the
// host's built-in chains nor bridge netfilter, nor who reaches the host.
func testUntouched(t *testing.T, e *harness.Engine) {
	policies := func() string {
		var lines []string
		for _, tool := range []string{"iptables-save", "ip6tables-save"} {
			for _, line := range strings.Split(e.Run(t, tool), "\n") {
				if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(line, ":") && f[1] != "-" {
					lines = append(lines, tool+" "+f[0]+" "+f[1])
				}
			}
		}
		return strings.Join(lines, "\n")
	}
	before, snapshot := policies(), e.Snapshot(t)
	e.Host.Serve(t, "tcp", "0.0.0.0:99")
	e.Network(t, "n1", "--subnet", "10.74.0.0/24")
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("8000:80")}, "tcp", "0.0.0.0:80")
	if after := policies(); !containsLines(after, before) {
		t.Errorf("policies of the built-in chains: before\n%s\nafter\n%s", before, after)
	}
	now := e.Snapshot(t)
	for _, section := range []string{"bridge netfilter", "policy rules", "legacy tables"} {
		if d := (harness.Snapshot{section: snapshot[section]}).Diff(harness.Snapshot{section: now[section]}); d != "" {
			t.Errorf("changed: %s", d)
		}
	}
	from(t, "the host's own port", e.LAN.Outside.Get(t, "tcp", "192.0.2.1:99"), e.Name, "192.0.2.2")
	e.LAN.Outside.Serve(t, "tcp", "192.0.2.2:99")
	from(t, "the host asks outside", e.Get(t, "tcp", "192.0.2.2:99"), "outside", harness.LanIPv4)
}

// containsLines says whether text has every line of part.
func containsLines(text, part string) bool {
	have := map[string]bool{}
	for _, line := range strings.Split(text, "\n") {
		have[line] = true
	}
	for _, line := range strings.Split(part, "\n") {
		if !have[line] {
			return false
		}
	}
	return true
}

// testNoICC: with enable_icc=false containers of one network do not reach each
// other, but published ports and the outside.
func testNoICC(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", "--subnet", "10.74.0.0/24", "-o", "com.docker.network.bridge.enable_icc=false")
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("8000:80")}, "tcp", "0.0.0.0:80")
	e.Sleep(t, harness.Container{Name: "c2", Network: "n1"})
	e.Inside("c2").Unreachable(t, "tcp", e.Address(t, "c1", "n1")+":80")
	from(t, "outside", e.LAN.Outside.Get(t, "tcp", "192.0.2.1:8000"), "c1", "192.0.2.2")
	by(t, "host", e.Get(t, "tcp", e.Address(t, "c1", "n1")+":80"), "c1")
	e.LAN.Outside.Serve(t, "tcp", "192.0.2.2:99")
	from(t, "container asks outside", e.Inside("c2").Get(t, "tcp", "192.0.2.2:99"), "outside", harness.LanIPv4)
	if e.Driver == string(harness.Builtin) {
		return
	}
	e.Network(t, "n2", "--subnet", "10.74.1.0/24")
	e.Sleep(t, harness.Container{Name: "c3", Network: "n2"})
	e.Sleep(t, harness.Container{Name: "c4", Network: "n2"})
	raw := func() {
		t.Helper()
		for to, mac := range rawTargets(t, e, "c1") {
			if n := rawArrives(t, e, "c2", "c1", mac); n >= rawCount {
				t.Errorf("frames to %s: %d of %d arrive", to, n, rawCount)
			}
		}
	}
	raw()
	harness.Eventually(t, "raw frames where containers may talk", func() error {
		for to, mac := range rawTargets(t, e, "c4") {
			if n := rawArrives(t, e, "c3", "c4", mac); n < rawCount {
				return fmt.Errorf("to %s: %d of %d arrive", to, n, rawCount)
			}
		}
		return nil
	})
	bridged := func(value string) string {
		return "for f in /proc/sys/net/bridge/bridge-nf-call-ip*tables; do echo " + value + " >$f; done"
	}
	t.Cleanup(func() { e.Run(t, "sh", "-c", bridged("1")) })
	e.Run(t, "sh", "-c", bridged("0"))
	e.Inside("c2").Unreachable(t, "tcp", e.Address(t, "c1", "n1")+":80")
	raw()
	by(t, "published port without br_netfilter", e.Inside("c2").Get(t, "tcp", harness.LanIPv4+":8000"), "c1")
}

// rawCount is how many frames are sent, more than come otherwise meanwhile.
const rawCount = 500

// rawTargets are the hardware addresses at which a container gets frames.
func rawTargets(t *testing.T, e *harness.Engine, container string) map[string]net.HardwareAddr {
	t.Helper()
	return map[string]net.HardwareAddr{
		"one": macOf(t, e, container), "all": everybodyMAC, "a group": {0x01, 0x00, 0x5e, 0, 0, 1}, "an IPv6 group": {0x33, 0x33, 0, 0, 0, 1},
	}
}

// macOf is mac as bytes.
func macOf(t *testing.T, e *harness.Engine, container string) net.HardwareAddr {
	t.Helper()
	address, err := net.ParseMAC(mac(t, e, container))
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// rawArrives sends frames that no firewall rule judges from one container, and
// returns by how many what the other one received has grown.
func rawArrives(t *testing.T, e *harness.Engine, from, to string, dst net.HardwareAddr) int {
	t.Helper()
	received := func() int {
		n, err := strconv.Atoi(e.Exec(t, to, "cat", "/sys/class/net/eth0/statistics/rx_packets"))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	frame := rawFrame(dst, macOf(t, e, from))
	before := received()
	e.Exec(t, from, "probe", "send", "-count", strconv.Itoa(rawCount), "eth0", hex.EncodeToString(frame))
	return received() - before
}
