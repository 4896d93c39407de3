package driver

import (
	"context"
	"reflect"
	"slices"

	"github.com/gangway-net/gangway/driver/spec"
)

func (f *fakeHost) Check(_ context.Context, bridges []spec.Bridge, veths []spec.Veth) (spec.LinkCheck, error) {
	unlock, err := f.step()
	if err != nil {
		return spec.LinkCheck{}, err
	}
	defer unlock()
	c := spec.LinkCheck{Gone: map[string]bool{}, Amiss: map[string]bool{}}
	known := 0
	for _, v := range veths {
		is, there := f.veths[v.EndpointID]
		if there {
			known++
		}
		c.Gone[v.EndpointID] = !there
		c.Amiss[v.EndpointID] = !reflect.DeepEqual(is, v)
	}
	c.Strays = known < len(f.veths)
	for name := range f.bridges {
		if !slices.ContainsFunc(bridges, func(b spec.Bridge) bool { return b.Name == name }) {
			c.Strays = true
		}
	}
	return c, nil
}
