package plan

import (
	"fmt"
	"testing"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// TestMirrors: who watches has a mirror of the bridge and of each other container of the network,
// follows who comes and goes there, and nobody else is concerned.
func TestMirrors(t *testing.T) {
	s := model.NewState()
	s.Apply(model.Change{Network: model.NetworkChange{After: &model.Network{ID: "n", Bridge: "gw-n"}}})
	one := func(id string, promiscuous bool) *model.Endpoint {
		return &model.Endpoint{ID: id, NetworkID: "n", Sandbox: "box-" + id, MAC: model.HardwareAddr{2, 0, 0, 0, 0, 1}, Options: config.Endpoint{Promiscuous: promiscuous}}
	}
	ids, a, b := one("ids", true), one("a", false), one("b", false)
	apply := func(before, after *model.Endpoint) []Owner {
		c := model.Change{Endpoints: []model.EndpointChange{{Before: before, After: after}}}
		s.Apply(c)
		return Concerned(s, c)
	}
	want := func(when, mirrors string) {
		t.Helper()
		var all []string
		for _, m := range Of[spec.Mirror](SourceOf(s, Owner{OfEndpoint, "n", "ids"}, Facts{}).Compile()) {
			if m.To != "gv-ids" || m.Bridge != (m.From == "gw-n") {
				t.Errorf("%s: %+v", when, m)
			}
			all = append(all, m.From)
		}
		if got := fmt.Sprint(all); got != mirrors {
			t.Errorf("%s: mirrors of %s, want %s", when, got, mirrors)
		}
		if others := Of[spec.Mirror](SourceOf(s, Owner{OfEndpoint, "n", "a"}, Facts{}).Compile()); others != nil {
			t.Errorf("%s: a watches %v", when, others)
		}
	}
	if all := apply(nil, a); len(all) != 2 {
		t.Errorf("without who watches a container concerns %v", all)
	}
	apply(nil, ids)
	want("with one other", "[gw-n gv-a]")
	if all := apply(nil, b); len(all) != 4 {
		t.Errorf("with who watches a container concerns %v", all)
	}
	want("with two", "[gw-n gv-a gv-b]")
	left := a.Left()
	apply(a, &left)
	want("when one has left", "[gw-n gv-b]")
	apply(b, nil)
	want("with nobody", "[gw-n]")
	gone := ids.Left()
	apply(ids, &gone)
	want("outside of a container", "[]")
	apply(&gone, nil)
	if len(s.Watchers) > 0 {
		t.Errorf("left over: %v", s.Watchers)
	}
}
