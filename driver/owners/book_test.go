package owners

import (
	"slices"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// restored returns a book after a restore with a known endpoint, one that is stored without
// its network, one that is not stored, and others that are no matter of it.
func restored() (*Book, *model.Endpoint) {
	b, s := &Book{}, model.NewState()
	s.Apply(model.Change{Network: model.NetworkChange{After: &model.Network{ID: "n1", Bridge: "gw-n1"}}})
	s.Apply(model.Change{Endpoints: []model.EndpointChange{{After: &model.Endpoint{ID: "known", NetworkID: "n1"}}}})
	orphan := &model.Endpoint{ID: "orphan", NetworkID: "n2"}
	b.Restore(s, map[string]spec.VethInfo{
		"known": {Moved: true, NetworkID: "n1"}, "orphan": {Moved: true, NetworkID: "n2"},
		"lost": {Moved: true, NetworkID: "n3"}, "outside": {NetworkID: "n3"}, "no id": {Moved: true},
	}, []*model.Endpoint{orphan})
	return b, orphan
}

// TestUnclaimed: what running containers use and no state knows is unclaimed, and nothing
// else; why nobody has claimed it is news once.
func TestUnclaimed(t *testing.T) {
	b, orphan := restored()
	if !b.Lacks("orphan") || !b.Lacks("lost") || len(b.Unclaimed()) != 2 {
		t.Errorf("unclaimed %v", b.Unclaimed())
	}
	if !b.On("n3") || b.On("n1") || b.Stored("orphan") != orphan {
		t.Errorf("on n3: %t, on n1: %t, stored %v", b.On("n3"), b.On("n1"), b.Stored("orphan"))
	}
	if news, again := b.Doubt("no engine"), b.Doubt("no engine"); !news || again {
		t.Errorf("news %t, and again %t", news, again)
	}
	text := b.Text()
	if !strings.Contains(text, "2 links of running containers (networks n2, n3)") || !strings.HasSuffix(text, "; no engine") {
		t.Errorf("text %q", text)
	}
}

// TestResolve: an endpoint is resolved once, and with the last one there is nothing to say.
func TestResolve(t *testing.T) {
	b, orphan := restored()
	for i, want := range []struct {
		id        string
		was, last bool
		stored    *model.Endpoint
	}{
		{"orphan", true, false, orphan}, {"orphan", false, false, nil}, {"known", false, false, nil}, {"lost", true, true, nil},
	} {
		if was, last, stored := b.Resolve(want.id); was != want.was || last != want.last || stored != want.stored {
			t.Errorf("resolved %d: %t, %t, %v, want %+v", i, was, last, stored, want)
		}
	}
	if b.Any() || b.Text() != "" || b.Doubt("no engine at all") {
		t.Errorf("left: %q", b.Text())
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
		has    map[string]string
		want   []string
	}{
		{"e1", map[string]string{"n1": "net-1"}, []string{"n0"}},
		{"e2", map[string]string{"n1": "net-1"}, []string{"n0", "n2"}},
		{"e1", nil, []string{"n0", "n1", "n2"}},
		{"e1", map[string]string{"n1": "net-1"}, []string{"n0", "n2"}},
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
