package driver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// fakeZones is a firewall manager that may refuse, and notes who came and went.
type fakeZones struct {
	in      map[string]bool
	told    []string
	refuses error
	// takes is how long Sync waits, meanwhile what happens before it asks.
	takes     time.Duration
	meanwhile func()
	// during, if set, is what happens before somebody enters or leaves.
	during func()
	// want is who has to be in the zone, as Sync was told last.
	want func() (bridges, moving []string)
}

func (z *fakeZones) tell(what string) {
	if during := z.during; during != nil {
		z.during = nil
		during()
	}
	z.told = append(z.told, what)
}

func (z *fakeZones) Enter(_ context.Context, bridge string) error {
	z.tell("enter " + bridge)
	if z.refuses == nil {
		z.in[bridge] = true
	}
	return z.refuses
}

func (z *fakeZones) Leave(_ context.Context, bridge string) error {
	z.tell("leave " + bridge)
	if z.refuses == nil {
		delete(z.in, bridge)
	}
	return z.refuses
}

func (z *fakeZones) Sync(_ context.Context, want func() (bridges, moving []string)) (fixed []string, err error) {
	if z.meanwhile != nil {
		z.meanwhile()
	}
	z.want = want
	bridges, moving := want()
	z.told = append(z.told, strings.TrimSuffix("sync "+strings.Join(bridges, ",")+" but "+strings.Join(moving, ","), " but "))
	time.Sleep(z.takes)
	if z.refuses != nil {
		return nil, z.refuses
	}
	for _, b := range bridges {
		if !z.in[b] {
			z.in[b] = true
			fixed = append(fixed, b)
		}
	}
	return fixed, nil
}

// TestZones: bridges that gangway made are in the zone as long as they exist,
// and no firewall manager keeps a verb from being done.
func TestZones(t *testing.T) {
	f := newFakeHost()
	f.foreign["br9"] = bridgeInfo("bridge")
	z := &fakeZones{in: map[string]bool{}}
	d := newTestDriver(t, f, "boot", func(o *Options) { o.Zones = z })
	z.told = nil
	ctx := t.Context()
	told := func(what string, want ...string) {
		t.Helper()
		if !slices.Equal(z.told, want) {
			t.Errorf("%s: told %q, want %q", what, z.told, want)
		}
		z.told = nil
	}
	must(t, d.CreateNetwork(ctx, networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
	told("a network", "enter gw-aaaaaaaaaaaa")
	container(t, d, netA, ep1, "10.0.0.2/24", 8080, 80)
	told("a container")
	adopted := networkRequest(netB, "10.1.0.0/24", "10.1.0.1")
	adopted.Options = generic("com.docker.network.bridge.name", "br9")
	must(t, d.CreateNetwork(ctx, adopted))
	told("a network on somebody's bridge")
	if n := d.Reconcile(ctx); n != 0 {
		t.Errorf("repaired %d things", n)
	}
	told("a comparison", "sync gw-aaaaaaaaaaaa")

	z.refuses = errors.New("firewalld is asleep")
	must(t, d.DeleteNetwork(ctx, netB), d.Leave(ctx, netA, ep1), d.DeleteEndpoint(ctx, netA, ep1), d.DeleteNetwork(ctx, netA))
	told("networks that go", "leave gw-aaaaaaaaaaaa")
	must(t, d.CreateNetwork(ctx, networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
	d.Reconcile(ctx)
	told("a network", "enter gw-aaaaaaaaaaaa", "sync gw-aaaaaaaaaaaa")
	if s := d.Status(ctx); !strings.Contains(problem(s), "asleep") {
		t.Errorf("status %+v", s)
	}
	z.refuses = nil
	clear(z.in)
	if n := d.Reconcile(ctx); n != 1 {
		t.Errorf("repaired %d things, want 1", n)
	}
	if s := d.Status(ctx); problem(s) != "" || s.Repairs != 1 {
		t.Errorf("status %+v", s)
	}
	inSync(t, f, d)
}

// TestZonesComeLast: nothing passes the host's firewall by gangway's doing
// before its rules are in place.
func TestZonesComeLast(t *testing.T) {
	z := &fakeZones{in: map[string]bool{}}
	h, d := strict(t, func(o *Options) { o.Zones = z })
	z.told = nil
	h.damage()
	h.refuses = errors.New("the kernel refuses")
	d.Reconcile(t.Context())
	if len(z.told) != 0 {
		t.Errorf("without rules: %q", z.told)
	}
	h.refuses = nil
	d.Reconcile(t.Context())
	if !z.in["gw-aaaaaaaaaaaa"] {
		t.Errorf("told %q", z.told)
	}
}

// TestVerbsDuringZones: a manager that does not answer holds up no verb, on any
// network, and what they change is in what it is told in the end.
func TestVerbsDuringZones(t *testing.T) {
	f := newFakeHost()
	z := &fakeZones{in: map[string]bool{}}
	d := newTestDriver(t, f, "boot", func(o *Options) { o.Zones = z })
	z.told = nil
	ctx := t.Context()
	must(t, d.CreateNetwork(ctx, networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
	z.meanwhile = func() {
		container(t, d, netA, ep1, "10.0.0.2/24", 8080, 80)
		must(t, d.CreateNetwork(ctx, networkRequest(netB, "10.1.0.0/24", "10.1.0.1")))
		must(t, d.Leave(ctx, netA, ep1), d.DeleteEndpoint(ctx, netA, ep1), d.DeleteNetwork(ctx, netA))
	}
	if n := d.Reconcile(ctx); n != 0 {
		t.Errorf("repaired %d things", n)
	}
	if want := []string{"enter gw-aaaaaaaaaaaa", "enter gw-bbbbbbbbbbbb", "leave gw-aaaaaaaaaaaa", "sync gw-bbbbbbbbbbbb"}; !slices.Equal(z.told, want) {
		t.Errorf("told %q, want %q", z.told, want)
	}
	inSync(t, f, d)
}

// TestMovingBridges: a network that a verb is making, or removing, or that it cannot
// make after all, is left to the verb.
func TestMovingBridges(t *testing.T) {
	f := newFakeHost()
	z := &fakeZones{in: map[string]bool{}}
	d := newTestDriver(t, f, "boot", func(o *Options) { o.Zones = z })
	z.told = nil
	ctx := t.Context()
	compare := func() {
		bridges, moving := z.want()
		z.told = append(z.told, fmt.Sprint("wanted ", bridges, ", moving ", moving))
	}
	for _, step := range []func() error{
		func() error { return d.CreateNetwork(ctx, networkRequest(netA, "10.0.0.0/24", "10.0.0.1")) },
		func() error { return d.DeleteNetwork(ctx, netA) },
	} {
		z.during = compare
		must(t, step())
		compare()
	}
	// The bridge cannot be made: the manager has not been told of it, and need not be.
	f.failAt = f.ops + 4
	z.during = compare
	if err := d.CreateNetwork(ctx, networkRequest(netA, "10.0.0.0/24", "10.0.0.1")); err == nil {
		t.Error("no error")
	}
	compare()
	f.failAt = f.ops + 2 // the store
	if err := d.CreateNetwork(ctx, networkRequest(netB, "10.1.0.0/24", "10.1.0.1")); err == nil {
		t.Error("no error")
	}
	compare()
	want := []string{
		"wanted [], moving [gw-aaaaaaaaaaaa]", "enter gw-aaaaaaaaaaaa", "wanted [gw-aaaaaaaaaaaa], moving []",
		"wanted [], moving [gw-aaaaaaaaaaaa]", "leave gw-aaaaaaaaaaaa", "wanted [], moving []",
		"wanted [], moving []", "wanted [], moving []",
	}
	if !slices.Equal(z.told, want) {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(z.told, "\n"), strings.Join(want, "\n"))
	}
}
