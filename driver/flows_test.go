package driver

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/gangway-net/gangway/driver/spec"
)

// slowFlows are flows whose look at the whole table lasts until the test lets
// it go on.
type slowFlows struct {
	*fakeHost
	looks chan []uint16
	goOn  chan struct{}
}

func (f slowFlows) DropPorts(ctx context.Context, runs []spec.Published) error {
	var ports []uint16
	for _, r := range runs {
		ports = append(ports, r.First)
	}
	slices.Sort(ports)
	f.looks <- slices.Compact(ports)
	select {
	case <-f.goOn:
	case <-ctx.Done():
	}
	return nil
}

// TestTakenPorts: nothing waits for the look for stale flows of a UDP port, what
// comes together or meanwhile is looked for together, what has gone by then is
// not, and a restart looks for all.
func TestTakenPorts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeHost()
		slow := slowFlows{fakeHost: f, looks: make(chan []uint16), goOn: make(chan struct{})}
		d := newTestDriver(t, f, "boot", func(o *Options) { o.Flows = slow })
		ctx := t.Context()
		want := func(ports ...uint16) {
			t.Helper()
			if got := <-slow.looks; !slices.Equal(got, ports) {
				t.Errorf("looks for flows to %v, want %v", got, ports)
			}
		}
		ids := []string{ep1, ep2, "3333333333333333333333333333333333333333333333333333333333333333"}
		publish := func(i int) {
			must(t, d.Publish(ctx, netA, ids[i], portmapOn(17, "", 5000+float64(i), 53)))
		}
		must(t, d.CreateNetwork(ctx, networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
		for i, id := range ids {
			container(t, d, netA, id, []string{"10.0.0.2/24", "10.0.0.3/24", "10.0.0.4/24"}[i], 8080+float64(i), 80)
		}
		publish(0)
		want(5000)
		publish(1)
		publish(2)
		slow.goOn <- struct{}{}
		want(5001, 5002)
		slow.goOn <- struct{}{}
		d.Wait()
		must(t, d.Unpublish(ctx, netA, ep1))
		publish(0)
		must(t, d.Unpublish(ctx, netA, ep1))
		d.Wait() // for no look: nobody would let it go on
		must(t, d.Restore(ctx))
		want(5001, 5002)
		slow.goOn <- struct{}{}
		d.Wait()
	})
}
