package facts

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
)

// TestListens: a UDP port counts once it was there at enough looks over enough time, a TCP port
// at once, and what is published is no service of the host's. One that counts stays for a
// while, and is fresh once.
func TestListens(t *testing.T) {
	var b Book
	s, now := model.NewState(), time.Unix(1000, 0)
	s.Apply(model.Change{Network: model.NetworkChange{After: &model.Network{ID: "n", Bridge: "gw-n"}}})
	s.Apply(model.Change{Endpoints: []model.EndpointChange{{After: &model.Endpoint{ID: "e", NetworkID: "n", Published: []spec.Published{
		{Proto: spec.TCP, HostIP: netip.IPv4Unspecified(), First: 50000, Last: 50000},
	}}}}})
	tcp, udp := spec.Listener{Proto: spec.TCP, Port: 40000}, spec.Listener{Proto: spec.UDP, Port: 51820}
	published := spec.Listener{Proto: spec.TCP, Port: 50000}
	b.Listens(s, map[spec.Listener]bool{}, nil, now)
	for i, c := range []struct {
		after time.Duration
		found []spec.Listener
		fresh int
		high  []firewall.HighPorts
	}{
		{time.Second, []spec.Listener{tcp, udp, published}, 0, []firewall.HighPorts{{Proto: spec.TCP, First: 50176, Last: 65535}}},
		{listenTime - time.Second, []spec.Listener{tcp, udp}, 0, []firewall.HighPorts{{Proto: spec.TCP, First: 50176, Last: 65535}}},
		{time.Second, []spec.Listener{tcp, udp}, 2, []firewall.HighPorts{{Proto: spec.TCP, First: 50176, Last: 65535}, {Proto: spec.UDP, First: 32768, Last: 51199}}},
		{time.Second, []spec.Listener{tcp}, 0, []firewall.HighPorts{{Proto: spec.TCP, First: 50176, Last: 65535}, {Proto: spec.UDP, First: 32768, Last: 51199}}},
		{forgetTime, []spec.Listener{tcp}, 0, []firewall.HighPorts{{Proto: spec.TCP, First: 50176, Last: 65535}}},
	} {
		now = now.Add(c.after)
		found := map[spec.Listener]bool{}
		for _, l := range c.found {
			found[l] = true
		}
		b.Listens(s, found, nil, now)
		high := b.Given(s, false).High
		if d := cmp.Diff(c.high, high); d != "" {
			t.Errorf("look %d (-want +got):\n%s", i, d)
		}
		if fresh := len(b.TakeFresh()); fresh != c.fresh {
			t.Errorf("look %d: %d runs are fresh, want %d", i, fresh, c.fresh)
		}
	}
	b.Listens(s, nil, errors.New("no answer"), now)
	if _, problem := b.SourcePorts(s); problem != "no answer" {
		t.Errorf("problem %q", problem)
	}
}

// TestGiven: what was told is given, and who leads outside is news once.
func TestGiven(t *testing.T) {
	var b Book
	s, links := model.NewState(), []spec.Outside{{Name: "eth0"}}
	if !b.LeadOutside(links) || b.LeadOutside(links) {
		t.Error("the same links are news again")
	}
	want := plan.Facts{Outside: links, Unclaimed: true}
	if d := cmp.Diff(want, b.Given(s, true)); d != "" {
		t.Errorf("facts (-want +got):\n%s", d)
	}
}
