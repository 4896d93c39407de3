package driver

import (
	"reflect"
	"testing"

	"github.com/gangway-net/gangway/driver/model"
)

// TestUndoNotStored: a change fails, and so does everything that would undo it. Once
// the host works again, the next check leaves state, store and kernel as they were
// before, and so does a restart. Changes that take away never come back, unless it was
// the store that refused.
func TestUndoNotStored(t *testing.T) {
	ctx := t.Context()
	for name, c := range map[string]struct {
		verb    func(d *Driver) error
		retires bool
	}{
		"CreateNetwork": {func(d *Driver) error { return d.CreateNetwork(ctx, networkRequest(netB, "10.0.1.0/24", "10.0.1.1")) }, false},
		"CreateEndpoint": {func(d *Driver) error {
			return endpointErr(d.CreateEndpoint(ctx, endpointRequest(netA, ep2, "10.0.0.3/24")))
		}, false},
		"Publish":       {func(d *Driver) error { return d.Publish(ctx, netA, ep1, portmap(8080, 80, 9090, 90)) }, false},
		"DeleteNetwork": {func(d *Driver) error { return d.DeleteNetwork(ctx, netA) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			for op := 1; ; op++ {
				f, d := withContainer(t)
				before := f.picture()
				f.failFrom = f.ops + op
				err := c.verb(d)
				failed := f.ops >= f.failFrom
				f.failFrom = 0
				if !failed {
					must(t, err)
					return
				}
				if err == nil {
					t.Fatalf("operation %d failed, and the verb did not", op)
				}
				d.Reconcile(ctx)
				after := f.picture()
				if after.Held = before.Held; c.retires && len(after.Rules) == 0 {
					before = picture{Stored: map[string]string{model.HostKey: before.Stored[model.HostKey]}}
					after = picture{Stored: after.Stored}
				}
				if !reflect.DeepEqual(before, after) {
					t.Errorf("operation %d: left\n%+v\nwant\n%+v", op, after, before)
				}
				inSync(t, f, d)
				if s := d.Status(ctx); problem(s) != "" {
					t.Errorf("operation %d: %s", op, problem(s))
				}
				if n := d.Reconcile(ctx); n != 0 {
					t.Errorf("operation %d: %d repairs at the second check", op, n)
				}
			}
		})
	}
}

// TestStoreRefuses: as long as the store takes nothing the check says so, and it ends with
// the first that it takes.
func TestStoreRefuses(t *testing.T) {
	f, d := withContainer(t)
	f.failAt = f.ops + 2 // the first is to look at the bridge
	if err := d.CreateNetwork(t.Context(), networkRequest(netB, "10.0.1.0/24", "10.0.1.1")); err == nil {
		t.Fatal("no error from a store that fails")
	}
	for n := 1; ; n++ {
		f.failAt = f.ops + n
		d.Reconcile(t.Context())
		if s := d.Status(t.Context()); len(d.desired.Unstored()) > 0 && problem(s) == "" {
			t.Errorf("operation %d of the check failed, and no problem is told", n)
		}
		if len(d.desired.Unstored()) == 0 {
			break
		}
	}
	f.failAt = 0
	d.Reconcile(t.Context())
	if s := d.Status(t.Context()); problem(s) != "" {
		t.Errorf("problem %q", problem(s))
	}
	inSync(t, f, d)
}
