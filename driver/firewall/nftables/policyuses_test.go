package nftables

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/policy"
)

// decided is an entry of a policy that lets pass, or refuses.
type decided struct {
	texts  config.Policy
	entry  policy.Entry
	passes bool
}

// modelUses is how often the model says that entries have decided.
type modelUses map[decided]uint64

// note adds what decides about a packet, until somebody drops it.
func (u modelUses) note(all []policy.Binding, s sentPacket) {
	host := slices.Contains(modelHost, s.To.String())
	if s.Near && !u.sent(all, s, host) {
		return
	}
	to := s.translated(host)
	for n, bridge := range []string{"gw-a", "gw-b"} {
		own := prefixes([]string{"10.1.0.0/16", "10.2.0.0/16"}[n], []string{"fd00:1::/64", "fd00:2::/64"}[n])
		if !own[0].Contains(to) && !own[1].Contains(to) || slices.Contains(modelHost, to.String()) || own[0].Contains(s.From) || own[1].Contains(s.From) {
			continue
		}
		if b, found := boundOf(all, bridge, to); found && !b.Policy().Everybody {
			u.add(b, b.Policy().WhyAdmitted(s.Packet))
		}
	}
}

// sent adds what decides where a packet is sent, and says whether it goes on.
func (u modelUses) sent(all []policy.Binding, s sentPacket, host bool) bool {
	bridge := "gw-" + s.link[2:]
	b, found := boundOf(all, bridge, s.From)
	p := b.Policy()
	guarded := slices.ContainsFunc(all, func(b policy.Binding) bool { return b.Bridge == bridge && b.Policy().Outward() })
	switch {
	case !found || !guarded: // who refuses nothing is counted beside others
		return true
	case p.Asks() && s.Port == 53 && s.Proto != 132:
		return false // it is the resolver's, which no entry counts, and nobody else's
	}
	v := p.Why(s.Packet, host)
	u.add(b, v)
	return v.Passes || p.Audit
}

// add leaves out what is open, of which nothing is counted.
func (u modelUses) add(b policy.Binding, v policy.Verdict) {
	open := v.Passes && (v.By == policy.Entry{Option: policy.OptionEgress, Value: config.EgressOpen} || v.By == policy.Entry{Option: policy.OptionHost, Value: config.Any})
	if !open {
		u[decided{b.Texts, v.By, v.Passes}]++
	}
}

// boundOf is findPolicy with whose it is.
func boundOf(all []policy.Binding, bridge string, a netip.Addr) (policy.Binding, bool) {
	for _, own := range []bool{true, false} {
		for _, b := range all {
			if b.Bridge == bridge && (own && slices.Contains(b.Addrs, a) || !own && b.EndpointID == "") {
				return b, true
			}
		}
	}
	return policy.Binding{}, false
}

// kernelUses is how often the kernel says so.
func kernelUses(t *testing.T, table *PolicyTable) modelUses {
	t.Helper()
	list, err := table.Uses(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	is := modelUses{}
	for _, usage := range list {
		for _, e := range usage.Entries {
			if e.Packets > 0 {
				is[decided{usage.Texts, e.Entry, e.Passes}] = e.Packets
			}
			if e.Packets > 0 != (e.Bytes > 0) {
				t.Errorf("%+v", e)
			}
		}
	}
	return is
}

// compare demands that the kernel has counted the same since it had counted so much, and that this
// is no damage. Of names for several ports, the model does not know which ones the kernel asks first.
func (u modelUses) compare(t *testing.T, table *PolicyTable, base modelUses) {
	t.Helper()
	is := kernelUses(t, table)
	table.seen = 0
	if lines, err := table.Repair(t.Context()); err != nil || len(lines) > 0 {
		t.Errorf("what was counted is repaired: %v (%v)", lines, err)
	}
	for d, n := range base {
		is[d] -= n
	}
	for _, d := range slices.Concat(keys(u), keys(is)) {
		if u[d] != is[d] && !strings.Contains(d.entry.Value, "example") {
			t.Errorf("%+v: %s (passes: %t) has decided %d times, want %d", d.texts, d.entry, d.passes, is[d], u[d])
			delete(u, d)
			delete(is, d)
		}
	}
}

func keys(u modelUses) (all []decided) {
	for d := range u {
		all = append(all, d)
	}
	return all
}
