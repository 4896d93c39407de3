package driver

import (
	"net/netip"
	"reflect"
	"slices"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// delta is the difference of two plans.
type delta struct {
	remove, add plan
	// detach are pairs that stay and are cut off.
	detach []spec.Veth
}

// leaving makes it a delta by which containers are left: their pairs are cut off
// rather than removed. The engine takes its end out of the container and puts it
// back where it was; one that it does not find any more stays in its list of the
// container's interfaces, of which docker stats then reads none.
func (d delta) leaving() delta {
	for _, v := range d.add.veths {
		i := slices.IndexFunc(d.remove.veths, func(o spec.Veth) bool { return v.Detached && o.EndpointID == v.EndpointID })
		if i >= 0 {
			d.remove.veths = slices.Delete(slices.Clone(d.remove.veths), i, i+1)
			d.detach = append(d.detach, v)
		}
	}
	return d
}

// diff says what leads from one plan to another. An element that differs in
// any field is removed and added. Joining removes what an endpoint's last
// container may have left of its pair.
func diff(before, after plan) delta {
	var d delta
	d.remove.bridges, d.add.bridges = difference(before.bridges, after.bridges)
	d.remove.veths, d.add.veths = difference(before.veths, after.veths)
	// A container's pair that is to be another is mended: it cannot be made again.
	d.remove.veths = slices.DeleteFunc(d.remove.veths, func(v spec.Veth) bool {
		return !v.Detached && slices.ContainsFunc(d.add.veths, func(o spec.Veth) bool { return !o.Detached && o.EndpointID == v.EndpointID })
	})
	d.remove.rules.Networks, d.add.rules.Networks = difference(before.rules.Networks, after.rules.Networks)
	d.remove.rules.Ports, d.add.rules.Ports = setDifference(before.rules.Ports, after.rules.Ports)
	d.remove.rules.Open, d.add.rules.Open = setDifference(before.rules.Open, after.rules.Open)
	d.remove.rules.Keep, d.add.rules.Keep = setDifference(before.rules.Keep, after.rules.Keep)
	d.remove.rules.Direct, d.add.rules.Direct = setDifference(before.rules.Direct, after.rules.Direct)
	d.remove.rules.Outside, d.add.rules.Outside = setDifference(before.rules.Outside, after.rules.Outside)
	d.remove.rules.Closed, d.add.rules.Closed = before.rules.Closed.Without(after.rules.Closed), after.rules.Closed.Without(before.rules.Closed)
	if len(d.add.veths) > 0 {
		d.add.forward = after.forward
	}
	return d
}

// difference is quadratic: a verb touches one bridge, one network and rarely
// more than one veth.
func difference[T any](before, after []T) (removed, added []T) {
	in := func(list []T, v T) bool {
		return slices.ContainsFunc(list, func(o T) bool { return reflect.DeepEqual(o, v) })
	}
	for _, v := range before {
		if !in(after, v) {
			removed = append(removed, v)
		}
	}
	for _, v := range after {
		if !in(before, v) {
			added = append(added, v)
		}
	}
	return removed, added
}

// setDifference is difference for what there may be thousands of.
func setDifference[T comparable](before, after []T) (removed, added []T) {
	old := make(map[T]bool, len(before))
	for _, p := range before {
		old[p] = true
	}
	for _, p := range after {
		if old[p] {
			delete(old, p)
			continue
		}
		added = append(added, p)
	}
	for _, p := range before {
		if old[p] {
			removed = append(removed, p)
		}
	}
	return removed, added
}

// stale is what tracked flows are judged by after a change.
type stale struct {
	// left are the addresses that are in no container any more.
	left []netip.Addr
	// bare are the addresses of containers that published UDP ports which they
	// do not publish any more.
	bare []netip.Addr
	// taken are the UDP runs that led elsewhere before, or nowhere; dropped are
	// those that lead nowhere now.
	taken, dropped []spec.Published
}

// staleFlows lists what c leaves of flows that would go on to where nobody
// expects them.
func staleFlows(c change) (s stale) {
	for _, e := range c.endpoints {
		var before, after []spec.Published
		if e.before != nil {
			before = e.before.Published
			s.left = append(s.left, e.left()...)
		}
		if e.after != nil {
			after = e.after.Published
		}
		gone, fresh := setDifference(before, after)
		for _, r := range fresh {
			if r.Proto == spec.UDP {
				s.taken = append(s.taken, r)
			}
		}
		for _, r := range gone {
			if r.Proto == spec.UDP {
				s.dropped = append(s.dropped, r)
			}
			if r.Proto == spec.UDP && byNAT(r) && !slices.Contains(s.left, r.ContainerIP) && !slices.Contains(s.bare, r.ContainerIP) {
				s.bare = append(s.bare, r.ContainerIP)
			}
		}
	}
	return s
}

// rules is the firewall's part of the delta.
func (d delta) rules() firewall.Delta {
	return firewall.Delta{Remove: d.remove.rules, Add: d.add.rules}
}
