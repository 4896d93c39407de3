package driver

import (
	"context"
	"reflect"
	"slices"

	"github.com/gangway-net/gangway/driver/spec"
)

func (f *fakeHost) Check(_ context.Context, of spec.Scope, bridges []spec.Bridge, veths []spec.Veth) (spec.LinkCheck, error) {
	unlock, err := f.step()
	if err != nil {
		return spec.LinkCheck{}, err
	}
	defer unlock()
	c := spec.LinkCheck{Gone: map[string]bool{}, Amiss: map[string]bool{}, Outside: map[string]bool{}, Strays: map[string]bool{}}
	known := map[string]bool{}
	for _, v := range veths {
		known[v.EndpointID] = true
		if !of.Has(v.Host) {
			continue
		}
		is, there := f.veths[v.EndpointID]
		if v.Detached {
			c.Amiss[v.EndpointID] = there && !is.Detached
			continue
		}
		c.Gone[v.EndpointID] = !there
		c.Amiss[v.EndpointID] = !reflect.DeepEqual(is, v)
		c.Outside[v.EndpointID] = there && f.outside[v.EndpointID]
	}
	for id, v := range f.veths {
		if of.Has(v.Host) && !known[id] {
			c.Strays[v.Host] = true
		}
	}
	for name := range f.bridges {
		if of.Has(name) && !slices.ContainsFunc(bridges, func(b spec.Bridge) bool { return b.Name == name }) {
			c.Strays[name] = true
		}
	}
	return c, nil
}
