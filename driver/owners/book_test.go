package owners

import (
	"slices"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// TestUnclaimed: what running containers use and no state knows is unclaimed until it is
// settled, and nothing else.
func TestUnclaimed(t *testing.T) {
	var b Book
	if b.Any() || b.Text() != "" {
		t.Errorf("at the start: %q", b.Text())
	}
	s := model.NewState()
	s.Apply(model.Change{Network: model.NetworkChange{After: &model.Network{ID: "n1", Bridge: "gw-n1"}}})
	s.Apply(model.Change{Endpoints: []model.EndpointChange{{After: &model.Endpoint{ID: "known", NetworkID: "n1"}}}})
	orphan := &model.Endpoint{ID: "orphan", NetworkID: "n2"}
	b.Restore(s, map[string]spec.VethInfo{
		"known": {Moved: true, NetworkID: "n1"}, "orphan": {Moved: true, NetworkID: "n2"},
		"lost": {Moved: true, NetworkID: "n3"}, "outside": {NetworkID: "n3"}, "no id": {Moved: true},
	}, []*model.Endpoint{orphan})
	if !b.Lacks("orphan") || !b.Lacks("lost") || len(b.Unclaimed()) != 2 || !b.On("n3") || b.On("n1") || b.Stored("orphan") != orphan {
		t.Errorf("unclaimed %v", b.Unclaimed())
	}
	if !b.Doubt("no engine") || b.Doubt("no engine") || !strings.Contains(b.Text(), "2 links of running containers (networks n2, n3)") || !strings.HasSuffix(b.Text(), "; no engine") {
		t.Errorf("text %q", b.Text())
	}
	if was, last, stored := b.Settle("orphan"); !was || last || stored != orphan {
		t.Errorf("settled: %t, %t, %v", was, last, stored)
	}
	if was, _, stored := b.Settle("orphan"); was || stored != nil {
		t.Errorf("settled again: %t, %v", was, stored)
	}
	if was, last, _ := b.Settle("lost"); !was || !last || b.Any() || b.Doubt("no engine at all") {
		t.Errorf("settled the last: %t, %t", was, last)
	}
}

// TestNobodys: a network is nobody's until an engine has named it, and once that has
// answered without it.
func TestNobodys(t *testing.T) {
	var b Book
	s, networks := model.NewState(), map[string]*model.Network{}
	for id, engine := range map[string]string{"n0": "", "n1": "e1", "n2": "e2"} {
		networks[id] = &model.Network{ID: id, Bridge: "gw-" + id, Engine: engine}
		s.Apply(model.Change{Network: model.NetworkChange{After: networks[id]}})
	}
	for _, c := range []struct {
		engine string
		has    map[string]bool
		want   []string
	}{
		{"e1", map[string]bool{"n1": true}, []string{"n0"}},
		{"e2", map[string]bool{"n1": true}, []string{"n0", "n2"}},
		{"e1", nil, []string{"n0", "n1", "n2"}},
		{"e1", map[string]bool{"n1": true}, []string{"n0", "n2"}},
	} {
		b.Heard(s, c.engine, c.has)
		var got []string
		for _, id := range []string{"n0", "n1", "n2"} {
			if b.Nobodys(networks[id]) {
				got = append(got, id)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s has %v: %v are nobody's, want %v", c.engine, c.has, got, c.want)
		}
	}
}
