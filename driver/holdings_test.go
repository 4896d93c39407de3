package driver

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// A port that somebody took while the daemon was down: the others are held, the
// status names it, and it is held as soon as it is free.
func TestRestoreHoldsWhatItCan(t *testing.T) {
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	must(t, d.CreateNetwork(t.Context(), networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
	container(t, d, netA, ep1, "10.0.0.2/24", 8080, 80, 8081, 81)
	before := f.picture()
	f.held, f.busy = map[string][]spec.Published{}, map[uint16]bool{8080: true}
	d = newTestDriver(t, f, "boot")
	s := d.Status(t.Context())
	if len(degraded(s)) != 2 || !strings.HasPrefix(degraded(s)[0], "published port tcp 0.0.0.0:8080 is not held: ") || problem(s) != "" {
		t.Errorf("status: %+v, want both families of port 8080 to be degraded", s)
	}
	if !holdsPort(f.held["/run/docker/netns/"+model.Short(ep1)], spec.Published{Proto: 6, HostIP: netip.IPv4Unspecified(), First: 8081}) {
		t.Errorf("the other port is not held: %v", f.held)
	}
	if n := d.Reconcile(t.Context()); n != 0 || len(degraded(d.Status(t.Context()))) != 2 {
		t.Errorf("%d repairs of what cannot be repaired; status %+v", n, d.Status(t.Context()))
	}
	f.busy = nil
	if n := d.Reconcile(t.Context()); n != 2 {
		t.Errorf("%d repairs, want the port in both families", n)
	}
	if s = d.Status(t.Context()); len(degraded(s)) != 0 || problem(s) != "" {
		t.Errorf("status after it is free: %+v", s)
	}
	if after := f.picture(); !reflect.DeepEqual(before, after) {
		t.Errorf("after all:\n%+v\nbefore:\n%+v", after, before)
	}
	var kinds []string
	for _, e := range d.Events(t.Context(), 0, 0) {
		kinds = append(kinds, e.Kind)
	}
	if want := []string{events.Problem, events.Problem, events.Solved, events.Repair, events.Repair}; !slices.Equal(kinds, want) {
		t.Errorf("events %v, want %v", kinds, want)
	}
}

// Host ports are mended as links are: what is lost, and what nobody publishes.
func TestReconcileHostPorts(t *testing.T) {
	f, d := withContainer(t)
	before := f.picture()
	f.held["/run/docker/netns/"+model.Short(ep1)] = f.held["/run/docker/netns/"+model.Short(ep1)][:len(f.held["/run/docker/netns/"+model.Short(ep1)])-1]
	f.held["nobody"] = []spec.Published{{Proto: 6, HostIP: netip.IPv4Unspecified(), First: 7, Last: 7}}
	if n := d.Reconcile(t.Context()); n != 2 {
		t.Errorf("%d repairs, want one lost port and one of nobody", n)
	}
	if after := f.picture(); !reflect.DeepEqual(before, after) {
		t.Errorf("after:\n%+v\nbefore:\n%+v", after, before)
	}
	if n := d.Reconcile(t.Context()); n != 0 {
		t.Errorf("%d repairs afterwards", n)
	}
}

// What is published on every address of IPv6 is not told where the host has none.
func TestPortsWithoutIPv6(t *testing.T) {
	f, d := withContainer(t)
	with := d.Ports(t.Context())
	f.lacksIPv6 = true
	without := d.Ports(t.Context())
	six := slices.DeleteFunc(slices.Clone(with), func(p PortStatus) bool { return p.HostIP.Is4() })
	if len(six) == 0 || len(without) != len(with)-len(six) || slices.ContainsFunc(without, func(p PortStatus) bool { return p.HostIP.Is6() }) {
		t.Errorf("with IPv6 %v, without %v", with, without)
	}
}

// latePorts look while a verb is about to give up what a container held.
type latePorts struct{ HostPorts }

func (p latePorts) Lacking(want []spec.HostPorts) []string {
	lacking := p.HostPorts.Lacking(want)
	if len(want) > 0 {
		lacking = append(lacking, "sandbox-of-a-verb")
	}
	return lacking
}

// TestGivenUpMeanwhile: what a verb gives up while a comparison looks is no repair.
func TestGivenUpMeanwhile(t *testing.T) {
	f := newFakeHost()
	d := newTestDriver(t, f, "boot", func(o *Options) { o.Ports = latePorts{f} })
	must(t, d.CreateNetwork(t.Context(), networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
	container(t, d, netA, ep1, "10.0.0.2/24", 8080, 80)
	if n := d.Reconcile(t.Context()); n != 0 {
		t.Errorf("%d repairs: %v", n, eventsOf(t, d, events.Repair))
	}
}
