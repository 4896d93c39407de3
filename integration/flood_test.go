package integration

import (
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"testing"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/integration/harness"
)

// testNeighbourFlood: of what a container asks the host by ARP and neighbour discovery the
// host answers no more than a part, and another container finds it all the while.
func testNeighbourFlood(t *testing.T, e *harness.Engine) {
	const flood, most = 3000, 1000 // at once, and what a slow machine may let it ask meanwhile
	r := newRoom(t, e, "n1", 77)
	own4, own6 := netip.MustParseAddr(e.Address(t, r.hostile, "n1")), netip.MustParseAddr(e.Address6(t, r.hostile, "n1"))
	ask := arpAnswer(everybodyMAC, r.hostileMAC, own4, r.gate4)
	ask[21] = 1 // a request
	bridge, err := net.ParseMAC(e.Links(t)[r.bridge].MAC)
	if err != nil {
		t.Fatal(err)
	}
	for name, frame := range map[string][]byte{"ARP": ask, "neighbour discovery": solicitation(r.hostileMAC, own6, r.gate6)} {
		// What is for everybody comes back by the port that it came by.
		copy(frame, bridge)
		before := answersTo(t, r)
		e.Exec(t, r.hostile, "probe", "send", "-count", strconv.Itoa(flood), "eth0", hex.EncodeToString(frame))
		e.Run(t, "ip", "neigh", "flush", "dev", r.bridge)
		inNetns(t, e, r.victim, "ip", "neigh", "flush", "dev", "eth0")
		e.Inside(r.victim).Ping(t, r.gate4.String())
		e.Inside(r.victim).Ping(t, r.gate6.String())
		if got := answersTo(t, r) - before; got < 100 || got > most {
			t.Errorf("%s: %d packets come back for %d questions, want 100 to %d", name, got, flood, most)
		} else {
			t.Logf("%s: %d packets come back for %d questions", name, got, flood)
		}
	}
	harness.Eventually(t, "the container finds the host again", func() error {
		return e.Inside(r.hostile).TryPing(r.gate4.String())
	})
}

// answersTo counts what the hostile container was sent.
func answersTo(t *testing.T, r *room) int {
	t.Helper()
	var endpoints []driver.EndpointStatus
	r.e.GangwayJSON(t, &endpoints, "endpoints")
	for _, ep := range endpoints {
		if ep.MAC == r.hostileMAC.String() {
			sent, err := strconv.Atoi(r.e.Run(t, "cat", fmt.Sprintf("/sys/class/net/%s/statistics/tx_packets", ep.HostInterface)))
			if err != nil {
				t.Fatal(err)
			}
			return sent
		}
	}
	t.Fatal("no endpoint of the hostile container")
	return 0
}
