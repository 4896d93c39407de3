package driver

import (
	"context"
	"errors"
	"slices"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
)

// kind says how objects of a kind are brought about, taken away, and compared with what
// is there.
type kind struct {
	of spec.Kind
	// ensure makes the object, or mends it.
	ensure func(ctx context.Context, o spec.Object) error
	// trim takes away what the object has beyond what it says; nil where ensure does.
	trim func(ctx context.Context, o spec.Object) error
	// remove takes it away; what is gone already is no error. It is nil for what stays.
	remove func(ctx context.Context, o spec.Object) error
	// check compares all objects of the kind with what is there, and mends what differs.
	// It is nil where that of another kind looks at these as well.
	check func(ctx context.Context, r *repair)
}

// kinds lists the kinds of objects in the order in which they come, and are checked; they
// go in the opposite one. The firewall's rules, which are one step both ways, have their
// place between first and then:
//   - Host ports come before rules lead there, and go after: nobody else gets a port that
//     rules still lead to a container.
//   - Links come after rules and go before, so that a container is never reachable
//     without its network's isolation.
//   - The manager of the host's firewall comes last: it may take its time.
func (d *Driver) kinds() (first, then []kind) {
	first = []kind{
		kindOf(spec.KindHostPorts, actions[spec.HostPorts]{d.holdPorts, d.keepPorts, d.releasePorts}, (*repair).hostPorts),
	}
	then = []kind{
		// One look shows all links.
		kindOf(spec.KindBridge, actions[spec.Bridge]{ensure: d.ensureBridge, remove: d.o.Links.DeleteBridge}, (*repair).checkLinks),
		kindOf(spec.KindForwarding, actions[spec.Forwarding]{ensure: d.ensureForwarding}, nil),
		kindOf(spec.KindPair, actions[spec.Veth]{d.ensurePair, d.ensurePair, d.o.Links.DeleteVeth}, nil),
		kindOf(spec.KindZone, actions[spec.Zone]{ensure: d.enterZone, remove: d.leaveZone}, (*repair).zones),
	}
	return first, then
}

// actions are those of a kind, for objects of its type.
type actions[T spec.Object] struct {
	ensure, trim, remove func(context.Context, T) error
}

func kindOf[T spec.Object](of spec.Kind, a actions[T], check func(*repair, context.Context)) kind {
	of1 := func(do func(context.Context, T) error) func(context.Context, spec.Object) error {
		if do == nil {
			return nil
		}
		return func(ctx context.Context, o spec.Object) error { return do(ctx, o.(T)) }
	}
	k := kind{of: of, ensure: of1(a.ensure), trim: of1(a.trim), remove: of1(a.remove)}
	if check != nil {
		k.check = func(ctx context.Context, r *repair) { check(r, ctx) }
	}
	return k
}

// apply makes the kernel follow a delta: each kind in its turn, as kinds has them. It
// stops at the first error where the caller undoes all; what is never undone goes on past
// errors, but for links without rules.
func (d *Driver) apply(ctx context.Context, dl plan.Delta, undone bool) error {
	d.o.Log.Debug(dl)
	first, then := d.kinds()
	failed := build(ctx, first, dl.Fresh, undone)
	if failed != nil && undone {
		return failed
	}
	failed = errors.Join(failed, takeAway(ctx, then, dl))
	if failed != nil && undone {
		return failed
	}
	var ruleless error
	if !dl.Rules.Empty() {
		ruleless = d.changeRules(ctx, dl.Rules)
		failed = errors.Join(failed, ruleless)
	}
	if ruleless == nil {
		failed = errors.Join(failed, build(ctx, then, dl.Fresh, undone))
	}
	if failed != nil && undone {
		return failed
	}
	return errors.Join(failed, takeAway(ctx, first, dl))
}

// build makes what comes of these kinds, in their order.
func build(ctx context.Context, kinds []kind, fresh plan.Plan, undone bool) (failed error) {
	for _, k := range kinds {
		for _, o := range fresh {
			if o.Kind() != k.of {
				continue
			}
			failed = errors.Join(failed, k.ensure(ctx, o))
			if failed != nil && undone {
				return failed
			}
		}
	}
	return failed
}

// takeAway removes what goes of these kinds, in the opposite order. It goes on past
// errors.
func takeAway(ctx context.Context, kinds []kind, dl plan.Delta) error {
	var errs []error
	for _, k := range slices.Backward(kinds) {
		for _, o := range dl.Cut {
			if o.Kind() == k.of {
				errs = append(errs, k.trim(ctx, o))
			}
		}
		for _, o := range dl.Gone {
			if o.Kind() == k.of && k.remove != nil {
				errs = append(errs, k.remove(ctx, o))
			}
		}
	}
	return errors.Join(errs...)
}

func (d *Driver) ensureBridge(ctx context.Context, b spec.Bridge) error {
	_, err := d.o.Links.EnsureBridge(ctx, b)
	return err
}

func (d *Driver) ensurePair(ctx context.Context, v spec.Veth) error {
	_, err := d.o.Links.EnsureVeth(ctx, v)
	return err
}

func (d *Driver) ensureForwarding(ctx context.Context, f spec.Forwarding) error {
	fixed, err := d.forward(ctx, firewall.Family(f.Six))
	for _, line := range fixed {
		d.o.Log.Info(line)
	}
	return err
}
