package driver

import (
	"maps"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// recovery is what an engine says of withContainer's network.
func recovery() Recovery {
	a := Recovery{Engine: "this", Name: "net-a", Network: networkRequest(netA, "10.0.0.0/24", "10.0.0.1")}
	e := RecoveredEndpoint{CreateEndpointRequest: endpointRequest(netA, ep1, "10.0.0.2/24"), Sandbox: "/run/docker/netns/" + model.Short(ep1), Gateway: true, Ports: portmap(8080, 80)}
	e.MAC = net.HardwareAddr{0x02, 0x42, 10, 0, 0, 2}
	a.Endpoints = []RecoveredEndpoint{e}
	return a
}

// running is a host with a container whose network the driver knows, and that an
// engine has named, and what is stored of it.
func running(t *testing.T) (*fakeHost, map[string][]byte) {
	t.Helper()
	f, d := withContainer(t)
	claimed(t, d, inventory(netA), []string{netA}, nil)
	d.Wait()
	f.held = map[string][]spec.Published{} // sockets end with the process
	return f, maps.Clone(f.stored)
}

// kernel is what a host holds without sockets and store.
func (f *fakeHost) kernel() picture {
	p := f.picture()
	p.Held, p.Stored = nil, nil
	return p
}

// lose takes away what is stored under keys that begin so.
func (f *fakeHost) lose(prefix string) {
	maps.DeleteFunc(f.stored, func(key string, _ []byte) bool { return strings.HasPrefix(key, prefix) })
}

// TestLostState: whatever part of the stored state is lost, what running containers
// use stays as it is, also while verbs are about other networks; status says why. Once
// the engine has said what it has, everything is as before, in the store, too.
func TestLostState(t *testing.T) {
	for name, prefix := range map[string]string{"all": "", "networks": model.NetworkKeys, "endpoints": model.EndpointKeys} {
		t.Run(name, func(t *testing.T) {
			f, before := running(t)
			kernel := f.kernel()
			f.lose(prefix)
			d := newTestDriver(t, f, "boot")
			for range 2 {
				d.Reconcile(t.Context())
				if got := f.kernel(); !reflect.DeepEqual(kernel, got) {
					t.Fatalf("the kernel holds\n%+v\nwant\n%+v", got, kernel)
				}
			}
			doubted(t, d)
			otherNetwork(t, d)
			if got := f.kernel(); !reflect.DeepEqual(kernel, got) {
				t.Fatalf("after other verbs the kernel holds\n%+v\nwant\n%+v", got, kernel)
			}
			must(t, d.Recover(t.Context(), recovery()))
			if s := d.Status(t.Context()); len(degraded(s)) != 0 || s.Ports != 2 || d.owners.Any() {
				t.Errorf("status %+v", s)
			}
			d.Reconcile(t.Context())
			inSync(t, f, d)
			if got := f.kernel(); !reflect.DeepEqual(kernel, got) || len(f.held["/run/docker/netns/"+model.Short(ep1)]) == 0 {
				t.Errorf("at last the kernel holds\n%+v\nwant\n%+v\nports %v", got, kernel, f.held)
			}
			if !reflect.DeepEqual(before, f.stored) {
				t.Errorf("stored\n%s\nwant\n%s", f.stored, before)
			}
			torn(t, f, d)
		})
	}
}

// TestLostNetworks: what is stored of an endpoint is not lost with its network. A port
// that was left to gangway to choose stays the same, also if the process ends once
// more before the engine has said anything.
func TestLostNetworks(t *testing.T) {
	f, _ := running(t)
	d := newTestDriver(t, f, "boot")
	must(t, d.Publish(t.Context(), netA, ep1, portmap(0, 80)))
	kernel, before := f.kernel(), maps.Clone(f.stored)
	f.lose(model.NetworkKeys)
	for range 2 {
		d.Wait()
		f.held = map[string][]spec.Published{"other": nil, "another": nil, "third": nil} // another port would be chosen
		d = newTestDriver(t, f, "boot")
		d.Reconcile(t.Context())
	}
	a := recovery()
	a.Endpoints[0].Ports = portmap(0, 80)
	must(t, d.Recover(t.Context(), a))
	d.Reconcile(t.Context())
	inSync(t, f, d)
	if got := f.kernel(); !reflect.DeepEqual(kernel, got) || !reflect.DeepEqual(before, f.stored) || len(f.held["/run/docker/netns/"+model.Short(ep1)]) == 0 {
		t.Errorf("the kernel holds\n%+v\nwant\n%+v\nstored %s\nwant %s\nports %v", got, kernel, f.stored, before, f.held)
	}
	maps.DeleteFunc(f.held, func(owner string, _ []spec.Published) bool { return owner != "/run/docker/netns/"+model.Short(ep1) })
	torn(t, f, d)
}

// TestUnclaimedIsNotEmpty: a network whose endpoints are unclaimed makes room for no
// other one, and is not forgotten.
func TestUnclaimedIsNotEmpty(t *testing.T) {
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	first := networkRequest(netA, "10.0.0.0/24", "10.0.0.1")
	first.IPv4[0].Space = "s"
	must(t, d.CreateNetwork(t.Context(), first)) // no engine names it
	container(t, d, netA, ep1, "10.0.0.2/24", 8080, 80)
	f.held = map[string][]spec.Published{}
	f.lose(model.EndpointKeys)
	kernel := f.kernel()
	d = newTestDriver(t, f, "boot")
	next := networkRequest(netB, "10.0.0.0/24", "10.0.0.1")
	next.Exclusive = true
	next.IPv4[0].Space = "s"
	if err := d.CreateNetwork(t.Context(), next); err == nil {
		t.Error("another network has its subnet")
	}
	if gone, err := d.Forget(t.Context(), netA); gone || err != nil {
		t.Errorf("forgotten: %t, %v", gone, err)
	}
	if got := f.kernel(); !reflect.DeepEqual(kernel, got) {
		t.Errorf("the kernel holds\n%+v\nwant\n%+v", got, kernel)
	}
}

// TestAdoptUnclaimedOnly: an endpoint that the state knows, or that is in no container
// that the kernel shows, is left to the engine's calls.
func TestAdoptUnclaimedOnly(t *testing.T) {
	f, _ := running(t)
	f.lose("")
	d := newTestDriver(t, f, "boot")
	a := recovery()
	other := a.Endpoints[0]
	other.EndpointID, other.IPv4 = ep2, netip.MustParsePrefix("10.0.0.3/24")
	other.MAC, other.Ports = net.HardwareAddr{0x02, 0x42, 10, 0, 0, 3}, portmap(9090, 90)
	a.Endpoints = append(a.Endpoints, other)
	must(t, d.Recover(t.Context(), a))
	if s := d.Status(t.Context()); s.Endpoints != 1 || s.Ports != 2 {
		t.Errorf("status %+v", s)
	}
	// Known by now, it is not asked to publish anything else either.
	a.Endpoints[0].Ports = portmap(8081, 80)
	must(t, d.Recover(t.Context(), a))
	if f.held["/run/docker/netns/"+model.Short(ep1)][0].First != 8080 {
		t.Errorf("ports %v", f.held)
	}
}

// TestDisownedIsNotStored: what is stored of an endpoint goes with the doubt about it.
func TestDisownedIsNotStored(t *testing.T) {
	f, _ := running(t)
	f.lose(model.NetworkKeys)
	d := newTestDriver(t, f, "boot")
	d.Disown([]string{ep1})
	d.Reconcile(t.Context())
	if len(f.stored) != 1 || len(f.veths) != 0 { // the record of the boot stays
		t.Errorf("stored %s, links %v", f.stored, f.veths)
	}
}

// doubted fails the test unless status tells of the container, and nothing was mended.
func doubted(t *testing.T, d *Driver) {
	t.Helper()
	if s := d.Status(t.Context()); len(degraded(s)) != 1 || !strings.Contains(degraded(s)[0], model.Short(netA)) || s.Repairs != 0 || problem(s) != "" {
		t.Errorf("status %+v", s)
	}
	if got := d.Unclaimed(); !reflect.DeepEqual(got, map[string][]string{netA: {ep1}}) {
		t.Errorf("unclaimed %v", got)
	}
}

// otherNetwork makes another network with a container, and removes both.
func otherNetwork(t *testing.T, d *Driver) {
	t.Helper()
	must(t, d.CreateNetwork(t.Context(), networkRequest(netB, "10.0.1.0/24", "10.0.1.1")))
	container(t, d, netB, ep2, "10.0.1.2/24", 9090, 90)
	must(t, d.DeleteEndpoint(t.Context(), netB, ep2), d.DeleteNetwork(t.Context(), netB))
}

// torn removes the container and its network as an engine does, and fails the test if
// anything is left.
func torn(t *testing.T, f *fakeHost, d *Driver) {
	t.Helper()
	ctx := t.Context()
	must(t, d.Unpublish(ctx, netA, ep1), d.Leave(ctx, netA, ep1), d.DeleteEndpoint(ctx, netA, ep1), d.DeleteNetwork(ctx, netA))
	inSync(t, f, d)
	if len(f.bridges)+len(f.veths)+len(rulesOf[firewall.Port](f))+len(f.held) != 0 {
		t.Errorf("left: %+v", f.picture())
	}
}

// TestDisowned: what the engine does not have, and what is in no container any more,
// goes with the next check, and rules are compared again.
func TestDisowned(t *testing.T) {
	for name, end := range map[string]func(*fakeHost, *Driver){
		"of no engine": func(_ *fakeHost, d *Driver) { d.Disown([]string{ep1, "unknown"}) },
		"outside":      func(f *fakeHost, _ *Driver) { f.outside[ep1] = true },
		"gone":         func(f *fakeHost, _ *Driver) { delete(f.veths, ep1) },
	} {
		t.Run(name, func(t *testing.T) {
			f, _ := running(t)
			f.lose("")
			d := newTestDriver(t, f, "boot")
			end(f, d)
			d.Reconcile(t.Context())
			d.Reconcile(t.Context()) // the first one finds it
			inSync(t, f, d)
			if s := d.Status(t.Context()); len(degraded(s)) != 0 || len(f.veths)+len(f.bridges)+len(rulesOf[firewall.Port](f)) != 0 {
				t.Errorf("status %+v, left %+v", s, f.kernel())
			}
		})
	}
}

// TestAdoptFails: wherever it fails, nothing of the running container goes, and it
// succeeds when it is tried again.
func TestAdoptFails(t *testing.T) {
	for op := 1; ; op++ {
		f, before := running(t)
		kernel := f.kernel()
		f.lose("")
		d := newTestDriver(t, f, "boot")
		f.failAt = f.ops + op
		err := d.Recover(t.Context(), recovery())
		failed := f.ops >= f.failAt
		f.failAt = 0
		if failed == (err == nil) || !failed && d.owners.Any() {
			t.Fatalf("operation %d failed: %t, error %v, still unclaimed: %t", op, failed, err, d.owners.Any())
		}
		if got := f.kernel(); !reflect.DeepEqual(kernel, got) {
			t.Fatalf("operation %d: the kernel holds\n%+v\nwant\n%+v", op, got, kernel)
		}
		must(t, d.Recover(t.Context(), recovery()))
		d.Reconcile(t.Context())
		inSync(t, f, d)
		if got := f.kernel(); !reflect.DeepEqual(kernel, got) || d.owners.Any() || !reflect.DeepEqual(before, f.stored) {
			t.Errorf("operation %d: tried again, it left\n%+v\n%s", op, got, f.stored)
		}
		if !failed {
			return
		}
	}
}

// TestAdoptRefuses: what an engine says is checked as its calls are, and changes
// nothing if it does not hold.
func TestAdoptRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*Recovery){
		"bad network id": func(a *Recovery) { a.Network.ID = "../x" },
		"unknown option": func(a *Recovery) {
			a.Network.Options = map[string]any{"com.docker.network.generic": map[string]any{"x": "y"}}
		},
		"no subnet": func(a *Recovery) { a.Network.IPv4 = nil },
		"subnet of another": func(a *Recovery) {
			a.Network.IPv4[0].Subnet = netip.MustParsePrefix("10.0.1.0/24")
			a.Network.IPv4[0].Gateway = netip.MustParsePrefix("10.0.1.1/24")
		},
		"no address":            func(a *Recovery) { a.Endpoints[0].IPv4 = netip.Prefix{} },
		"address elsewhere":     func(a *Recovery) { a.Endpoints[0].IPv4 = netip.MustParsePrefix("10.0.9.2/24") },
		"the gateway's address": func(a *Recovery) { a.Endpoints[0].IPv4 = netip.MustParsePrefix("10.0.0.1/24") },
		"bad mac":               func(a *Recovery) { a.Endpoints[0].MAC = net.HardwareAddr{1, 2, 3} },
		"no sandbox":            func(a *Recovery) { a.Endpoints[0].Sandbox = "" },
		"bad ports":             func(a *Recovery) { a.Endpoints[0].Ports = portmap(8080, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			f, _ := running(t)
			f.lose("")
			d := newTestDriver(t, f, "boot")
			must(t, d.CreateNetwork(t.Context(), networkRequest(netB, "10.0.1.0/24", "10.0.1.1")))
			kernel, a := f.kernel(), recovery()
			spoil(&a)
			if err := d.Recover(t.Context(), a); err == nil {
				t.Error("recovered")
			}
			d.Reconcile(t.Context())
			got := f.kernel()
			if !reflect.DeepEqual(kernel, got) || !d.owners.Any() {
				t.Errorf("the kernel holds\n%+v\nwant\n%+v; still unclaimed: %t", got, kernel, d.owners.Any())
			}
		})
	}
}

// TestAdoptTheEnded: a container that has ended since the engine was asked is not
// taken back.
func TestAdoptTheEnded(t *testing.T) {
	f, _ := running(t)
	f.lose("")
	d := newTestDriver(t, f, "boot")
	f.outside[ep1] = true
	must(t, d.Recover(t.Context(), recovery()))
	d.Reconcile(t.Context())
	if s := d.Status(t.Context()); s.Networks != 1 || s.Endpoints != 0 || d.owners.Any() {
		t.Errorf("status %+v", s)
	}
	d.Reconcile(t.Context())
	inSync(t, f, d)
}

// TestDoubt: why nobody knows is told, once in the log.
func TestDoubt(t *testing.T) {
	f, _ := running(t)
	d := newTestDriver(t, f, "boot")
	d.Doubt("no engine") // all is known
	if s := d.Status(t.Context()); len(degraded(s)) != 0 {
		t.Errorf("status %+v", s)
	}
	f.lose("")
	f.held = map[string][]spec.Published{}
	zones := &fakeZones{in: map[string]bool{}}
	d = newTestDriver(t, f, "boot", func(o *Options) { o.Zones = zones })
	d.Doubt("no engine")
	if s := d.Status(t.Context()); len(degraded(s)) != 1 || !strings.Contains(s.Causes[0].What, "; no engine") {
		t.Errorf("status %+v", s)
	}
	z := slices.Concat(zones.want())
	if !slices.Contains(z, "gw-aaaaaaaaaaaa") {
		t.Errorf("an unclaimed bridge would leave the zone: %v", z)
	}
}

// TestUnclaimedRulesAreMended: rules that were there when gangway started come back when
// somebody removes them, though nobody has claimed them.
func TestUnclaimedRulesAreMended(t *testing.T) {
	f, _ := running(t)
	kernel := f.kernel()
	f.lose("")
	d := newTestDriver(t, f, "boot")
	damage[firewall.Port](f)
	if n := d.Reconcile(t.Context()); n != 1 {
		t.Errorf("%d repairs, want 1", n)
	}
	if got := f.kernel(); !reflect.DeepEqual(kernel, got) {
		t.Errorf("the kernel holds\n%+v\nwant\n%+v", got, kernel)
	}
}
