package driver

import (
	"context"
	"fmt"
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
	c := spec.LinkCheck{Gone: map[string]bool{}, Amiss: map[string]bool{}, Outside: map[string]bool{}, Orphans: map[string]bool{}}
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
			c.Orphans[v.Host] = true
		}
	}
	for name := range f.bridges {
		if of.Has(name) && !slices.ContainsFunc(bridges, func(b spec.Bridge) bool { return b.Name == name }) {
			c.Orphans[name] = true
		}
	}
	return c, nil
}

// Hold takes the ports that f.busy does not name, and Lacking compares what was
// held or kept last.
func (f *fakeHost) Hold(_ context.Context, p spec.HostPorts) (held, unheld []string, err error) {
	unlock, err := f.step()
	if err != nil {
		return nil, nil, err
	}
	defer unlock()
	owner := p.Sandbox
	for _, r := range p.Runs {
		for i := range r.Len() {
			run := r.Published
			run.First, run.Last, run.ContainerFirst = r.First+uint16(i), r.First+uint16(i), r.ContainerFirst+uint16(i)
			line := fmt.Sprintf("published port %s %s:%d", run.Proto, run.HostIP, run.First)
			switch {
			case f.busy[run.First]:
				unheld = append(unheld, line+" is not held: in use by somebody")
			case !holdsPort(f.held[owner], run):
				f.held[owner] = append(f.held[owner], run)
				held = append(held, line)
			}
		}
	}
	return held, unheld, nil
}

func (f *fakeHost) bind(owner string, runs []spec.Published) {
	for _, r := range runs {
		if !holdsPort(f.held[owner], r) {
			f.held[owner] = append(slices.Clone(f.held[owner]), r)
		}
	}
}

func holdsPort(runs []spec.Published, p spec.Published) bool {
	return slices.ContainsFunc(runs, func(r spec.Published) bool {
		return r.Proto == p.Proto && r.HostIP == p.HostIP && r.First <= p.First && p.First <= r.Last
	})
}

func (f *fakeHost) Lacking(want []spec.HostPorts) (owners []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	known := map[string]bool{}
	for _, p := range want {
		known[p.Sandbox] = true
		for _, r := range p.Runs {
			for i := range r.Len() {
				one := r.Published
				one.First += uint16(i)
				if !holdsPort(f.held[p.Sandbox], one) && !slices.Contains(owners, p.Sandbox) {
					owners = append(owners, p.Sandbox)
				}
			}
		}
	}
	for owner := range f.held {
		if !known[owner] {
			owners = append(owners, owner)
		}
	}
	return owners
}

func (f *fakeHost) IPv6() bool { return !f.lacksIPv6 }
