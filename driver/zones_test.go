package driver

import (
	"context"
	"errors"
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
	// takes is how long Sync waits.
	takes time.Duration
}

func (z *fakeZones) Enter(_ context.Context, bridge string) error {
	z.told = append(z.told, "enter "+bridge)
	if z.refuses == nil {
		z.in[bridge] = true
	}
	return z.refuses
}

func (z *fakeZones) Leave(_ context.Context, bridge string) error {
	z.told = append(z.told, "leave "+bridge)
	if z.refuses == nil {
		delete(z.in, bridge)
	}
	return z.refuses
}

func (z *fakeZones) Sync(_ context.Context, bridges []string) (fixed []string, err error) {
	z.told = append(z.told, "sync "+strings.Join(bridges, ","))
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
	d := newTestDriver(t, f, "boot")
	d.o.Zones = z
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
	if s := d.Status(ctx); !strings.Contains(s.Problem, "asleep") {
		t.Errorf("status %+v", s)
	}
	z.refuses = nil
	clear(z.in)
	if n := d.Reconcile(ctx); n != 1 {
		t.Errorf("repaired %d things, want 1", n)
	}
	if s := d.Status(ctx); s.Problem != "" || s.Repairs != 1 {
		t.Errorf("status %+v", s)
	}
	inSync(t, f, d)
}

// TestZonesComeLast: nothing passes the host's firewall by gangway's doing
// before its rules are in place.
func TestZonesComeLast(t *testing.T) {
	h, d := strict(t)
	z := &fakeZones{in: map[string]bool{}}
	d.o.Zones = z
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
