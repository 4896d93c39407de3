package plan

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// TestFurtherPlan: what a further bridge is, and that all that concerns the host stays
// with the first one.
func TestFurtherPlan(t *testing.T) {
	n := &model.Network{ID: "0123456789abcdef", Bridge: "gw-n", Options: config.Network{ICC: true}}
	e := &model.Endpoint{ID: "eeeeeeeeeeee", NetworkID: n.ID, Further: 2, Sandbox: "box", MAC: model.HardwareAddr{2, 0, 0, 0, 0, 1}}
	s := model.NewState()
	s.Apply(model.Change{Network: model.NetworkChange{After: n}, Endpoints: []model.EndpointChange{{After: e}}})
	p := Compile(s, Facts{})
	const name = "gw-012345678-2"
	further := spec.FurtherBridge{NetworkID: n.ID, Number: 2, Name: name, First: "gw-n", MTU: 1500}
	for what, d := range map[string]string{
		"bridges":         cmp.Diff([]string{"gw-n"}, names(Of[spec.Bridge](p))),
		"further bridges": cmp.Diff([]spec.FurtherBridge{further}, Of[spec.FurtherBridge](p)),
		"zones":           cmp.Diff([]spec.Zone{{Bridge: "gw-n"}, {Bridge: name}}, Of[spec.Zone](p), cmp.Transformer("sorted", sortedZones)),
		"entries":         cmp.Diff([]spec.Forwarded{{EndpointID: e.ID, First: "gw-n", Port: "gt-012345678-2", MAC: []byte{2, 0, 0, 0, 0, 1}}}, Of[spec.Forwarded](p)),
	} {
		if d != "" {
			t.Errorf("%s (-want +got):\n%s", what, d)
		}
	}
	for _, fw := range Of[firewall.Network](p) {
		if bare := fw.Further && fw.Host && len(fw.Subnets) == 0; bare != (fw.Bridge == name) {
			t.Errorf("rules %+v", fw)
		}
	}
	v := Of[spec.Veth](p)[0]
	if v.Bridge != name || v.First != "gw-n" || v.HostBridge() != "gw-n" {
		t.Errorf("pair %+v", v)
	}
}

// TestFurtherOptions: what a further bridge is by other options of its network.
func TestFurtherOptions(t *testing.T) {
	n := &model.Network{ID: "0123456789abcdef", Bridge: "gw-n", Options: config.Network{MTU: config.AutoMTU}}
	e := &model.Endpoint{ID: "eeeeeeeeeeee", NetworkID: n.ID, Further: 2, Sandbox: "box"}
	want := spec.FurtherBridge{NetworkID: n.ID, Number: 2, Name: "gw-012345678-2", First: "gw-n"}
	want.MTU, want.Follows, want.Isolated = 1400, true, true
	if d := cmp.Diff([]spec.FurtherBridge{want}, FurtherBridges(n, []int{2}, 1400)); d != "" {
		t.Errorf("by its options (-want +got):\n%s", d)
	}
	links := LinksOf([]*model.Network{n}, []*model.Endpoint{e, e}, []*model.Network{n, n}, 1400)
	if d := cmp.Diff([]spec.FurtherBridge{want}, links.Further); d != "" {
		t.Errorf("links (-want +got):\n%s", d)
	}
	n.Options.Uplink = "eth1"
	if got := Zones(n, []int{2}); got != nil {
		t.Errorf("zones of a network on a LAN: %v", got)
	}
}

func names(bridges []spec.Bridge) (all []string) {
	for _, b := range bridges {
		all = append(all, b.Name)
	}
	return all
}

// sortedZones counts zones by their bridges.
func sortedZones(zones []spec.Zone) map[string]int {
	all := map[string]int{}
	for _, z := range zones {
		all[z.Bridge]++
	}
	return all
}

// TestFurtherConcerns: who comes and goes on a further bridge concerns the network, and nobody else does.
func TestFurtherConcerns(t *testing.T) {
	s := model.NewState()
	s.Apply(model.Change{Network: model.NetworkChange{After: &model.Network{ID: "n", Bridge: "gw-n"}}})
	for further, want := range map[int]int{0: 1, 2: 2} {
		c := model.Change{Endpoints: []model.EndpointChange{{After: &model.Endpoint{ID: "e", NetworkID: "n", Further: further}}}}
		if got := Concerned(s, c); len(got) != want {
			t.Errorf("on bridge %d an endpoint concerns %v", further, got)
		}
	}
}
