package nftables

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/gangway-net/gangway/driver/policy"
)

// policyRun is what a round is made with: known are the names by which somebody knows an
// address.
type policyRun struct {
	senders map[string]farSender
	known   func(from, to netip.Addr) []string
	rnd     *rand.Rand
	first   int
	used    modelUses
}

// learnAtRandom has containers learn addresses of names, and all who have a policy of some.
func learnAtRandom(t *testing.T, table *PolicyTable, all []policy.Binding, rnd *rand.Rand) func(from, to netip.Addr) []string {
	t.Helper()
	type pair struct{ from, to netip.Addr }
	known := map[pair][]string{}
	var list []policy.Learned
	learn := func(who policy.Who, p policy.Policy, from []netip.Addr) {
		for range rnd.IntN(6) {
			name, to := oneOf(rnd, "a.example", "x.b.example", "y.b.example"), netip.MustParseAddr(oneOf(rnd, append(slices.Clone(modelFar4), modelFar6[:9]...)...))
			for _, ports := range p.Opens(name) {
				if who.Addr.IsValid() && who.Addr.Is4() != to.Is4() {
					continue
				}
				list = append(list, policy.Learned{Who: who, Name: name, To: to, Ports: ports, Until: time.Now().Add(time.Hour)})
			}
			for _, a := range from {
				known[pair{a, to}] = append(known[pair{a, to}], name)
			}
		}
	}
	for _, b := range all {
		on := having(all, b)
		for _, a := range on {
			learn(policy.Who{Addr: a}, b.Policy(), []netip.Addr{a})
		}
		for _, other := range all { // equal policies share what is learned for all who have them
			if other.Texts == b.Texts && other.Key() != b.Key() {
				on = nil
			}
		}
		if on != nil {
			learn(policy.Who{Policy: b.Texts}, b.Policy(), on)
		}
	}
	if len(list) > 0 {
		if err := table.Learn(t.Context(), list); err != nil {
			t.Fatal(err)
		}
	}
	return func(from, to netip.Addr) []string { return known[pair{from, to}] }
}

// having are the containers for whom a binding is.
func having(all []policy.Binding, b policy.Binding) (on []netip.Addr) {
	for _, text := range append(slices.Clone(modelNear4), append(modelNear6, "10.2.0.4", "fd00:2::4")...) {
		a := netip.MustParseAddr(text)
		p, found := findPolicy(all, b.Bridge, a)
		if found && slices.ContainsFunc(b.Subnets, func(s netip.Prefix) bool { return s.Contains(a) }) && reflect.DeepEqual(p, b.Policy()) {
			on = append(on, a)
		}
	}
	return on
}

// isRead says that the packet begins a connection that is read for the name that it says.
func (s sentPacket) isRead(p policy.Policy) bool {
	return p.Reads() && s.Proto == 6 && slices.ContainsFunc(s.Names, func(name string) bool { return p.OpensTo(name, s.Port) })
}
