package driver

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// delta is what leads from one plan to another.
type delta struct {
	// gone are the objects that go, fresh those that come, and those that stay as
	// something else.
	gone, fresh plan
	// cut are objects that stay as less than they were: pairs that are cut off, and
	// host ports, which have got what is new of them before.
	cut plan
	// rules is the firewall's part, which is one step. A rule that changes is removed
	// and added.
	rules firewall.Delta
}

// diff says what leads from one plan to another.
func diff(before, after plan) (d delta) {
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

func (d *delta) goes(o spec.Object) {
	if !d.rules.Remove.Add(o) {
		d.gone.add(o)
	}
}

func (d *delta) come(o spec.Object) {
	if v, pair := o.(spec.Veth); pair && v.Detached {
		return // it need not be there
	}
	if !d.rules.Add.Add(o) {
		d.fresh.add(o)
	}
}

// turn has an object become another. Joining removes what an endpoint's last container
// may have left of its pair. A container's pair that is to be another is mended: it
// cannot be made again.
func (d *delta) turn(old, o spec.Object) {
	if d.rules.Remove.Add(old) {
		d.rules.Add.Add(o)
		return
	}
	switch was := old.(type) {
	case spec.Veth:
		if was.Detached || o.(spec.Veth).Detached {
			d.gone.add(old)
		}
	case spec.HostPorts:
		d.cut.add(o)
	}
	d.come(o)
}

// leaving makes it a delta by which containers are left: their pairs are cut off
// rather than removed. The engine takes its end out of the container and puts it
// back where it was; one that it does not find any more stays in its list of the
// container's interfaces, of which docker stats then reads none.
func (d delta) leaving(after plan) delta {
	for _, v := range of[spec.Veth](after) {
		i := slices.IndexFunc(d.gone, func(o spec.Object) bool { return o.Kind() == v.Kind() && o.Key() == v.Key() })
		if v.Detached && i >= 0 {
			d.gone = slices.Delete(slices.Clone(d.gone), i, i+1)
			d.cut.add(v)
		}
	}
	return d
}

// String lists the objects for the log, the first ones of many: backends tell of rules in
// their own words.
func (d delta) String() string {
	var lines []string
	more := 0
	for _, part := range []struct {
		what string
		list plan
	}{
		{"remove", d.gone}, {"trim", d.cut}, {"remove", d.rules.Remove.All()}, {"add", d.rules.Add.All()}, {"ensure", d.fresh},
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
