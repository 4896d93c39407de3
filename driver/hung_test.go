package driver

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
	"github.com/gangway-net/gangway/integration/testkit"
)

// hungHost is a fakeHost on which what wants says takes as long as the test wants.
type hungHost struct {
	*fakeHost
	hangs func(what string) <-chan struct{}
}

func (h *hungHost) wait(what string) {
	if released := h.hangs(what); released != nil {
		<-released
	}
}

func (h *hungHost) EnsureVeth(ctx context.Context, v spec.Veth) ([]string, error) {
	h.wait("veth " + v.EndpointID)
	return h.fakeHost.EnsureVeth(ctx, v)
}

func (h *hungHost) Apply(ctx context.Context, d firewall.Delta) error {
	for _, n := range d.Add.Networks {
		h.wait("rules " + n.ID)
	}
	return h.fakeHost.Apply(ctx, d)
}

// hung returns a driver with a network and a container on it, for which what names hangs
// until release is called.
func hung(t *testing.T, what string) (h *hungHost, d *Driver, release func()) {
	t.Helper()
	released := make(chan struct{})
	h = &hungHost{fakeHost: newFakeHost(), hangs: func(string) <-chan struct{} { return nil }}
	d = New(Options{
		Links: byType{h}, Host: h, Facts: h, Firewall: h, Ports: h, Flows: h, Store: h,
		BootID: "boot", Log: testkit.Quiet(),
	})
	must(t, d.Restore(t.Context()))
	must(t, d.CreateNetwork(t.Context(), networkRequest(netB, "10.1.0.0/24", "10.1.0.1")))
	container(t, d, netB, ep2, "10.1.0.2/24", 9090, 90)
	h.hangs = func(is string) <-chan struct{} {
		if strings.HasPrefix(is, what) {
			return released
		}
		return nil
	}
	return h, d, func() { close(released) }
}

// TestHungLink: while the kernel does not answer for one network's link, other networks
// are served and mended as ever, and the status names what hangs.
func TestHungLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, d, release := hung(t, "veth "+ep1)
		keep(t, d)
		must(t, d.CreateNetwork(t.Context(), networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
		must(t, endpointErr(d.CreateEndpoint(t.Context(), endpointRequest(netA, ep1, "10.0.0.2/24"))))
		joined := make(chan error)
		go func() {
			_, err := d.Join(t.Context(), netA, ep1, "/netns/1", nil)
			joined <- err
		}()
		for range 20 {
			time.Sleep(time.Second)
			start := time.Now()
			must(t, d.Leave(t.Context(), netB, ep2), d.DeleteEndpoint(t.Context(), netB, ep2))
			container(t, d, netB, ep2, "10.1.0.2/24", 9090, 90)
			if took := time.Since(start); took != 0 {
				t.Fatalf("another network's calls took %s", took)
			}
		}
		lines := degraded(d.Status(t.Context()))
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "no answer for 20s: make link "+plan.VethHost(ep1)) }) {
			t.Errorf("status says %q", lines)
		}
		h.mu.Lock()
		damage[firewall.Port](h.fakeHost)
		h.mu.Unlock()
		time.Sleep(10 * time.Second)
		h.mu.Lock()
		if len(rulesOf[firewall.Port](h.fakeHost)) == 0 {
			t.Error("the rules are not mended beside a hung call")
		}
		h.mu.Unlock()

		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := d.DeleteNetwork(ctx, netA); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the same network: %v", err)
		}
		release()
		must(t, <-joined)
		if lines := degraded(d.Status(t.Context())); len(lines) != 0 {
			t.Errorf("with the answer the status says %q", lines)
		}
		inSync(t, h.fakeHost, d)
	})
}

// TestHungRules: while the firewall does not answer, who needs other rules waits as long
// as its own time goes, and what needs none goes on. Then everything is as it was asked.
func TestHungRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, d, release := hung(t, "rules "+netA)
		keep(t, d)
		created := make(chan error)
		go func() { created <- d.CreateNetwork(t.Context(), networkRequest(netA, "10.0.0.0/24", "10.0.0.1")) }()
		time.Sleep(10 * time.Second)
		must(t, endpointErr(d.CreateEndpoint(t.Context(), endpointRequest(netB, ep1, "10.1.0.3/24"))))
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		start := time.Now()
		if err := d.Leave(ctx, netB, ep2); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a change of rules beside a hung one: %v", err)
		}
		if took := time.Since(start); took != 20*time.Second {
			t.Errorf("it took %s", took)
		}
		lines := degraded(d.Status(t.Context()))
		if !slices.ContainsFunc(lines, func(l string) bool {
			return strings.Contains(l, "no answer for 30s: change the firewall's rules (fake)")
		}) {
			t.Errorf("status says %q", lines)
		}
		release()
		must(t, <-created)
		time.Sleep(5 * time.Second) // the check removes what Leave could not
		inSync(t, h.fakeHost, d)
	})
}

// idleFirewall and idlePorts cost nothing, so that the driver's own cost is seen.
type idleFirewall struct{ firewall.Backend }

func (idleFirewall) Repair(context.Context) ([]string, error) { return nil, nil }

type idlePorts struct {
	HostPorts
	idle *bool
}

func (p idlePorts) Lacking(want []spec.HostPorts) []string {
	if *p.idle {
		return nil
	}
	return p.HostPorts.Lacking(want)
}

// TestCheckCost: what a check does, while nothing says that rules differ, does not depend
// on how many ports are published.
func TestCheckCost(t *testing.T) {
	cost := func(ports uint16) float64 {
		f := newFakeHost()
		idle := false
		d := newTestDriver(t, f, "boot", func(o *Options) { o.Firewall, o.Ports = idleFirewall{f}, idlePorts{f, &idle} })
		must(t, d.CreateNetwork(t.Context(), networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
		container(t, d, netA, ep1, "10.0.0.2/24", 8080, 80)
		for i := range ports {
			e := *d.state().Endpoints[ep1]
			r := e.Published[0]
			r.First, r.Last, r.ContainerFirst = 20000+2*i, 20000+2*i, 1000+i
			e.Published = append(slices.Clone(e.Published), r)
			d.state().Apply(model.Change{Endpoints: []model.EndpointChange{{Before: d.state().Endpoints[ep1], After: &e}}})
		}
		idle = true
		return testing.AllocsPerRun(10, func() {
			d.keeper.Reconcile(t.Context(), spec.Scope{All: true}, time.Now())
			d.keeper.Reconcile(t.Context(), spec.Scope{Links: map[string]bool{plan.VethHost(ep1): true}}, time.Now())
		})
	}
	few, many := cost(0), cost(500)
	if many > few+20 {
		t.Errorf("a check makes %v allocations with 501 ports, %v with one", many, few)
	}
}
