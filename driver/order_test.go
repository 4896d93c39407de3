package driver

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// recorder notes what is done in which order.
type recorder struct {
	HostPorts
	firewall.Backend
	done  []string
	fails bool
}

func (o *recorder) Hold(ctx context.Context, p spec.HostPorts) (held, unheld []string, err error) {
	o.done = append(o.done, fmt.Sprintf("hold %d", len(p.Runs)))
	return o.HostPorts.Hold(ctx, p)
}

func (o *recorder) Trim(p spec.HostPorts) {
	o.done = append(o.done, fmt.Sprintf("trim %d", len(p.Runs)))
	o.HostPorts.Trim(p)
}

func (o *recorder) Apply(ctx context.Context, d firewall.Delta) error {
	o.done = append(o.done, fmt.Sprintf("rules +%d -%d", len(d.Add.Ports), len(d.Remove.Ports)))
	if o.fails && len(d.Add.All()) > 0 {
		return errInjected
	}
	return o.Backend.Apply(ctx, d)
}

// TestHostPortsAroundRules: a host port is held before rules lead there, and until they
// lead there no more, whatever becomes of it; a failure gives back what was reserved.
func TestHostPortsAroundRules(t *testing.T) {
	f := newFakeHost()
	o := &recorder{HostPorts: f, Backend: f}
	d := newTestDriver(t, f, "boot", func(with *Options) { with.Ports, with.Firewall = o, o })
	must(t, d.CreateNetwork(t.Context(), networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
	container(t, d, netA, ep1, "10.0.0.2/24", 8080, 80)
	o.done = nil
	steps := func(what string, want ...string) {
		t.Helper()
		if !slices.Equal(o.done, want) {
			t.Errorf("%s: %q, want %q", what, o.done, want)
		}
		o.done = nil
	}
	publish := func(ports ...float64) error { return d.Publish(t.Context(), netA, ep1, portmap(ports...)) }
	must(t, publish(8080, 80, 8081, 81))
	steps("one more", "hold 4", "rules +1 -0", "trim 4")
	must(t, publish(8082, 82))
	steps("another", "hold 2", "rules +1 -2", "trim 2")
	before := f.picture()
	o.fails = true
	if err := publish(8083, 83); err == nil {
		t.Fatal("published without rules")
	}
	o.fails = false
	if after := f.picture(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("after a failure:\n%v\nbefore:\n%v", after, before)
	}
	o.done = nil
	must(t, d.Unpublish(t.Context(), netA, ep1))
	steps("none", "rules +0 -1", "trim 0")
	if len(f.held) > 0 {
		t.Errorf("held: %v", f.held)
	}
}
