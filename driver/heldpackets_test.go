package driver

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gangway-net/gangway/driver/firewall"
)

// TestOverruled: what DOCKER-USER accepts after all is not told, neither the packet nor others of
// its flow; what nobody accepts is, after a moment, in its order.
func TestOverruled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h heldPackets
		flow := func(reason firewall.Reason, port uint16) firewall.Refused {
			return firewall.Refused{Time: time.Now(), Reason: reason, Protocol: "tcp", To: netip.AddrPortFrom(netip.MustParseAddr("10.0.0.2"), port)}
		}
		overruled := func(r firewall.Refused) firewall.Refused { r.Overruled = true; return r }
		want := func(what string, got []firewall.Refused, ports ...uint16) {
			t.Helper()
			var is []uint16
			for _, r := range got {
				is = append(is, r.To.Port())
			}
			if fmt.Sprint(is) != fmt.Sprint(ports) {
				t.Errorf("%s: told of %v, want %v", what, is, ports)
			}
		}
		want("nothing yet", h.take(flow(firewall.Spoofed, 2), time.Now()))
		want("nothing yet", h.take(flow(firewall.Isolated, 3), time.Now()))
		want("nothing yet", h.take(flow(firewall.NoICC, 4), time.Now()))
		want("accepted after all", h.take(overruled(flow(firewall.Isolated, 3)), time.Now()))
		want("too early", h.ripe(time.Now()))
		<-h.next()
		want("what nobody has accepted", h.ripe(time.Now()), 2, 4)
		if h.next() != nil {
			t.Error("something is kept back")
		}
		want("of the same flow", h.take(flow(firewall.Isolated, 3), time.Now()))
		if h.next() != nil {
			t.Error("a packet of a flow that is accepted is kept back")
		}
		time.Sleep(overruledTime)
		want("later", h.take(flow(firewall.Isolated, 3), time.Now()))
		<-h.next()
		want("later", h.ripe(time.Now()), 3)
		var told []firewall.Refused
		for n := range 3 * mostHeld {
			told = append(told, h.take(flow(firewall.Unpublished, uint16(n)), time.Now())...)
		}
		if len(told) != 2*mostHeld || told[0].To.Port() != 0 || len(h.held) != mostHeld {
			t.Errorf("of too many %d are told at once, and %d kept", len(told), len(h.held))
		}
		for n := range 3 * mostHeld {
			h.take(overruled(flow(firewall.Unpublished, uint16(n))), time.Now())
		}
		if len(h.overruled) > mostHeld {
			t.Errorf("%d flows are remembered", len(h.overruled))
		}
	})
}
