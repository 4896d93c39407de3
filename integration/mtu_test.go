package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// deafToICMP keeps the host's errors about packets that are too large from everybody.
const deafToICMP = `nft -f - <<'EOF'
table inet deaf {
	chain out { type filter hook output priority 0; icmp type destination-unreachable drop; icmpv6 type packet-too-big drop; }
}
EOF`

// testMTUAuto: a network that follows the way out has its MTU from the start and when that
// changes, and keeps it while there is no way out; a container that runs keeps its own. TCP
// gets through a way that is narrower than the network, though nobody hears of that by ICMP.
func testMTUAuto(t *testing.T, e *harness.Engine) {
	const source = "192.0.2.2:9100"
	e.Run(t, "sh", "-ec", "ip route add default via 192.0.2.2; ip link set lan0 mtu 1400")
	t.Cleanup(func() {
		e.Run(t, "sh", "-c", "ip link set lan0 mtu 1500; ip route del default; nft delete table inet deaf")
	})
	e.Run(t, "sh", "-ec", deafToICMP)
	e.LAN.Outside.Serve(t, "source", source)
	e.Network(t, "n1", append(dual(e, "10.75.0.0/24", "fd00:75::/64"), "-o", "com.docker.network.driver.mtu=auto")...)
	e.Network(t, "n2", "--subnet", "10.76.0.0/24")
	e.Sleep(t, harness.Container{Name: "c1", Network: "n1"})
	e.Sleep(t, harness.Container{Name: "c2", Network: "n2"})
	mtus := func(container string) string {
		return e.Exec(t, container, "cat", "/sys/class/net/eth0/mtu")
	}
	bridge := bridgeOf(t, e, "n1")
	if got := fmt.Sprintf("%d %s %s", e.Links(t)[bridge].MTU, mtus("c1"), mtus("c2")); got != "1400 1400 1500" {
		t.Errorf("MTU of the bridge, of c1 and of c2: %s", got)
	}
	passes := func(container, when string) {
		t.Helper()
		for _, direction := range []string{"in", "out"} {
			e.Exec(t, container, "timeout", "20", "probe", "rate", "-for", "100ms", direction, source)
		}
	}
	passes("c1", "at first")
	passes("c2", "over a narrower way")

	follows := func(when string, mtu int) {
		t.Helper()
		harness.Eventually(t, when, func() error {
			if got := e.Links(t)[bridge].MTU; got != mtu {
				return fmt.Errorf("bridge has %d", got)
			}
			return nil
		})
	}
	e.Run(t, "ip", "link", "set", "lan0", "mtu", "1300")
	follows("the MTU of the way out, which is 1300 by now", 1300)
	e.Sleep(t, harness.Container{Name: "c3", Network: "n1"})
	if got := mtus("c1") + " " + mtus("c3"); got != "1400 1300" {
		t.Errorf("MTUs of an old and a new container: %s", got)
	}
	passes("c1", "with its old MTU")
	passes("c3", "with the new MTU")
	if shown := e.Gangway(t, "networks", "n1", "--format", "{{.MTU}}"); strings.TrimSpace(shown) != "1300" {
		t.Errorf("gangway networks says %s", shown)
	}
	e.Run(t, "ip", "route", "del", "default")
	e.StopGangway(t)
	e.StartGangway(t)
	e.Gangway(t, "status")
	follows("without a way out", 1300)
	e.Run(t, "sh", "-ec", "ip route add default via 192.0.2.2; ip link set lan0 mtu 1500")
	follows("once there is one", 1500)
}
