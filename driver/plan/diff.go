package plan

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// Delta is what leads from one plan to another.
type Delta struct {
	// Gone are the objects that go, fresh those that come, and those that stay as
	// something else.
	Gone, Fresh Plan
	// Cut are objects that stay as less than they were: pairs that are cut off, and
	// host ports, which have got what is new of them before.
	Cut Plan
	// Rules is the firewall's part, which is one step. A rule that changes is removed
	// and added.
	Rules firewall.Delta
}

// Diff says what leads from one plan to another. What is in both as it is, is in neither
// part of the delta.
func Diff(before, after Plan) (d Delta) {
	type id struct {
		kind spec.Kind
		key  any
	}
	left := make(map[id]spec.Object, len(before))
	for _, o := range before {
		left[id{o.Kind(), o.Key()}] = o
	}
	done := map[id]bool{}
	for _, o := range after {
		is := id{o.Kind(), o.Key()}
		if done[is] {
			continue // another owner needs it as well
		}
		done[is] = true
		old, there := left[is]
		delete(left, is)
		switch {
		case !there:
			d.come(o)
		case !same(old, o):
			d.turn(old, o)
		}
	}
	for _, o := range before {
		is := id{o.Kind(), o.Key()}
		if _, goes := left[is]; goes {
			delete(left, is)
			d.goes(o)
		}
	}
	return d
}

// same compares two objects of one kind and key.
func same(a, b spec.Object) bool { return a.Key() == any(a) || reflect.DeepEqual(a, b) }

func (d *Delta) goes(o spec.Object) {
	if !d.Rules.Remove.Add(o) {
		d.Gone.add(o)
	}
}

func (d *Delta) come(o spec.Object) {
	if v, pair := o.(spec.Veth); pair && v.Detached {
		return // it need not be there
	}
	if !d.Rules.Add.Add(o) {
		d.Fresh.add(o)
	}
}

// turn has an object become another. Joining removes what an endpoint's last container
// may have left of its pair. A container's pair that is to be another is mended: it
// cannot be made again.
func (d *Delta) turn(old, o spec.Object) {
	if d.Rules.Remove.Add(old) {
		d.Rules.Add.Add(o)
		return
	}
	switch was := old.(type) {
	case spec.Veth:
		if was.Detached || o.(spec.Veth).Detached {
			d.Gone.add(old)
		}
	case spec.HostPorts:
		d.Cut.add(o)
	}
	d.come(o)
}

// Leaving makes it a delta by which containers are left: their pairs are cut off
// rather than removed. The engine takes its end out of the container and puts it
// back where it was; one that it does not find any more stays in its list of the
// container's interfaces, of which docker stats then reads none.
func (d Delta) Leaving(after Plan) Delta {
	for _, v := range Of[spec.Veth](after) {
		i := slices.IndexFunc(d.Gone, func(o spec.Object) bool { return o.Kind() == v.Kind() && o.Key() == v.Key() })
		if v.Detached && i >= 0 {
			d.Gone = slices.Delete(slices.Clone(d.Gone), i, i+1)
			d.Cut.add(v)
		}
	}
	return d
}

// String lists the objects for the log, the first ones of many: backends tell of rules in
// their own words.
func (d Delta) String() string {
	var lines []string
	more := 0
	for _, part := range []struct {
		what string
		list Plan
	}{
		{"remove", d.Gone}, {"trim", d.Cut}, {"remove", d.Rules.Remove.All()}, {"add", d.Rules.Add.All()}, {"ensure", d.Fresh},
	} {
		const most = 10
		for _, o := range part.list[:min(len(part.list), most)] {
			lines = append(lines, part.what+" "+o.String())
		}
		more += max(0, len(part.list)-most)
	}
	if more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "; ")
}
