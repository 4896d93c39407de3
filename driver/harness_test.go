package driver

import (
	"testing"

	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/integration/testkit"
)

// newTestDriver returns a driver that has restored what the host has stored.
func newTestDriver(t testing.TB, f *fakeHost, boot string, with ...func(*Options)) *Driver {
	t.Helper()
	o := Options{
		Links: byType{f}, Host: f, Facts: f, Paths: f, Firewall: f, Ports: f, Flows: f, Store: f,
		BootID: boot, Log: testkit.Quiet(),
	}
	for _, change := range with {
		change(&o)
	}
	d := New(o)
	if err := d.Restore(t.Context()); err != nil {
		t.Fatalf("restore: %v", err)
	}
	return d
}

// state is the desired state, of which a test knows that nobody changes it.
func (d *Driver) state() *model.State {
	s, unlock := d.desired.Read()
	defer unlock()
	return s
}
