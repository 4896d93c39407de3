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

// ID tells an object from all others.
type ID struct {
	Kind spec.Kind
	// Key is as in spec.Object.
	Key any
}

// IDOf returns an object's.
func IDOf(o spec.Object) ID { return ID{o.Kind(), o.Key()} }

// Diff says what leads from one plan to another. What is in both as it is, is in neither
// part of the delta. Of doubtful objects, which count in the place of those in before, it is
// not known whether, or how far, they are there: those that are to be there are made again,
// and the others taken away. One may be among them as several things.
func Diff(before, after Plan, doubtful ...spec.Object) (d Delta) {
	left := make(map[ID]old, len(before)+len(doubtful))
	for _, o := range before {
		left[IDOf(o)] = old{Object: o}
	}
	for _, o := range doubtful {
		left[IDOf(o)] = left[IDOf(o)].or(o)
	}
	done := make(map[ID]bool, len(after))
	for _, o := range after {
		is := IDOf(o)
		if done[is] {
			continue // another owner needs it as well
		}
		done[is] = true
		was, there := left[is]
		delete(left, is)
		if there {
			d.become(was, o)
		} else {
			d.come(o)
		}
	}
	for _, list := range []Plan{before, doubtful} {
		for _, o := range list {
			if was, goes := left[IDOf(o)]; goes {
				delete(left, IDOf(o))
				d.goes(was)
			}
		}
	}
	return d
}

// old is what there was, or may have been.
type old struct {
	spec.Object
	unsure bool
	// ors are further things that it may have been.
	ors []spec.Object
}

// or adds what it may have been.
func (w old) or(o spec.Object) old {
	if w.unsure && !same(w.Object, o) {
		return old{o, true, append(w.ors, w.Object)}
	}
	return old{o, true, w.ors}
}

// same compares two objects of one kind and key.
func same(a, b spec.Object) bool { return a.Key() == any(a) || reflect.DeepEqual(a, b) }

func (d *Delta) goes(was old) {
	for _, o := range was.ors {
		d.Rules.Remove.Add(o) // others are removed by their key
	}
	if !d.Rules.Remove.Add(was.Object) {
		d.Gone.add(was.Object)
	}
}

// become has an object that was there, or may have been, be what it should be.
func (d *Delta) become(was old, o spec.Object) {
	for _, or := range was.ors {
		if !same(or, o) {
			d.Rules.Remove.Add(or) // others are made what they should be, whatever they are
		}
	}
	switch {
	case !same(was.Object, o):
		d.replace(was.Object, o)
	case was.unsure:
		d.come(o)
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

// replace has an object become another. Joining removes what an endpoint's last container
// may have left of its pair. A container's pair that is to be another is mended: it
// cannot be made again.
func (d *Delta) replace(old, o spec.Object) {
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

// IsRule says whether an object is a rule of the firewall.
func IsRule(o spec.Object) bool { return new(firewall.Ruleset).Add(o) }

// Empty says that nothing is to be done.
func (d Delta) Empty() bool {
	return len(d.Gone)+len(d.Fresh)+len(d.Cut) == 0 && d.Rules.Empty()
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
			what := part.what
			if o.Kind() == spec.KindForwarding && what == "remove" {
				what = "keep" // nobody knows who relies on it meanwhile
			}
			lines = append(lines, what+" "+o.String())
		}
		more += max(0, len(part.list)-most)
	}
	if more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "; ")
}
