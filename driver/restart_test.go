package driver

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gangway-net/gangway/driver/drift"
	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

func bridgeInfo(kind string) spec.BridgeInfo { return spec.BridgeInfo{Exists: true, Kind: kind} }

func TestRestoreAfterRestart(t *testing.T) {
	f, _ := withContainer(t)
	before := f.picture()
	f.held = map[string][]spec.Published{} // sockets end with the process
	d := newTestDriver(t, f, "boot")
	if after := f.picture(); !reflect.DeepEqual(before, after) {
		t.Fatalf("a restart changed something:\n%+v\n%+v", before, after)
	}
	if n := d.Reconcile(t.Context()); n != 0 {
		t.Fatalf("restart is no fixed point: %d repairs", n)
	}
}

func TestRestoreAfterReboot(t *testing.T) {
	f := newFakeHost()
	d := newTestDriver(t, f, "boot 1")
	must(t, d.CreateNetwork(t.Context(), networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
	container(t, d, netA, ep1, "10.0.0.2/24", 8080, 80)
	f.reboot()
	d = newTestDriver(t, f, "boot 2")
	inSync(t, f, d)
	s := d.Status(t.Context())
	if s.Networks != 1 || s.Endpoints != 0 || len(f.bridges) != 1 || len(f.held) != 0 {
		t.Fatalf("after a reboot: %+v, bridges %v, ports %v", s, f.bridges, f.held)
	}
	must(t, d.Leave(t.Context(), netA, ep1), d.DeleteEndpoint(t.Context(), netA, ep1))
	container(t, d, netA, ep1, "10.0.0.2/24", 8080, 80)
	inSync(t, f, d)
}

func TestRestoreRefusesWhatItDoesNotUnderstand(t *testing.T) {
	for name, stored := range map[string]map[string][]byte{
		"garbage":        {"network/x": []byte("{")},
		"unknown key":    {"surprise": []byte("{}")},
		"other name":     {"network/x": []byte(`{"ID":"y"}`)},
		"bad host entry": {"host": []byte("1")},
		"newer part":     {"network/x": []byte(`{"ID":"x","Colour":"red"}`)},
		"two values":     {"network/x": []byte(`{"ID":"x"}{}`)},
	} {
		f := newFakeHost()
		f.stored = stored
		before := f.picture()
		d := New(Options{Links: byType{f}, Host: f, Facts: f, Firewall: f, Ports: f, Flows: f, Store: f, BootID: "b"})
		if err := d.Restore(t.Context()); err == nil {
			t.Errorf("%s: restored", name)
		}
		if after := f.picture(); !reflect.DeepEqual(before, after) {
			t.Errorf("%s: the store was changed", name)
		}
	}
}

func TestReconcileMends(t *testing.T) {
	f, d := withContainer(t)
	delete(f.bridges, "gw-aaaaaaaaaaaa")
	damage[firewall.Port](f)
	if n := d.Reconcile(t.Context()); n == 0 {
		t.Fatal("nothing was repaired")
	}
	inSync(t, f, d)
	if s := d.Status(t.Context()); s.Repairs == 0 || problem(s) != "" {
		t.Fatalf("status %+v", s)
	}
}

func TestReconcileCollectsLostEndpoints(t *testing.T) {
	for name, c := range map[string]struct {
		lose  func(f *fakeHost)
		after time.Duration
	}{
		"gone":    {func(f *fakeHost) { delete(f.veths, ep1) }, drift.LostTime},
		"outside": {func(f *fakeHost) { f.outside[ep1] = true }, drift.OutsideTime},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeHost()
				d := newTestDriver(t, f, "boot")
				must(t, d.CreateNetwork(t.Context(), networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
				container(t, d, netA, ep1, "10.0.0.2/24", 8080, 80)
				c.lose(f)
				for range 2 {
					d.Reconcile(t.Context())
					if s := d.Status(t.Context()); s.Endpoints != 1 {
						t.Fatal("collected at first sight: the engine may be about to tell")
					}
					time.Sleep(c.after / 2)
				}
				d.Reconcile(t.Context())
				if s := d.Status(t.Context()); s.Endpoints != 0 || len(f.held) != 0 || len(f.veths) != 0 {
					t.Fatalf("status %+v, held %v, links %v", s, f.held, f.veths)
				}
				inSync(t, f, d)
				if told := d.Events(t.Context(), 0, 0); len(told) != 1 || told[0].Kind != events.Lost {
					t.Fatalf("events %+v", told)
				}
			})
		})
	}
}

// TestOutsideForAMoment: a pair whose end gets into its container in time is not
// lost, and the time begins anew when it is outside again.
func TestOutsideForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, d := withContainer(t)
		for i := range 6 {
			f.outside[ep1] = i%2 == 0
			d.Reconcile(t.Context())
			time.Sleep(drift.OutsideTime - time.Second)
		}
		if s := d.Status(t.Context()); s.Endpoints != 1 {
			t.Fatalf("status %+v", s)
		}
		f.outside[ep1] = true
		d.Reconcile(t.Context())
		time.Sleep(drift.OutsideTime - time.Second)
		delete(f.veths, ep1) // the other way of being lost
		d.Reconcile(t.Context())
		time.Sleep(drift.LostTime - time.Second)
		d.Reconcile(t.Context())
		if s := d.Status(t.Context()); s.Endpoints != 1 {
			t.Fatalf("status %+v", s)
		}
	})
}

// TestLeaveKeepsTheLink: the engine finds the link that it gave to the container, cut
// off, until it deletes the endpoint or joins it again.
func TestLeaveKeepsTheLink(t *testing.T) {
	f, d := withContainer(t)
	joined := f.veths[ep1]
	must(t, d.Leave(t.Context(), netA, ep1))
	if v, there := f.veths[ep1]; !there || !v.Detached || v.Host != joined.Host || v.Peer != joined.Peer {
		t.Fatalf("after Leave: %t, %+v", there, v)
	}
	if len(rulesOf[firewall.Port](f))+len(f.held) != 0 {
		t.Errorf("after Leave: ports %v, held %v", rulesOf[firewall.Port](f), f.held)
	}
	must(t, joinErr(d.Join(t.Context(), netA, ep1, "/netns/2", nil)))
	if v := f.veths[ep1]; !reflect.DeepEqual(v, joined) {
		t.Errorf("joined again: %+v, want %+v", v, joined)
	}
	must(t, d.Leave(t.Context(), netA, ep1), d.DeleteEndpoint(t.Context(), netA, ep1))
	if len(f.veths) != 0 {
		t.Errorf("after DeleteEndpoint: %v", f.veths)
	}
	inSync(t, f, d)
}

// TestDeleteEndpointLost: an endpoint that left and that nobody deletes goes by
// itself with its link, whether the engine has put that back or not, and not before
// the engine had the time to.
func TestDeleteEndpointLost(t *testing.T) {
	for name, then := range map[string]func(t *testing.T, f *fakeHost, d *Driver) *Driver{
		"in the container": func(_ *testing.T, _ *fakeHost, d *Driver) *Driver { return d },
		"put back":         func(_ *testing.T, f *fakeHost, d *Driver) *Driver { f.outside[ep1] = true; return d },
		"gone with it":     func(_ *testing.T, f *fakeHost, d *Driver) *Driver { delete(f.veths, ep1); return d },
		"restarted":        func(t *testing.T, f *fakeHost, _ *Driver) *Driver { return newTestDriver(t, f, "boot") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeHost()
				d := newTestDriver(t, f, "boot")
				must(t, d.CreateNetwork(t.Context(), networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
				container(t, d, netA, ep1, "10.0.0.2/24", 8080, 80)
				must(t, d.Leave(t.Context(), netA, ep1))
				d = then(t, f, d)
				time.Sleep(joinTime - time.Second)
				d.Reconcile(t.Context())
				if s := d.Status(t.Context()); s.Endpoints != 1 || len(f.veths) == 0 && name != "gone with it" {
					t.Fatalf("too early: status %+v, links %v", s, f.veths)
				}
				time.Sleep(time.Second)
				d.Reconcile(t.Context())
				if s := d.Status(t.Context()); s.Endpoints != 0 || len(f.veths) != 0 {
					t.Fatalf("status %+v, links %v", s, f.veths)
				}
				inSync(t, f, d)
			})
		})
	}
}

// TestKilledInTheMiddleOfLeave: what was stored is done at the next start.
func TestKilledInTheMiddleOfLeave(t *testing.T) {
	f, d := withContainer(t)
	left := d.state().Endpoints[ep1].Left()
	must(t, model.Encode(f.stored, model.EndpointKeys+ep1, &left))
	f.held = map[string][]spec.Published{}
	d = newTestDriver(t, f, "boot")
	if v := f.veths[ep1]; !v.Detached || len(rulesOf[firewall.Port](f)) != 0 {
		t.Errorf("link %+v, ports %v", v, rulesOf[firewall.Port](f))
	}
	inSync(t, f, d)
}

// TestRestoreInTheMiddleOfJoin: an endpoint whose link was not made yet can join
// again, without its ports, and goes when nobody asks for it.
func TestRestoreInTheMiddleOfJoin(t *testing.T) {
	for _, again := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			f := newFakeHost()
			d := newTestDriver(t, f, "boot")
			must(t, d.CreateNetwork(t.Context(), networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
			container(t, d, netA, ep1, "10.0.0.2/24", 8080, 80)
			delete(f.veths, ep1)
			f.held = map[string][]spec.Published{}
			d = newTestDriver(t, f, "boot")
			if s := d.Status(t.Context()); s.Endpoints != 1 || s.Ports != 0 || len(f.held) != 0 {
				t.Fatalf("status %+v, held %v", s, f.held)
			}
			inSync(t, f, d)
			if again {
				must(t, joinErr(d.Join(t.Context(), netA, ep1, "/netns/1", nil)))
			}
			time.Sleep(joinTime)
			d.Reconcile(t.Context())
			if s := d.Status(t.Context()); (s.Endpoints == 1) != again {
				t.Fatalf("status %+v", s)
			}
			inSync(t, f, d)
		})
	}
}

func TestLostEndpointYieldsItsAddress(t *testing.T) {
	for name, lose := range map[string]func(f *fakeHost){
		"gone":    func(f *fakeHost) { delete(f.veths, ep1) },
		"outside": func(f *fakeHost) { f.outside[ep1] = true },
	} {
		t.Run(name, func(t *testing.T) {
			f, d := withContainer(t)
			lose(f)
			container(t, d, netA, ep2, "10.0.0.2/24", 8080, 80)
			inSync(t, f, d)
		})
	}
}

// verb is one step of a life that is run with faults.
type verb struct {
	name string
	run  func(t *testing.T, d *Driver) error
	// down says that the verb takes something away.
	down bool
}

func life() []verb {
	return []verb{
		{"create network", func(t *testing.T, d *Driver) error {
			return d.CreateNetwork(t.Context(), networkRequest(netA, "10.0.0.0/24", "10.0.0.1"))
		}, false},
		{"create endpoint", func(t *testing.T, d *Driver) error {
			return endpointErr(d.CreateEndpoint(t.Context(), endpointRequest(netA, ep1, "10.0.0.2/24")))
		}, false},
		{"join", func(t *testing.T, d *Driver) error { return joinErr(d.Join(t.Context(), netA, ep1, "/netns/1", nil)) }, false},
		{"publish", func(t *testing.T, d *Driver) error {
			return d.Publish(t.Context(), netA, ep1, portmap(8080, 80, 9090, 90))
		}, false},
		{"publish others", func(t *testing.T, d *Driver) error { return d.Publish(t.Context(), netA, ep1, portmap(9090, 91)) }, false},
		{"unpublish", func(t *testing.T, d *Driver) error { return d.Unpublish(t.Context(), netA, ep1) }, true},
		{"leave", func(t *testing.T, d *Driver) error { return d.Leave(t.Context(), netA, ep1) }, true},
		{"delete endpoint", func(t *testing.T, d *Driver) error { return d.DeleteEndpoint(t.Context(), netA, ep1) }, true},
		{"delete network", func(t *testing.T, d *Driver) error { return d.DeleteNetwork(t.Context(), netA) }, true},
	}
}

// TestFaultAtEveryStep fails the n-th operation of each verb for every n. A
// verb that builds leaves everything as before; one that takes away leaves, at
// the latest after the next check, what it leaves without a fault. The verb
// succeeds when it is repeated.
func TestFaultAtEveryStep(t *testing.T) {
	for target, v := range life() {
		for n := 1; ; n++ {
			f := newFakeHost()
			d := newTestDriver(t, f, "boot")
			for _, prior := range life()[:target] {
				must(t, prior.run(t, d))
			}
			before := f.picture()
			f.ops, f.failAt = 0, n
			err := v.run(t, d)
			if f.ops < n {
				break
			}
			f.failAt = 0
			if err == nil {
				t.Fatalf("%s: operation %d failed and nobody said so", v.name, n)
			}
			if after := f.picture(); !v.down && !reflect.DeepEqual(before, after) {
				t.Fatalf("%s, fault %d (%v): not as before:\n%+v\n%+v", v.name, n, err, before, after)
			}
			if err := v.run(t, d); err != nil {
				t.Fatalf("%s repeated after fault %d: %v", v.name, n, err)
			}
			d.Reconcile(t.Context())
			inSync(t, f, d)
			for _, next := range life()[target+1:] {
				must(t, next.run(t, d))
			}
			if got := f.picture(); len(got.Bridges)+len(got.Veths)+len(got.Detached)+len(got.Rules)+len(got.Held) != 0 {
				t.Fatalf("%s, fault %d: left behind at the end: %+v", v.name, n, got)
			}
		}
	}
}

// TestRandomVerbs runs random verbs, restarts and damage, and holds the
// invariants after each: kernel equals plan.Compile(state), restart is a fixed
// point, removing everything leaves nothing.
func TestRandomVerbs(t *testing.T) {
	for range 30 {
		seed := rand.Uint64()
		rng := rand.New(rand.NewPCG(seed, 1))
		f := newFakeHost()
		d := newTestDriver(t, f, "boot")
		empty := f.picture()
		for step := range 150 {
			d = randomStep(t, rng, f, d)
			want, got := expected(d), f.picture()
			got.Held, got.Stored, got.Detached = nil, nil, nil
			if !reflect.DeepEqual(want, got) {
				t.Fatalf("seed %d, step %d: kernel differs from state:\n%+v\n%+v", seed, step, want, got)
			}
		}
		for i := range 4 {
			must(t, d.DeleteNetwork(t.Context(), fmt.Sprintf("%d%s", i, strings.Repeat("a", 15))))
		}
		_ = d.RemovePolicy(t.Context(), "some") // it may not be there
		if got := f.picture(); !reflect.DeepEqual(empty, got) {
			t.Fatalf("seed %d: left behind: %+v", seed, got)
		}
	}
}

// randomStep runs one verb whose refusal is as welcome as its success.
func randomStep(t *testing.T, rng *rand.Rand, f *fakeHost, d *Driver) *Driver {
	ctx := t.Context()
	n, e := rng.IntN(4), rng.IntN(6)
	network := fmt.Sprintf("%d%s", n, strings.Repeat("a", 15))
	endpoint := fmt.Sprintf("%d%s", e, strings.Repeat("e", 15))
	switch rng.IntN(15) {
	case 0, 1:
		r := networkRequest(network, fmt.Sprintf("10.%d.0.0/24", n), fmt.Sprintf("10.%d.0.1", n))
		if rng.IntN(2) == 0 {
			r.Options = generic("gangway.policy", "some")
		}
		_ = d.CreateNetwork(ctx, r)
	case 12, 13, 14:
		randomPolicy(t, rng, d, Whom{network, endpoint})
	case 2, 3:
		_, _ = d.CreateEndpoint(ctx, endpointRequest(network, endpoint, netip.AddrFrom4([4]byte{10, byte(n), 0, byte(2 + rng.IntN(5))}).String()+"/24"))
	case 4, 5:
		_, _ = d.Join(ctx, network, endpoint, "/netns/"+endpoint, nil)
	case 6, 7:
		_ = d.Publish(ctx, network, endpoint, portmap(float64(8000+rng.IntN(4)), 80, float64(9000+rng.IntN(4)), 90))
	case 8:
		_ = d.Leave(ctx, network, endpoint)
	case 9:
		_ = d.DeleteEndpoint(ctx, network, endpoint)
	case 10:
		if rng.IntN(3) == 0 {
			_ = d.DeleteNetwork(ctx, network)
		}
	case 11:
		f.held = map[string][]spec.Published{}
		return newTestDriver(t, f, "boot")
	}
	return d
}
