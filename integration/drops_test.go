package integration

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/integration/harness"
)

// drops are what was refused in a room.
type drops struct{ network, victim, hostile, all driver.Drops }

// drops asks the daemon.
func (r *room) drops() (d drops) {
	r.t.Helper()
	var status driver.Status
	r.e.GangwayJSON(r.t, &status, "status")
	d.all = status.Dropped
	var networks []driver.NetworkStatus
	r.e.GangwayJSON(r.t, &networks, "networks")
	for _, n := range networks {
		if n.Bridge == r.bridge {
			d.network = n.Dropped
		}
	}
	var endpoints []driver.EndpointStatus
	r.e.GangwayJSON(r.t, &endpoints, "endpoints")
	for _, e := range endpoints {
		switch {
		case e.MAC == r.victimMAC.String():
			d.victim = e.Dropped
		case e.MAC == r.hostileMAC.String():
			d.hostile = e.Dropped
		}
	}
	return d
}

// testDrops: what Gangway refuses is seen by network and reason, and by container as far
// as the rules know it, and told in an event. Nothing is, while everybody does what he may.
func testDrops(t *testing.T, e *harness.Engine) {
	r := newRoom(t, e, "n1", 74)
	by(t, "a neighbour", e.Inside(r.hostile).Get(t, "tcp", r.victim+":80"), r.victim)
	if d := r.drops(); len(d.network)+len(d.victim)+len(d.hostile) > 0 {
		t.Errorf("dropped before anybody did anything: %+v", d)
	}
	before := r.drops().all

	r.send(arpAnswer(r.victimMAC, r.hostileMAC, r.gate4, r.victim4))
	harness.Eventually(t, "the container that poses as the gateway", func() error {
		if d := r.drops(); d.hostile["spoofed"] == 0 || d.network["spoofed"] == 0 {
			return fmt.Errorf("%+v", d)
		}
		return nil
	})
	if list := e.Gangway(t, "drops", r.hostile, "--network", "n1", "--format", "{{.Container}} {{.Reason}}"); list != r.hostile+" spoofed" {
		t.Errorf("gangway drops lists %q", list)
	}
	// Within the minute after an event of somebody else's there is none.
	harness.EventuallyWithin(t, 75*time.Second, "the event", func() error {
		r.drops()
		if events := e.Gangway(t, "events", r.hostile, "--network", "n1", "--since", "10m"); !strings.Contains(events, "spoofed (network n1, container "+r.hostile+")") {
			return errors.New(events)
		}
		return nil
	})

	outside := e.LAN.Outside
	outside.Run(t, "ip", "route", "add", "10.74.0.0/24", "via", harness.LanIPv4)
	t.Cleanup(func() { outside.Run(t, "ip", "route", "del", "10.74.0.0/24") })
	e.Network(t, "n2", "--subnet", "10.75.0.0/24")
	e.Sleep(t, harness.Container{Name: "other", Network: "n2"})
	outside.Unreachable(t, "tcp", r.victim4.String()+":81")
	e.Inside("other").Unreachable(t, "tcp", r.victim4.String()+":80")
	reasons := []string{"isolated", "unpublished"}
	harness.Eventually(t, "what was asked of the victim", func() error {
		d := r.drops()
		for _, list := range []driver.Drops{d.network, d.victim} {
			var got []string
			for _, reason := range list.Reasons() {
				if reason != "spoofed" {
					got = append(got, string(reason))
				}
			}
			if slices.Sort(got); !slices.Equal(got, reasons) {
				return fmt.Errorf("%+v", d)
			}
			if e.Firewall() == "iptables" {
				return nil // it counts by network alone
			}
		}
		return nil
	})
	if d := r.drops(); d.hostile["unpublished"] > 0 || d.victim["spoofed"] > 0 || d.all.Total() < before.Total()+d.network.Total() {
		t.Errorf("counted for somebody else: %+v", d)
	}
	if text := e.Gangway(t, "status"); !strings.Contains(text, " unpublished") {
		t.Errorf("gangway status:\n%s", text)
	}
}
