package driver

import (
	"context"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/integration/testkit"
)

// carefulHost complains when forwarding is turned on before it is noted and closed.
type carefulHost struct {
	*fakeHost
	t      *testing.T
	router bool
}

func (h *carefulHost) EnableForwarding(ctx context.Context, v4, v6 bool) ([]string, error) {
	h.mu.Lock()
	turns := firewall.Families{V4: v4 && h.off.V4, V6: v6 && h.off.V6}
	if open := turns.Without(h.closed()); open != (firewall.Families{}) && !h.router {
		h.t.Errorf("%v is turned on before it is closed", open)
	}
	if noted := string(h.stored[model.HostKey]); turns.V4 && !strings.Contains(noted, `"Forwarding4":true`) {
		h.t.Errorf("turned on before that is noted: %s", noted)
	}
	h.mu.Unlock()
	return h.fakeHost.EnableForwarding(ctx, v4, v6)
}

// carefulDriver starts a driver on a host, as at a boot or after a restart.
func carefulDriver(t *testing.T, f *fakeHost, boot string, router bool) *Driver {
	t.Helper()
	h := &carefulHost{fakeHost: f, t: t, router: router}
	d := New(Options{
		Links: byType{h}, Host: h, Facts: h, Firewall: h, Ports: h, Flows: h, Store: h,
		BootID: boot, Router: router, Log: testkit.Quiet(),
	})
	must(t, d.Restore(t.Context()))
	return d
}

func (f *fakeHost) wantClosed(t *testing.T, when string, want firewall.Families) {
	t.Helper()
	if f.closed() != want {
		t.Errorf("%s: closed is %v, want %v", when, f.closed(), want)
	}
}

// TestForwardingCloses: the family that gangway turns on is closed first, and as long as
// the host runs: over the last network, a restart and a setting that opens it meanwhile.
func TestForwardingCloses(t *testing.T) {
	four := firewall.Families{V4: true}
	f := newFakeHost()
	f.off = firewall.Families{V4: true, V6: true}
	d := carefulDriver(t, f, "boot", false)
	must(t, d.CreateNetwork(t.Context(), networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
	f.wantClosed(t, "a network alone", firewall.Families{})
	container(t, d, netA, ep1, "10.0.0.2/24")
	f.wantClosed(t, "a container", four)
	if f.turned != four {
		t.Errorf("turned on %v", f.turned)
	}
	if s := d.Status(t.Context()); len(s.Closed) != 1 || s.Closed[0] != "IPv4" {
		t.Errorf("status says %v", s.Closed)
	}
	if n := d.Reconcile(t.Context()); n != 0 {
		t.Errorf("%d repairs", n)
	}
	clear(f.veths) // what does not survive is stored at the start, with the note
	carefulDriver(t, f, "boot", false)
	f.wantClosed(t, "after a restart", four)
	carefulDriver(t, f, "boot", true)
	f.wantClosed(t, "as a router", firewall.Families{})
	d = carefulDriver(t, f, "boot", false)
	f.wantClosed(t, "as a router no more", four)
	must(t, d.DeleteEndpoint(t.Context(), netA, ep1), d.DeleteNetwork(t.Context(), netA))
	f.wantClosed(t, "without networks", four)
	if n := d.Reconcile(t.Context()); n != 0 {
		t.Errorf("%d repairs without networks", n)
	}
	carefulDriver(t, f, "another boot", false)
	f.wantClosed(t, "after a boot", firewall.Families{})
}

// TestForwardingOn: what somebody else has turned on stays open, also when gangway is
// asked to be sure of it; who has turned it off meanwhile wants no router.
func TestForwardingOn(t *testing.T) {
	f := newFakeHost()
	d := carefulDriver(t, f, "boot", false)
	must(t, d.CreateNetwork(t.Context(), networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
	container(t, d, netA, ep1, "10.0.0.2/24")
	d.Reconcile(t.Context())
	f.wantClosed(t, "on before", firewall.Families{})
	f.off = firewall.Families{V4: true}
	d.Reconcile(t.Context())
	f.wantClosed(t, "turned off meanwhile", firewall.Families{V4: true})
}

// TestForwardingRouter: on a router nothing is closed, though it is noted.
func TestForwardingRouter(t *testing.T) {
	f := newFakeHost()
	f.off = firewall.Families{V4: true}
	d := carefulDriver(t, f, "boot", true)
	must(t, d.CreateNetwork(t.Context(), networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
	container(t, d, netA, ep1, "10.0.0.2/24")
	f.wantClosed(t, "router", firewall.Families{})
	if f.turned != (firewall.Families{V4: true}) {
		t.Errorf("turned on %v", f.turned)
	}
}

// TestForwardingFails: whatever fails on the way, a family that was turned on is closed
// and noted, and the next try ends well.
func TestForwardingFails(t *testing.T) {
	for at := 1; ; at++ {
		f := newFakeHost()
		f.off = firewall.Families{V4: true}
		d := carefulDriver(t, f, "boot", false)
		must(t, d.CreateNetwork(t.Context(), networkRequest(netA, "10.0.0.0/24", "10.0.0.1")),
			endpointErr(d.CreateEndpoint(t.Context(), endpointRequest(netA, ep1, "10.0.0.2/24"))))
		f.ops, f.failAt = 0, at
		err := joinErr(d.Join(t.Context(), netA, ep1, "/run/docker/netns/x", nil))
		if err == nil && f.ops < at {
			return
		}
		f.failAt = 0
		must(t, joinErr(d.Join(t.Context(), netA, ep1, "/run/docker/netns/x", nil)))
		f.wantClosed(t, "at last", firewall.Families{V4: true})
		d.Reconcile(t.Context())
		f.wantClosed(t, "checked", firewall.Families{V4: true})
	}
}
