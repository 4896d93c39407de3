package driver

import (
	"context"
	"errors"
	"slices"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// kind says how objects of a kind are brought about and taken away.
type kind struct {
	of spec.Kind
	// ensure makes the object, or mends it.
	ensure func(ctx context.Context, o spec.Object) error
	// remove takes it away; what is gone already is no error. It is nil for what stays.
	remove func(ctx context.Context, o spec.Object) error
}

// kinds lists the kinds of objects in the order in which they come; they go in the
// opposite one. The firewall's rules are between: all that goes does so before them,
// and all that comes follows them, so that a container is never reachable without its
// network's isolation.
func (d *Driver) kinds() []kind {
	return []kind{
		kindOf(spec.KindBridge, d.ensureBridge, d.o.Links.DeleteBridge),
		kindOf(spec.KindZone, d.enterZone, d.leaveZone),
		kindOf(spec.KindForwarding, d.ensureForwarding, nil),
		kindOf(spec.KindPair, d.ensurePair, d.o.Links.DeleteVeth),
	}
}

func kindOf[T spec.Object](of spec.Kind, ensure, remove func(context.Context, T) error) kind {
	k := kind{of: of, ensure: func(ctx context.Context, o spec.Object) error { return ensure(ctx, o.(T)) }}
	if remove != nil {
		k.remove = func(ctx context.Context, o spec.Object) error { return remove(ctx, o.(T)) }
	}
	return k
}

// apply makes the kernel follow a delta: what goes, the rules both ways in one step,
// what comes. Removing goes on past errors; building stops at the first.
func (d *Driver) apply(ctx context.Context, dl delta) error {
	all := d.kinds()
	err := d.takeAway(ctx, all, dl)
	if !dl.rules.Empty() {
		err = errors.Join(err, d.changeRules(ctx, dl.rules))
	}
	if err != nil {
		return err
	}
	for _, k := range all {
		for _, o := range dl.fresh {
			if o.Kind() != k.of {
				continue
			}
			if err := k.ensure(ctx, o); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *Driver) takeAway(ctx context.Context, all []kind, dl delta) error {
	var errs []error
	for _, k := range slices.Backward(all) {
		for _, o := range dl.cut {
			if o.Kind() == k.of {
				errs = append(errs, k.ensure(ctx, o))
			}
		}
		for _, o := range dl.gone {
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
