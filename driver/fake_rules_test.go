package driver

import (
	"context"
	"maps"
	"reflect"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// ruleID tells a rule from others.
type ruleID struct {
	kind spec.Kind
	key  any
}

// fakeRules are the firewall's rules of a fakeHost, of whatever kinds there are.
type fakeRules map[ruleID]spec.Object

func (r fakeRules) add(all []spec.Object) {
	for _, o := range all {
		r[ruleID{o.Kind(), o.Key()}] = o
	}
}

// rulesOf returns the rules of a type.
func rulesOf[T spec.Object](f *fakeHost) (all []T) {
	for _, o := range f.rules {
		if t, is := o.(T); is {
			all = append(all, t)
		}
	}
	return all
}

// damage removes the rules of a type.
func damage[T spec.Object](f *fakeHost) {
	maps.DeleteFunc(f.rules, func(_ ruleID, o spec.Object) bool { _, is := o.(T); return is })
}

// closed are the families that rules close.
func (f *fakeHost) closed() (all firewall.Families) {
	for _, c := range rulesOf[firewall.NoTransit](f) {
		all = all.With(firewall.Family(c.Six))
	}
	return all
}

func (f *fakeHost) Name() string { return "fake" }

func (f *fakeHost) Apply(_ context.Context, d firewall.Delta) error {
	unlock, err := f.step()
	if err != nil {
		return err
	}
	defer unlock()
	if d.Running {
		f.running++
	}
	for _, o := range d.Remove.All() {
		delete(f.rules, ruleID{o.Kind(), o.Key()})
	}
	f.rules.add(d.Add.All())
	f.lookForShadows()
	f.told = maps.Clone(f.rules)
	return nil
}

func (f *fakeHost) Repair(context.Context) ([]string, error) {
	unlock, err := f.step()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if f.told == nil {
		f.told = maps.Clone(f.rules)
	}
	return f.become(f.told), nil
}

func (f *fakeHost) Sync(_ context.Context, full firewall.Ruleset) ([]string, error) {
	unlock, err := f.step()
	if err != nil {
		return nil, err
	}
	defer unlock()
	want := fakeRules{}
	want.add(full.All())
	return f.become(want), nil
}

func (f *fakeHost) become(want fakeRules) (fixed []string) {
	if !reflect.DeepEqual(want, f.rules) {
		fixed = []string{"rules"}
	}
	f.rules, f.told = maps.Clone(want), maps.Clone(want)
	f.lookForShadows()
	return fixed
}

func (f *fakeHost) Cleanup(context.Context) error { return nil }
