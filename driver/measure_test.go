package driver

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
)

// TestMeasures: each repair counts for its kind, with those of flapping, each event for its own, and ports
// for the protocol.
func TestMeasures(t *testing.T) {
	h, d := strict(t)
	mended := func() map[string]uint64 { return withZeros(map[string]uint64{}, d.kinds().RepairKinds()...) }
	want := mended()
	check := func(what string) {
		t.Helper()
		d.Reconcile(t.Context())
		m := d.Measures(t.Context())
		if diff := cmp.Diff(want, m.Mended); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
		var all uint64
		for _, n := range m.Mended {
			all += n
		}
		if all != m.Repairs || m.Told[events.Repair] != min(all, m.Told[events.Repair]) {
			t.Errorf("%s: %d repairs, by kind %v, events %v", what, m.Repairs, m.Mended, m.Told)
		}
	}
	check("nothing is wrong")
	h.damage()
	want["rules"]++
	check("rules")
	clear(h.bridges)
	want["bridge"]++
	check("bridge")
	v := h.veths[ep1]
	v.Bridge = "other"
	h.veths[ep1] = v
	want["link pair"]++
	check("pair")
	h.veths[ep2] = spec.Veth{EndpointID: ep2, Host: plan.VethHost(ep2)}
	want["orphaned link"]++
	check("orphan")
	clear(h.held)
	want["host ports"] += 2 // of both families
	check("host ports")
	for range 20 {
		h.damage()
		want["rules"]++
		check("flapping")
	}
	m := d.Measures(t.Context())
	if m.Flapping != 1 || m.Told[events.Repair] != m.Repairs || m.Told[events.Flapping] != 0 {
		t.Errorf("%d flapping, %d repairs, events %v", m.Flapping, m.Repairs, m.Told)
	}
	if len(m.OnNets) != 1 || m.OnNets[0].ID != netA || !slices.Equal(m.OnNets[0].Endpoints, []string{ep1}) || !cmp.Equal(m.OnNets[0].Ports, map[string]int{"tcp": 2}) {
		t.Errorf("networks %+v", m.OnNets)
	}
}

// TestMeasuresDrops: there is a number for each reason.
func TestMeasuresDrops(t *testing.T) {
	d, c := counted(t)
	look(t, d)
	c.refused = []firewall.Refusal{{Counter: "a", Reason: firewall.Isolated, Bridge: d.state().Networks[netA].Bridge, Packets: 5}}
	look(t, d)
	want := Drops{firewall.Spoofed: 0, firewall.Unpublished: 0, firewall.Isolated: 5, firewall.NoICC: 0, firewall.Policy: 0, firewall.Audited: 0, firewall.Limited: 0}
	m := d.Measures(t.Context())
	i := slices.IndexFunc(m.OnNets, func(n NetworkMeasures) bool { return n.ID == netA })
	if diff := cmp.Diff([]Drops{want, want}, []Drops{m.Dropped, m.OnNets[i].Dropped}); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
