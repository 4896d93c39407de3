package driver

import (
	"context"
	"reflect"
	"slices"

	"github.com/gangway-net/gangway/driver/spec"
)

// byType is a host whose links are made by methods that tests override.
type byType struct {
	links interface {
		Linker
		EnsureBridge(ctx context.Context, b spec.Bridge) (fixed []string, err error)
		DeleteBridge(ctx context.Context, b spec.Bridge) error
		EnsureVeth(ctx context.Context, v spec.Veth) (fixed []string, err error)
		DeleteVeth(ctx context.Context, v spec.Veth) error
	}
}

func (l byType) Ensure(ctx context.Context, o spec.Object) ([]string, error) {
	switch o := o.(type) {
	case spec.Bridge:
		return l.links.EnsureBridge(ctx, o)
	case spec.Veth:
		return l.links.EnsureVeth(ctx, o)
	}
	return l.links.Ensure(ctx, o)
}

func (l byType) Remove(ctx context.Context, o spec.Object) error {
	switch o := o.(type) {
	case spec.Bridge:
		return l.links.DeleteBridge(ctx, o)
	case spec.Veth:
		return l.links.DeleteVeth(ctx, o)
	}
	return l.links.Remove(ctx, o)
}

func (l byType) LacksIPv6(ctx context.Context, v spec.Veth) (bool, error) {
	return l.links.LacksIPv6(ctx, v)
}

func (l byType) Amiss(ctx context.Context, all []spec.Object) ([]spec.Object, error) {
	return l.links.Amiss(ctx, all)
}

func (l byType) Strays(ctx context.Context, proxies []spec.NDPProxy, wanted []spec.Proxied) ([]spec.Proxied, error) {
	return l.links.Strays(ctx, proxies, wanted)
}

// Strays returns the addresses that are answered for by these proxies, and are not wanted.
func (f *fakeHost) Strays(_ context.Context, proxies []spec.NDPProxy, wanted []spec.Proxied) (strays []spec.Proxied, err error) {
	unlock, err := f.step()
	if err != nil {
		return nil, err
	}
	defer unlock()
	for _, o := range f.objects {
		a, is := o.(spec.Proxied)
		of := func(p spec.NDPProxy) bool { return p.Link == a.Link && p.Has(a.Address) }
		if is && slices.ContainsFunc(proxies, of) && !slices.Contains(wanted, a) {
			strays = append(strays, a)
		}
	}
	return strays, nil
}

// Amiss returns those of any other kind that are not as they say.
func (f *fakeHost) Amiss(_ context.Context, all []spec.Object) (amiss []spec.Object, err error) {
	unlock, err := f.step()
	if err != nil {
		return nil, err
	}
	defer unlock()
	for _, o := range all {
		if !reflect.DeepEqual(f.objects[ruleID{o.Kind(), o.Key()}], o) {
			amiss = append(amiss, o)
		}
	}
	return amiss, nil
}

// Ensure has an object of any other kind be there.
func (f *fakeHost) Ensure(_ context.Context, o spec.Object) ([]string, error) {
	unlock, err := f.step()
	if err != nil {
		return nil, err
	}
	defer unlock()
	id := ruleID{o.Kind(), o.Key()}
	if reflect.DeepEqual(f.objects[id], o) {
		return nil, nil
	}
	f.objects[id] = o
	return []string{o.String()}, nil
}

// Remove takes it away.
func (f *fakeHost) Remove(_ context.Context, o spec.Object) error {
	unlock, err := f.step()
	if err != nil {
		return err
	}
	defer unlock()
	delete(f.objects, ruleID{o.Kind(), o.Key()})
	return nil
}
