package driver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/driver/spec"
)

// slowHost does something in the middle of a comparison's looks at links.
type slowHost struct {
	*fakeHost
	during func(where string)
}

func (h *slowHost) run(where string) {
	if h.during != nil {
		h.during(where)
	}
}

func (h *slowHost) Check(ctx context.Context, of spec.Scope, bridges []spec.Bridge, veths []spec.Veth) (spec.LinkCheck, error) {
	h.run("check")
	return h.fakeHost.Check(ctx, of, bridges, veths)
}

func (h *slowHost) EnsureBridge(ctx context.Context, b spec.Bridge) ([]string, error) {
	h.run(b.Name)
	return h.fakeHost.EnsureBridge(ctx, b)
}

func (h *slowHost) EnsureVeth(ctx context.Context, v spec.Veth) ([]string, error) {
	h.run(v.Host)
	return h.fakeHost.EnsureVeth(ctx, v)
}

// A stop of the daemon in the middle of a comparison is no problem of the kernel's, and
// removes nothing; a comparison that takes too long is one.
func TestStopDuringComparison(t *testing.T) {
	for _, stop := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) { stopDuringComparison(t, stop) })
	}
}

func stopDuringComparison(t *testing.T, stop bool) {
	h := &slowHost{fakeHost: newFakeHost()}
	var log bytes.Buffer
	d := newTestDriver(t, h.fakeHost, "boot", func(o *Options) {
		o.Links, o.Host = byType{h}, stoppable{h}
		o.Log = logrus.NewEntry(&logrus.Logger{Out: &log, Formatter: &logrus.TextFormatter{}, Level: logrus.InfoLevel})
	})
	must(t, d.CreateNetwork(t.Context(), networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
	container(t, d, netA, ep1, "10.0.0.2/24", 8080, 80)
	container(t, d, netA, ep2, "10.0.0.3/24", 9090, 90)
	must(t, d.Leave(t.Context(), netA, ep2))
	time.Sleep(2 * joinTime)
	log.Reset()
	ctx, cancel := context.WithCancel(t.Context())
	if !stop {
		ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
	}
	h.during = func(string) {
		if stop {
			cancel()
		}
		<-ctx.Done()
	}
	d.Reconcile(ctx)
	cancel()
	wrong, events := problem(d.Status(t.Context())), d.Events(t.Context(), 0, 0)
	if stop != (wrong == "" && log.Len() == 0 && len(events) == 0) {
		t.Errorf("stop %t: problem %q, events %v, log:\n%s", stop, wrong, events, log.String())
	}
	if d.state().Endpoints[ep2] == nil {
		t.Errorf("stop %t: the endpoint is removed", stop)
	}
}

// stoppable heeds its context, as the kernel's interfaces do.
type stoppable struct{ *slowHost }

func (h stoppable) Check(ctx context.Context, of spec.Scope, bridges []spec.Bridge, veths []spec.Veth) (spec.LinkCheck, error) {
	c, err := h.slowHost.Check(ctx, of, bridges, veths)
	return c, errors.Join(err, ctx.Err())
}

// Verbs go on while links are compared: all of them during the look at all, and
// those of other networks while one network's are mended. Nothing of what they
// do is taken for damage.
func TestVerbsDuringComparison(t *testing.T) {
	for _, at := range []string{"check", "gw-aaaaaaaaaaaa", "gv-" + ep1[:12]} {
		h := &slowHost{fakeHost: newFakeHost()}
		d := newTestDriver(t, h.fakeHost, "boot", func(o *Options) { o.Links, o.Host = byType{h}, h })
		must(t, d.CreateNetwork(t.Context(), networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
		must(t, d.CreateNetwork(t.Context(), networkRequest(netB, "10.1.0.0/24", "10.1.0.1")))
		container(t, d, netA, ep1, "10.0.0.2/24", 8080, 80)
		n, met := 0, false
		h.during = func(where string) {
			if where != at {
				return
			}
			n++
			h.during, met = nil, true
			container(t, d, netB, fmt.Sprintf("%s%d", ep2, n), "10.1.0.2/24", 9090, 90)
			must(t, d.Leave(t.Context(), netB, fmt.Sprintf("%s%d", ep2, n)))
			if at == "check" {
				must(t, d.DeleteEndpoint(t.Context(), netA, ep1))
			}
		}
		if n := d.Reconcile(t.Context()); n != 0 {
			t.Errorf("%s: %d repairs", at, n)
		}
		if !met {
			t.Errorf("no look at %s", at)
		}
		h.during = nil
		if s := d.Status(t.Context()); problem(s) != "" {
			t.Errorf("%s: %s", at, problem(s))
		}
		inSync(t, h.fakeHost, d)
	}
}
