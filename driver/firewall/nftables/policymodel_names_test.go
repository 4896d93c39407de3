package nftables

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/policy"
)

// policyRun is what a round is made with: known are the names by which a packet may pass.
type policyRun struct {
	senders map[string]farSender
	known   func(s sentPacket) []string
	rnd     *rand.Rand
	first   int
	used    modelUses
}

// modelNames is what was learned of names.
type modelNames struct{ all []policy.Learned }

// learnAtRandom has containers learn addresses of names, and all who have a policy of some.
func (m *modelNames) learnAtRandom(t *testing.T, table *PolicyTable, all []policy.Binding, rnd *rand.Rand) {
	t.Helper()
	var list []policy.Learned
	until := time.Now().Add(time.Hour)
	learn := func(who policy.Who, texts config.Policy) {
		p, err := policy.Of(texts)
		if err != nil {
			t.Fatal(err)
		}
		for range rnd.IntN(6) {
			name, to := oneOf(rnd, "a.example", "x.b.example", "y.b.example"), netip.MustParseAddr(oneOf(rnd, append(slices.Clone(modelFar4), modelFar6[:9]...)...))
			for _, ports := range p.Opens(name) {
				if !who.Addr.IsValid() || who.Addr.Is4() == to.Is4() {
					list = append(list, policy.Learned{Who: who, By: texts, Name: name, To: to, Ports: ports, Until: until})
				}
			}
		}
	}
	for _, b := range all {
		for _, a := range having(all, b) {
			learn(policy.Who{Addr: a}, b.Texts)
		}
		learn(policy.Who{Policy: b.Texts}, b.Texts)
	}
	if len(list) > 0 {
		if err := table.Learn(t.Context(), list); err != nil {
			t.Fatal(err)
		}
	}
	m.all = append(m.all, list...)
}

// known are the names by which a container has learned of where it sends a packet.
func (m *modelNames) known(all []policy.Binding, s sentPacket) (names []string) {
	if !s.Near {
		return nil
	}
	b, found := boundOf(all, "gw-"+s.link[2:], s.From)
	for _, l := range m.all {
		own := l.Addr == s.From || !l.Addr.IsValid() && found && l.Policy == b.Texts
		if own && l.To == s.To && has(l.Ports, s) {
			names = append(names, l.Name)
		}
	}
	return names
}

// has says whether a packet is for some of these ports.
func has(p config.Ports, s sentPacket) bool {
	switch {
	case p.All():
		return true
	case p.Proto != 0 && p.Proto != s.Proto || s.Proto != 6 && s.Proto != 17 && s.Proto != 132:
		return false
	}
	return p.First == 0 || p.First <= s.Port && s.Port <= p.Last
}

// become is what is left of it where bindings change: what their policies still allow. What all
// have learned who had a policy is that of the one which takes its place.
func (m *modelNames) become(before, after []policy.Binding) {
	place := successors(before, after)
	m.all = slices.DeleteFunc(slices.Clone(m.all), func(l policy.Learned) bool {
		of, there := place[l.Policy]
		if l.Addr.IsValid() {
			of, there = whoseAddress(after, l.Addr)
		}
		p, _ := policy.Of(of)
		return !there || !slices.Contains(p.Opens(l.Name), l.Ports)
	})
	for i, l := range m.all {
		if !l.Addr.IsValid() {
			m.all[i].Policy = place[l.Policy]
		}
	}
}

// successors are the policies by which others go on: themselves where somebody has them still, or
// else the first one that was nobody's.
func successors(before, after []policy.Binding) map[config.Policy]config.Policy {
	had, has := map[config.Policy]bool{}, map[config.Policy]bool{}
	at := map[any]policy.Binding{}
	for _, b := range before {
		had[b.Texts], at[b.Key()] = true, b
	}
	for _, b := range after {
		has[b.Texts] = true
	}
	place, taken := map[config.Policy]config.Policy{}, map[config.Policy]bool{}
	for p := range had {
		if has[p] {
			place[p] = p
		}
	}
	sorted := slices.SortedFunc(slices.Values(after), func(a, b policy.Binding) int { return strings.Compare(a.Key().(string), b.Key().(string)) })
	for _, b := range sorted {
		from, there := at[b.Key()]
		if _, goes := place[from.Texts]; there && !goes && !had[b.Texts] && !taken[b.Texts] {
			place[from.Texts], taken[b.Texts] = b.Texts, true
		}
	}
	return place
}

// whoseAddress is the policy that counts for a container's address.
func whoseAddress(all []policy.Binding, a netip.Addr) (config.Policy, bool) {
	for n, bridge := range []string{"gw-a", "gw-b"} {
		own := prefixes([]string{"10.1.0.0/16", "10.2.0.0/16"}[n], []string{"fd00:1::/64", "fd00:2::/64"}[n])
		if own[0].Contains(a) || own[1].Contains(a) {
			b, found := boundOf(all, bridge, a)
			return b.Texts, found
		}
	}
	return config.Policy{}, false
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
