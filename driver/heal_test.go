package driver

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// strictHost is a fakeHost on which nothing may start to carry packets before
// the rules are there. Its Sync can be made to fail.
type strictHost struct {
	*fakeHost
	t       *testing.T
	strict  bool
	refuses error
	// slow is how long a comparison takes.
	slow    time.Duration
	syncs   int
	touched []string
}

func (h *strictHost) Sync(ctx context.Context, full firewall.Ruleset) ([]string, error) {
	if err := h.compare(); err != nil {
		return nil, err
	}
	return h.fakeHost.Sync(ctx, full)
}

func (h *strictHost) Repair(ctx context.Context) ([]string, error) {
	if err := h.compare(); err != nil {
		return nil, err
	}
	return h.fakeHost.Repair(ctx)
}

// compare is what comparisons have in common.
func (h *strictHost) compare() error {
	h.mu.Lock()
	h.syncs++
	h.mu.Unlock()
	time.Sleep(h.slow)
	return h.refuses
}

// damage takes away every network's rules.
func (h *strictHost) damage() {
	h.mu.Lock()
	defer h.mu.Unlock()
	damage[firewall.Network](h.fakeHost)
}

// compared returns how many comparisons there were so far.
func (h *strictHost) compared() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.syncs
}

func (h *strictHost) guarded(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.touched = append(h.touched, what)
	if h.strict && len(rulesOf[firewall.Network](h.fakeHost)) == 0 {
		h.t.Errorf("%s before the rules were in place", what)
	}
}

func (h *strictHost) EnsureBridge(ctx context.Context, b spec.Bridge) ([]string, error) {
	h.guarded("bridge")
	return h.fakeHost.EnsureBridge(ctx, b)
}

func (h *strictHost) EnableForwarding(ctx context.Context, v4, v6 bool) ([]string, error) {
	h.guarded("forwarding")
	return h.fakeHost.EnableForwarding(ctx, v4, v6)
}

func (h *strictHost) EnsureVeth(ctx context.Context, v spec.Veth) ([]string, error) {
	h.guarded("veth")
	return h.fakeHost.EnsureVeth(ctx, v)
}

// strict returns a driver on a strict host with one network and container.
func strict(t *testing.T, with ...func(*Options)) (*strictHost, *Driver) {
	t.Helper()
	h := &strictHost{fakeHost: newFakeHost(), t: t}
	with = append(with, func(o *Options) { o.Links, o.Host, o.Firewall = byType{h}, h, h })
	d := newTestDriver(t, h.fakeHost, "boot", with...)
	must(t, d.CreateNetwork(t.Context(), networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
	container(t, d, netA, ep1, "10.0.0.2/24", 8080, 80)
	return h, d
}

// TestRulesAreMendedFirst: nothing gets to carry packets before its network is
// isolated again, and without rules nothing does.
func TestRulesAreMendedFirst(t *testing.T) {
	h, d := strict(t)
	h.strict = true
	h.damage()
	clear(h.bridges)
	h.touched = nil
	h.refuses = errors.New("the kernel refuses")
	d.Reconcile(t.Context())
	if len(h.touched) != 0 {
		t.Errorf("without rules: %v", h.touched)
	}
	if s := d.Status(t.Context()); !strings.Contains(problem(s), "refuses") {
		t.Errorf("status %+v", s)
	}
	h.refuses = nil
	d.Reconcile(t.Context())
	if want := []string{"bridge", "forwarding", "veth"}; !slices.Equal(h.touched, want) {
		t.Errorf("mended %v, want %v", h.touched, want)
	}
	inSync(t, h.fakeHost, d)
	var kinds []string
	for _, e := range d.Events(t.Context(), 0, 0) {
		kinds = append(kinds, e.Kind)
	}
	if want := []string{events.Problem, events.Solved, events.Repair, events.Repair}; !slices.Equal(kinds, want) {
		t.Errorf("events %v, want %v", kinds, want)
	}
}

// TestKeepHealsAtOnce: a change is looked at as it comes, and without one from
// time to time.
func TestKeepHealsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, d := strict(t)
		change := keep(t, d)
		h.damage()
		change()
		time.Sleep(50 * time.Millisecond)
		inSync(t, h.fakeHost, d)
		h.damage()
		time.Sleep(5 * time.Second)
		inSync(t, h.fakeHost, d)
	})
}

// TestKeepLarge: where it takes long to compare everything that is done less often,
// and what is told is still looked at as it comes.
func TestKeepLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, d := strict(t)
		h.slow = 200 * time.Millisecond
		change := keep(t, d)
		time.Sleep(5 * time.Second)
		before := h.compared()
		time.Sleep(time.Minute)
		if n := h.compared() - before; n < 5 || n > 6 {
			t.Errorf("%d comparisons in a minute, of which each takes 200 ms", n)
		}
		h.damage()
		change()
		time.Sleep(500 * time.Millisecond)
		inSync(t, h.fakeHost, d)
	})
}

// TestKeepUnderNoise: changes that need no repair cost ever fewer comparisons,
// and what does need one is still seen.
func TestKeepUnderNoise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, d := strict(t)
		change := keep(t, d)
		before := h.compared()
		for range 6000 { // a minute
			change()
			time.Sleep(10 * time.Millisecond)
		}
		if n := h.compared() - before; n < 60 || n > 90 {
			t.Errorf("%d comparisons in a minute of noise", n)
		}
		h.damage()
		for range 95 {
			change()
			time.Sleep(10 * time.Millisecond)
		}
		inSync(t, h.fakeHost, d)
		time.Sleep(10 * time.Second)
		h.damage()
		change()
		time.Sleep(50 * time.Millisecond)
		inSync(t, h.fakeHost, d)
	})
}

// TestSlowManager: a manager that takes its time is no reason to look less often.
// Its start takes rules away, and its answers come late.
func TestSlowManager(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &fakeZones{in: map[string]bool{}}
		h, d := strict(t, func(o *Options) { o.Zones = z })
		z.takes = 4 * time.Second
		change := keep(t, d)
		change()
		time.Sleep(z.takes + 100*time.Millisecond)
		h.damage()
		change()
		time.Sleep(900 * time.Millisecond)
		inSync(t, h.fakeHost, d)
	})
}

// eventsOf lists the texts of the events of a kind.
func eventsOf(t *testing.T, d *Driver, kind string) []string {
	t.Helper()
	var texts []string
	for _, e := range d.Events(t.Context(), 0, 0) {
		if e.Kind == kind {
			texts = append(texts, e.Text)
		}
	}
	return texts
}
