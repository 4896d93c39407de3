package plan

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// TestConcerned: the plans of the owners that a change concerns differ by what the plans of the
// whole state differ by, whatever is there and whatever changes, options of networks among it.
func TestConcerned(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	s := model.NewState()
	for range 500 {
		c := randomChange(rnd, s)
		wholeBefore := Compile(s, Facts{})
		s.Apply(c)
		owners := Concerned(s, c)
		after, wholeAfter := compileAll(s, owners), Compile(s, Facts{})
		s.Apply(c.Inverse())
		before := compileAll(s, owners)
		s.Apply(c)
		want, got := words(Diff(wholeBefore, wholeAfter)), words(Diff(before, after))
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("change %s: (-by whole plans +by those concerned):\n%s", describe(c), d)
		}
	}
}

func compileAll(s *model.State, owners []Owner) (p Plan) {
	for _, o := range owners {
		p.add(SourceOf(s, o, Facts{}).Compile()...)
	}
	return p
}

// randomChange makes a network or changes its options, or makes, removes or changes an endpoint. There
// are few of each, so that containers are on several networks.
func randomChange(rnd *rand.Rand, s *model.State) model.Change {
	if len(s.Networks) < 3 {
		return model.Change{Network: model.NetworkChange{After: network(rnd, len(s.Networks))}}
	}
	if i := rnd.IntN(12); i < 3 {
		return model.Change{Network: model.NetworkChange{Before: s.Networks[fmt.Sprint("n", i)], After: network(rnd, i)}}
	}
	i := rnd.IntN(12)
	id := fmt.Sprint("e", i)
	c := model.EndpointChange{Before: s.Endpoints[id]}
	if c.Before == nil || rnd.IntN(3) > 0 {
		c.After = endpoint(rnd, id, i)
	}
	if e := c.After; e != nil && slices.ContainsFunc(s.Sandboxes[e.Sandbox], func(o *model.Endpoint) bool { return o.ID != id && o.NetworkID == e.NetworkID }) {
		left := e.Left() // no engine has a container on a network twice
		c.After = &left
	}
	return model.Change{Endpoints: []model.EndpointChange{c}}
}

func network(rnd *rand.Rand, i int) *model.Network {
	four, six := netip.MustParsePrefix(fmt.Sprintf("10.0.%d.0/24", i)), netip.MustParsePrefix(fmt.Sprintf("fd00:0:0:%d::/64", i))
	return &model.Network{
		ID: fmt.Sprint("n", i), Bridge: fmt.Sprint("gw-", i), Subnet4: four, Subnet6: six,
		Gateway4: netip.PrefixFrom(four.Addr().Next(), 24), Gateway6: netip.PrefixFrom(six.Addr().Next(), 64),
		Options: config.Network{Internal: i == 2, ICC: rnd.IntN(2) > 0, Masquerade: true, GatewayMode4: [...]config.GatewayMode{config.NAT, config.Routed}[rnd.IntN(2)]},
	}
}

func endpoint(rnd *rand.Rand, id string, i int) *model.Endpoint {
	e := &model.Endpoint{
		ID: id, NetworkID: fmt.Sprint("n", i%3), MAC: model.HardwareAddr{2, 0, 0, 0, 0, byte(i)},
		IPv4: netip.MustParsePrefix(fmt.Sprintf("10.0.%d.%d/24", i%3, i+2)), IPv6: netip.MustParsePrefix(fmt.Sprintf("fd00:0:0:%d::%d/64", i%3, i+2)),
	}
	if rnd.IntN(4) == 0 {
		return e
	}
	e.Sandbox = fmt.Sprint("/netns/", rnd.IntN(3))
	for range rnd.IntN(3) {
		port := uint16(8000 + rnd.IntN(4))
		e.Published = append(e.Published, spec.Published{
			Proto: spec.UDP, HostIP: netip.IPv4Unspecified(), First: port, Last: port, ContainerIP: e.IPv4.Addr(), ContainerFirst: port,
		})
	}
	return e
}

// words lists what a delta does, sorted, but for forwarding: a change does not know who else
// needs it, and nobody turns it off.
func words(d Delta) []string {
	all := map[string]bool{}
	for what, part := range map[string]Plan{
		"remove": d.Gone, "trim": d.Cut, "ensure": d.Fresh, "add rule": d.Rules.Add.All(), "remove rule": d.Rules.Remove.All(),
	} {
		for _, o := range part {
			if o.Kind() != spec.KindForwarding {
				all[fmt.Sprintf("%s %v", what, o)] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

func describe(c model.Change) string {
	return fmt.Sprintf("%+v %+v", c.Network, c.Endpoints)
}
