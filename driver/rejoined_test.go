package driver

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/drift"
	"github.com/gangway-net/gangway/driver/spec"
)

// TestJoinedInBetween: an endpoint that a check takes for lost, and that joins a
// container before it is removed, stays. Its network's lock is held until the calls
// and, last, the check wait for it.
func TestJoinedInBetween(t *testing.T) {
	for name, c := range map[string]struct {
		// lose brings about what the check finds, and calls is what comes in between.
		lose  func(t *testing.T, f *fakeHost, d *Driver) *Driver
		calls []func(t *testing.T, d *Driver) error
		// removed says that it is lost all the same.
		removed bool
	}{
		"restored and joined": {neverJoined, []func(*testing.T, *Driver) error{joinEndpoint}, false},
		"restored":            {neverJoined, nil, true},
		"gone, left and joined": {goneForLong, []func(*testing.T, *Driver) error{
			func(t *testing.T, d *Driver) error { return d.Leave(t.Context(), netA, ep1) }, joinEndpoint,
		}, false},
		"gone": {goneForLong, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeHost()
				d := newTestDriver(t, f, "boot")
				must(t, d.CreateNetwork(t.Context(), networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
				d = c.lose(t, f, d)
				unlock, err := d.networks.Take(t.Context(), netA)
				must(t, err)
				var all sync.WaitGroup
				for _, call := range c.calls {
					all.Go(func() {
						if err := call(t, d); err != nil {
							t.Error(err)
						}
					})
					synctest.Wait()
				}
				all.Go(func() { d.keeper.Reconcile(t.Context(), spec.Scope{}, time.Now()) })
				synctest.Wait()
				unlock()
				all.Wait()
				if _, stays := d.state().Endpoints[ep1]; stays == c.removed {
					t.Errorf("the endpoint stays: %t", stays)
				}
				inSync(t, f, d)
			})
		})
	}
}

// neverJoined restores an endpoint that is in no container.
func neverJoined(t *testing.T, f *fakeHost, d *Driver) *Driver {
	t.Helper()
	must(t, endpointErr(d.CreateEndpoint(t.Context(), endpointRequest(netA, ep1, "10.0.0.2/24"))))
	d = newTestDriver(t, f, "boot")
	time.Sleep(joinTime)
	return d
}

// goneForLong takes a container's link away.
func goneForLong(t *testing.T, f *fakeHost, d *Driver) *Driver {
	t.Helper()
	container(t, d, netA, ep1, "10.0.0.2/24", 8080, 80)
	delete(f.veths, ep1)
	d.Reconcile(t.Context())
	time.Sleep(drift.LostTime)
	return d
}

func joinEndpoint(t *testing.T, d *Driver) error {
	_, err := d.Join(t.Context(), netA, ep1, "/var/run/docker/netns/new", config.EndpointOptions{})
	return err
}
