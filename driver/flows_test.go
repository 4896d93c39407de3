package driver

import (
	"context"
	"slices"
	"testing"

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
// comes meanwhile is looked for together, and a restart looks for all.
func TestTakenPorts(t *testing.T) {
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	slow := slowFlows{fakeHost: f, looks: make(chan []uint16, 1), goOn: make(chan struct{})}
	d.o.Flows = slow
	ctx := t.Context()
	want := func(ports ...uint16) {
		t.Helper()
		if got := <-slow.looks; !slices.Equal(got, ports) {
			t.Errorf("looks for flows to %v, want %v", got, ports)
		}
	}
	const ep3 = "3333333333333333333333333333333333333333333333333333333333333333"
	must(t, d.CreateNetwork(ctx, networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
	for i, id := range []string{ep1, ep2, ep3} {
		container(t, d, netA, id, []string{"10.0.0.2/24", "10.0.0.3/24", "10.0.0.4/24"}[i], 8080+float64(i), 80)
		must(t, d.Publish(ctx, netA, id, portmapOn(17, "", 5000+float64(i), 53)))
		if i == 0 {
			want(5000)
		}
	}
	slow.goOn <- struct{}{}
	want(5001, 5002)
	slow.goOn <- struct{}{}
	d.Wait()
	must(t, d.Restore(ctx))
	want(5000, 5001, 5002)
	slow.goOn <- struct{}{}
	d.Wait()
}
