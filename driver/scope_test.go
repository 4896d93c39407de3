package driver

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gangway-net/gangway/driver/drift"
	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// news are changes that a test tells of.
type news struct {
	told  chan struct{}
	mu    sync.Mutex
	links spec.Scope
}

func (n *news) Changes() <-chan struct{} { return n.told }

func (n *news) Take() spec.Scope {
	select {
	case <-n.told:
	default:
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	links := n.links
	n.links = spec.Scope{}
	return links
}

// tell says that something changed, of the links of that name and else of rules.
func (n *news) tell(links ...string) {
	n.mu.Lock()
	for _, name := range links {
		n.links.Add(name)
	}
	n.mu.Unlock()
	select {
	case n.told <- struct{}{}:
	default:
	}
}

// keep runs KeepReconciled in the test's bubble and returns how to report a change.
func keep(t *testing.T, d *Driver) (change func(links ...string)) {
	t.Helper()
	n := &news{told: make(chan struct{}, 1)}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); d.KeepReconciled(ctx, n, drift.Pace{}) }()
	t.Cleanup(func() { stop(); <-done })
	return n.tell
}

// watchedHost notes what comparisons look at, and may refuse the rules.
type watchedHost struct {
	*fakeHost
	looks   []spec.Scope
	mended  []string
	refuses error
}

func (h *watchedHost) Check(ctx context.Context, of spec.Scope, bridges []spec.Bridge, veths []spec.Veth) (spec.LinkCheck, error) {
	h.looks = append(h.looks, of)
	return h.fakeHost.Check(ctx, of, bridges, veths)
}

func (h *watchedHost) EnsureBridge(ctx context.Context, b spec.Bridge) ([]string, error) {
	h.mended = append(h.mended, b.Name)
	return h.fakeHost.EnsureBridge(ctx, b)
}

func (h *watchedHost) EnsureVeth(ctx context.Context, v spec.Veth) ([]string, error) {
	h.mended = append(h.mended, v.Host)
	return h.fakeHost.EnsureVeth(ctx, v)
}

func (h *watchedHost) Sync(ctx context.Context, full firewall.Ruleset) ([]string, error) {
	if h.refuses != nil {
		return nil, h.refuses
	}
	return h.fakeHost.Sync(ctx, full)
}

func (h *watchedHost) Repair(ctx context.Context) ([]string, error) {
	if h.refuses != nil {
		return nil, h.refuses
	}
	return h.fakeHost.Repair(ctx)
}

// forget returns what was looked at since the last call, and what was mended.
func (h *watchedHost) forget() (looks []spec.Scope, mended []string) {
	looks, mended = h.looks, h.mended
	h.looks, h.mended = nil, nil
	return looks, mended
}

// watched returns a driver on a watched host with two networks, each with a
// container, and keeps it.
func watched(t *testing.T) (h *watchedHost, d *Driver, change func(links ...string)) {
	t.Helper()
	h = &watchedHost{fakeHost: newFakeHost()}
	d = newTestDriver(t, h.fakeHost, "boot", func(o *Options) { o.Links, o.Host, o.Firewall = byType{h}, h, h })
	must(t, d.CreateNetwork(t.Context(), networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
	must(t, d.CreateNetwork(t.Context(), networkRequest(netB, "10.1.0.0/24", "10.1.0.1")))
	container(t, d, netA, ep1, "10.0.0.2/24", 8080, 80)
	container(t, d, netB, ep2, "10.1.0.2/24", 9090, 90)
	h.forget()
	return h, d, keep(t, d)
}

// within waits as long as a repair of what is told may take, and less than until
// everything is compared.
func within() {
	time.Sleep(500 * time.Millisecond)
	synctest.Wait()
}

// TestKeepLooksAtWhatIsTold: a comparison looks at the links that were told of and
// at no others, and at all of them from time to time.
func TestKeepLooksAtWhatIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, d, change := watched(t)
		delete(h.bridges, bridgeName(netA))
		delete(h.veths, ep2)
		change()
		within()
		if looks, mended := h.forget(); len(looks) != 1 || !looks[0].Empty() || len(mended) != 0 {
			t.Errorf("without a link: looked at %+v, mended %q", looks, mended)
		}
		change(bridgeName(netA))
		within()
		looks, mended := h.forget()
		once := spec.Scope{Links: map[string]bool{bridgeName(netA): true}}
		want := []spec.Scope{once, once} // pairs are compared with the mended bridge
		if !reflect.DeepEqual(looks, want) || !slices.Equal(mended, []string{bridgeName(netA)}) {
			t.Errorf("one bridge: looked at %+v, mended %q", looks, mended)
		}
		if m := problem(d.Status(t.Context())); m != "" {
			t.Error(m)
		}
		for range 40 { // each 100 ms, so that there is always something to be told
			change(bridgeName(netB))
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		looks, _ = h.forget()
		all := len(slices.DeleteFunc(slices.Clone(looks), func(of spec.Scope) bool { return !of.All }))
		if all != 1 && all != 2 || len(looks) < 2*all {
			t.Errorf("in four seconds %d looks at all links of %d", all, len(looks))
		}
	})
}

// TestBridgeOfAPair: a bridge that is gone is made anew before a pair that is told of
// is put on it, though nothing told of the bridge yet. That is no problem, ever.
func TestBridgeOfAPair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, d, change := watched(t)
		delete(h.bridges, bridgeName(netA))
		pair := h.veths[ep1]
		pair.Bridge = ""
		h.veths[ep1] = pair
		change(pair.Host)
		within()
		if _, mended := h.forget(); !slices.Equal(mended, []string{bridgeName(netA), pair.Host}) {
			t.Errorf("mended %q", mended)
		}
		inSync(t, h.fakeHost, d)
		for _, e := range d.Events(t.Context(), 0, 0) {
			if e.Kind == events.Problem {
				t.Error(e.Text)
			}
		}
	})
}

// TestUnsettledIsLookedAtAgain: what could not be mended, or was gone, is in the next
// comparison, whatever that is told of.
func TestUnsettledIsLookedAtAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, d, change := watched(t)
		lost := h.veths[ep1]
		delete(h.veths, ep1)
		change(lost.Host)
		within()
		change()
		within()
		looks, mended := h.forget()
		if last := looks[len(looks)-1]; last.All || !last.Has(lost.Host) || len(mended) != 0 {
			t.Errorf("a pair that is gone: looked at %+v, mended %q", looks, mended)
		}
		h.veths[ep1] = lost
		change()
		within()
		h.forget()
		change()
		within()
		if looks, _ := h.forget(); looks[len(looks)-1].Has(lost.Host) {
			t.Errorf("looked at %+v, though it is back", looks)
		}

		h.refuses = errors.New("the kernel refuses")
		delete(h.bridges, bridgeName(netB))
		change(bridgeName(netB))
		within()
		if _, mended := h.forget(); len(mended) != 0 {
			t.Errorf("mended %q without rules", mended)
		}
		h.refuses = nil
		change()
		within()
		inSync(t, h.fakeHost, d)
		if p := problem(d.Status(t.Context())); p != "" {
			t.Error(p)
		}
	})
}
