package plan

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// TestDeltaInWords: the log names what changes as people know it.
func TestDeltaInWords(t *testing.T) {
	s := model.NewState()
	n := &model.Network{
		ID: "3c4d5e6f7a8b", Options: config.Network{Masquerade: true, ICC: true}, Bridge: "gw-3c4d5e6f7a8b",
		Subnet4: netip.MustParsePrefix("10.0.0.0/24"), Gateway4: netip.MustParsePrefix("10.0.0.1/24"),
	}
	e := &model.Endpoint{
		ID: "91e0aa55c3d2", NetworkID: n.ID, IPv4: netip.MustParsePrefix("10.0.0.2/24"), Sandbox: "/run/docker/netns/1",
		Published: []spec.Published{{
			Proto: spec.TCP, HostIP: netip.IPv4Unspecified(), First: 8080, Last: 8080,
			ContainerIP: netip.MustParseAddr("10.0.0.2"), ContainerFirst: 80,
		}},
	}
	s.Apply(model.Change{Network: model.NetworkChange{After: n}, Endpoints: []model.EndpointChange{{After: e}}})
	got := Diff(nil, Compile(s, Facts{})).String()
	for _, want := range []string{
		"ensure bridge gw-", "with 10.0.0.1/24", "add rules of bridge gw-", "ensure link pair gv-", "of 10.0.0.2",
		"add published port tcp 0.0.0.0:8080 to 10.0.0.2:80", "ensure host ports of sandbox /run/docker/netns/", "ensure forwarding of IPv4",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
	if gone := Diff(Compile(s, Facts{}), nil).String(); !strings.Contains(gone, "keep forwarding of IPv4") || strings.Contains(gone, "remove forwarding") || !strings.Contains(gone, "remove bridge gw-") {
		t.Errorf("what goes: %s", gone)
	}
}
