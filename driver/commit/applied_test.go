package commit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/lock"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
)

// kernel holds objects of whatever kinds, and refuses what is named.
type kernel struct {
	firewall.Backend
	mu      sync.Mutex
	has     map[plan.ID]spec.Object
	refuses string
	// before is called before each step.
	before func(what string)
}

func (k *kernel) do(what string, step func()) error {
	if k.before != nil {
		k.before(what)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.refuses != "" && strings.HasPrefix(what, k.refuses) {
		return errInjected
	}
	step()
	return nil
}

func (k *kernel) Apply(_ context.Context, d firewall.Delta) error {
	return k.do("rules", func() {
		for _, o := range d.Remove.All() {
			delete(k.has, plan.IDOf(o))
		}
		for _, o := range d.Add.All() {
			k.has[plan.IDOf(o)] = o
		}
	})
}

func (k *kernel) Update(map[string][]byte) error                     { return k.do("store", func() {}) }
func (k *kernel) DropAddresses(context.Context, []netip.Addr) error  { return nil }
func (k *kernel) DropTranslated(context.Context, []netip.Addr) error { return nil }
func (k *kernel) DropRenumbered(context.Context, map[netip.Prefix]netip.Prefix, []netip.Prefix) error {
	return nil
}
func (k *kernel) DropPorts(context.Context, []spec.Published) error { return nil }
func (k *kernel) words() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []string
	for _, o := range k.has {
		all = append(all, fmt.Sprintf("%s %+v", o.Kind(), o))
	}
	slices.Sort(all)
	return all
}

// kindIn is a kind whose objects a kernel holds as they are.
func kindIn[T spec.Object](k *kernel, of spec.Kind, shared bool) Kind {
	put := func(_ context.Context, o T) error {
		return k.do("ensure "+o.String(), func() { k.has[plan.IDOf(o)] = o })
	}
	return KindOf(of, Actions[T]{
		Ensure: func(ctx context.Context, o T) ([]string, error) { return nil, put(ctx, o) },
		Trim:   put, Shared: shared,
		Remove: func(_ context.Context, o T) error {
			return k.do("remove "+o.String(), func() { delete(k.has, plan.IDOf(o)) })
		},
	})
}

// newKernel returns a writer to a kernel where forwarding goes with the last that needs it.
func newKernel() (*kernel, *Desired, *Writer) {
	k, d := &kernel{has: map[plan.ID]spec.Object{}}, NewDesired(config.Policy{}, func() {}, func() plan.Facts { return plan.Facts{} })
	log := logrus.NewEntry(&logrus.Logger{Out: io.Discard})
	return k, d, NewWriter(Parts{
		Gate: &lock.Gate{}, Desired: d, Store: k, Flows: NewFlows(k, log), Log: log,
		Rules: NewRules(k, func() plan.Plan { return nil }, func(plan.Plan) {}),
		Kinds: Kinds{
			First: []Kind{kindIn[spec.HostPorts](k, spec.KindHostPorts, false)},
			Then: []Kind{
				kindIn[spec.Bridge](k, spec.KindBridge, false), kindIn[spec.Forwarding](k, spec.KindForwarding, true),
				kindIn[spec.Veth](k, spec.KindPair, false), kindIn[spec.Zone](k, spec.KindZone, false),
			},
		},
	})
}

// wantAll has the kernel hold what the state says and no more, and nothing be open.
func (k *kernel) wantAll(t *testing.T, d *Desired, w *Writer, when string) {
	t.Helper()
	s, unlock := d.Read()
	want := kernel{has: map[plan.ID]spec.Object{}}
	for _, o := range plan.Compile(s, plan.Facts{}) {
		v, pair := o.(spec.Veth)
		made := plan.IsRule(o) || slices.ContainsFunc(slices.Concat(w.kinds.First, w.kinds.Then), func(k Kind) bool { return k.Of == o.Kind() })
		if made && (!pair || !v.Detached) {
			want.has[plan.IDOf(o)] = o
		}
	}
	unlock()
	if got, want := k.words(), want.words(); !slices.Equal(got, want) {
		t.Errorf("%s: the kernel holds\n%s\nwant\n%s", when, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if open := w.Open(); len(open) > 0 {
		t.Errorf("%s: open are %v", when, open)
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func someNetwork(i int) *model.Network {
	return &model.Network{
		ID: fmt.Sprint("n", i), Bridge: fmt.Sprint("gw-", i), Subnet4: netip.MustParsePrefix(fmt.Sprintf("10.%d.0.0/16", i)),
		Options: config.Network{ICC: true, Masquerade: true},
	}
}

// someEndpoint is an endpoint on network i in a container, with ports.
func someEndpoint(i, number int, sandbox string, ports int) *model.Endpoint {
	addr := netip.AddrFrom4([4]byte{10, byte(i), byte(number >> 8), byte(number)})
	e := &model.Endpoint{
		ID: fmt.Sprintf("e%d.%d", i, number), NetworkID: fmt.Sprint("n", i), Sandbox: sandbox,
		IPv4: netip.PrefixFrom(addr, 16), MAC: model.HardwareAddr{2, 0, 0, byte(i), byte(number >> 8), byte(number)},
	}
	for p := range ports {
		port := uint16(1024 + (number*ports+p)*2%60000)
		e.Published = append(e.Published, spec.Published{
			Proto: spec.UDP, HostIP: netip.IPv4Unspecified(), First: port, Last: port, ContainerIP: addr, ContainerFirst: port,
		})
	}
	return e
}

func changing(c model.Change) Planner {
	return func(*model.State) (model.Change, error) { return c, nil }
}

func coming(all ...*model.Endpoint) Planner {
	var c model.Change
	for _, e := range all {
		c.Endpoints = append(c.Endpoints, model.EndpointChange{After: e})
	}
	return changing(c)
}

func going(all ...*model.Endpoint) Planner {
	var c model.Change
	for _, e := range all {
		c.Endpoints = append(c.Endpoints, model.EndpointChange{Before: e})
	}
	return changing(c)
}

func networks(before, after *model.Network) Planner {
	return changing(model.Change{Network: model.NetworkChange{Before: before, After: after}})
}

// TestChangedOption: an option of a network that changes reaches its endpoints, and what their
// containers have on other networks; a failure anywhere puts all of it back.
func TestChangedOption(t *testing.T) {
	for _, refuses := range []string{"", "rules", "ensure link pair", "ensure bridge"} {
		k, d, w := newKernel()
		n1, n2 := someNetwork(1), someNetwork(2)
		must(t, w.Commit(t.Context(), networks(nil, n1)), w.Commit(t.Context(), networks(nil, n2)),
			w.Commit(t.Context(), coming(someEndpoint(1, 2, "/s", 1))), w.Commit(t.Context(), coming(someEndpoint(2, 2, "/s", 1))))
		k.wantAll(t, d, w, "before")
		before := k.words()
		changed := *n1
		changed.Options.MTU, changed.Options.Internal, changed.Options.ICC = 1400, true, false
		k.refuses = refuses
		err := w.Commit(t.Context(), networks(n1, &changed))
		if k.refuses = ""; refuses == "" {
			must(t, err)
			k.wantAll(t, d, w, "changed")
			if slices.Equal(before, k.words()) {
				t.Error("nothing has changed")
			}
			continue
		}
		if !errors.Is(err, errInjected) {
			t.Errorf("%s: %v", refuses, err)
		}
		for _, o := range w.Open() { // what refused to come has refused to come back
			if _, err := w.Retry(t.Context(), o); err != nil {
				t.Error(err)
			}
		}
		k.wantAll(t, d, w, "put back after "+refuses)
	}
}

// TestLastOwner: what several need is there until the last one goes, whoever comes meanwhile.
func TestLastOwner(t *testing.T) {
	k, d, w := newKernel()
	must(t, w.Commit(t.Context(), networks(nil, someNetwork(1))), w.Commit(t.Context(), networks(nil, someNetwork(2))))
	a, b := someEndpoint(1, 2, "/a", 0), someEndpoint(2, 2, "/b", 0)
	must(t, w.Commit(t.Context(), coming(a)), w.Commit(t.Context(), coming(b)))
	has := func(when string, want bool) {
		t.Helper()
		if _, is := k.has[plan.IDOf(spec.Forwarding{})]; is != want {
			t.Errorf("%s: there: %t", when, is)
		}
		k.wantAll(t, d, w, when)
	}
	must(t, w.Retire(t.Context(), going(a)))
	has("one has gone", true)
	must(t, w.Retire(t.Context(), going(b)))
	has("both have gone", false)
	must(t, w.Commit(t.Context(), coming(a)))
	k.before = func(what string) {
		if !strings.HasPrefix(what, "remove forwarding") {
			return
		}
		k.before = nil
		soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := w.Commit(soon, coming(b)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("made sure of what is about to go: %v", err)
		}
	}
	must(t, w.Retire(t.Context(), going(a)))
	for _, o := range w.Open() {
		if _, err := w.Retry(t.Context(), o); err != nil {
			t.Error(err)
		}
	}
	has("the second came too late", false)
}

// TestLeftOpen: what the kernel did not give up is taken away by the next change of the same
// owner, or once it is tried again; what it did not take is made.
func TestLeftOpen(t *testing.T) {
	for _, refuses := range []string{"remove link pair", "remove host ports", "rules"} {
		for _, again := range []bool{false, true} {
			k, d, w := newKernel()
			e := someEndpoint(1, 2, "/s", 2)
			must(t, w.Commit(t.Context(), networks(nil, someNetwork(1))), w.Commit(t.Context(), coming(e)))
			k.refuses = refuses
			if err := w.Retire(t.Context(), going(e)); !errors.Is(err, errInjected) {
				t.Errorf("%s: %v", refuses, err)
			}
			open := w.Open()
			if len(open) == 0 {
				t.Errorf("%s: nothing is open", refuses)
			}
			k.refuses = ""
			if again {
				other := *e
				other.Published = nil
				must(t, w.Commit(t.Context(), coming(&other)))
			}
			for _, o := range w.Open() {
				if _, err := w.Retry(t.Context(), o); err != nil {
					t.Error(err)
				}
			}
			k.wantAll(t, d, w, refuses+" is over")
		}
	}
	for _, refuses := range []string{"ensure link pair", "ensure host ports", "rules", "ensure bridge"} {
		k, d, w := newKernel()
		k.refuses = refuses
		if err := errors.Join(w.Regain(t.Context(), networks(nil, someNetwork(1))), w.Regain(t.Context(), coming(someEndpoint(1, 2, "/s", 2)))); !errors.Is(err, errInjected) {
			t.Errorf("%s: %v", refuses, err)
		}
		k.refuses = ""
		for _, o := range w.Open() {
			if _, err := w.Retry(t.Context(), o); err != nil {
				t.Error(err)
			}
		}
		k.wantAll(t, d, w, refuses+" is over")
	}
}

// TestContainerOnTwo: changes of one container by two networks at once leave what the state
// says, also where one fails.
func TestContainerOnTwo(t *testing.T) {
	k, d, w := newKernel()
	must(t, w.Commit(t.Context(), networks(nil, someNetwork(1))), w.Commit(t.Context(), networks(nil, someNetwork(2))))
	for round := range 100 {
		var all sync.WaitGroup
		for i := 1; i <= 2; i++ {
			all.Go(func() {
				e := someEndpoint(i, 2, "/s", 2)
				_ = w.Commit(t.Context(), coming(e))
				_ = w.Retire(t.Context(), going(e))
				_ = w.Commit(t.Context(), coming(e))
			})
		}
		all.Wait()
		k.wantAll(t, d, w, fmt.Sprint("round ", round))
		s, unlock := d.Read()
		there := slices.Collect(maps.Values(s.Endpoints))
		unlock()
		for _, e := range there {
			must(t, w.Retire(t.Context(), going(e)))
		}
	}
}

// TestAppliedIsSmall: what was applied costs little beside what is wanted, with many ports.
func TestAppliedIsSmall(t *testing.T) {
	_, d, w := newKernel()
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	s := model.NewState()
	empty := heap()
	s.Apply(model.Change{Network: model.NetworkChange{After: someNetwork(1)}})
	for i := range 1000 {
		sandbox := fmt.Sprintf("/var/run/docker/netns/%012d", i)
		s.Apply(model.Change{Endpoints: []model.EndpointChange{{After: someEndpoint(1, i+2, sandbox, 10)}}})
	}
	wanted := heap()
	w.applied.shared = nil // as in the driver
	must(t, w.Restore(s, nil))
	applied := heap()
	t.Logf("wanted: %d KB, applied: %d KB", (wanted-empty)/1024, (applied-wanted)/1024)
	if applied-wanted > (wanted-empty)/2 {
		t.Errorf("applied takes %d bytes, wanted %d", applied-wanted, wanted-empty)
	}
	runtime.KeepAlive(d)
	runtime.KeepAlive(w)
	runtime.KeepAlive(s)
}
