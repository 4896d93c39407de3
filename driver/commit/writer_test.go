package commit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"testing"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/lock"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
)

var errInjected = errors.New("injected fault")

// recorder is a kernel and a store that note in which order they are asked for what, and
// fail what is named.
type recorder struct {
	firewall.Backend
	done  []string
	fails string
}

func (r *recorder) do(what string) error {
	r.done = append(r.done, what)
	if what == r.fails {
		return errInjected
	}
	return nil
}

func (r *recorder) Apply(_ context.Context, d firewall.Delta) error {
	return r.do(fmt.Sprintf("rules +%d -%d", len(d.Add.All()), len(d.Remove.All())))
}

func (r *recorder) Update(changes map[string][]byte) error {
	stored := 0
	for _, v := range changes {
		if v != nil {
			stored++
		}
	}
	return r.do(fmt.Sprintf("store %d of %d", stored, len(changes)))
}

func (r *recorder) DropAddresses(context.Context, []netip.Addr) error { return r.do("flows") }
func (r *recorder) DropRenumbered(context.Context, map[netip.Prefix]netip.Prefix, []netip.Prefix) error {
	return r.do("flows")
}
func (r *recorder) DropTranslated(context.Context, []netip.Addr) error { return r.do("flows") }
func (r *recorder) DropPorts(context.Context, []spec.Published) error  { return r.do("flows") }

// noted are actions that are noted.
func noted[T spec.Object](r *recorder, what string) Actions[T] {
	do := func(verb string) func(context.Context, T) error {
		return func(context.Context, T) error { return r.do(verb + " " + what) }
	}
	ensure := func(ctx context.Context, o T) ([]string, error) { return nil, do("ensure")(ctx, o) }
	return Actions[T]{Ensure: ensure, Trim: do("trim"), Remove: do("remove")}
}

func newRecorded() (*recorder, *Desired, *Writer) {
	r, d := &recorder{}, NewDesired(config.Policy{}, func() {}, func() plan.Facts { return plan.Facts{} })
	log := logrus.NewEntry(&logrus.Logger{Out: io.Discard})
	return r, d, NewWriter(Parts{
		Gate: &lock.Gate{}, Desired: d, Store: r, Flows: NewFlows(r, log), Log: log,
		Rules: NewRules(r, func() plan.Plan { return nil }, func(plan.Plan) {}),
		Kinds: Kinds{
			First: []Kind{KindOf(spec.KindHostPorts, noted[spec.HostPorts](r, "ports"))},
			Then: []Kind{
				KindOf(spec.KindBridge, noted[spec.Bridge](r, "bridge")), KindOf(spec.KindForwarding, noted[spec.Forwarding](r, "forwarding")),
				KindOf(spec.KindPair, noted[spec.Veth](r, "pair")), KindOf(spec.KindZone, noted[spec.Zone](r, "zone")),
			},
		},
	})
}

// network and endpoint make a network, and a container there that publishes a port.
func network(*model.State) (model.Change, error) {
	return model.Change{Network: model.NetworkChange{After: &model.Network{
		ID: "n", Bridge: "gw-n", Subnet4: netip.MustParsePrefix("10.0.0.0/24"), Options: config.Network{ICC: true},
	}}}, nil
}

func endpoint(*model.State) (model.Change, error) {
	return model.Change{Endpoints: []model.EndpointChange{{After: &model.Endpoint{
		ID: "e", NetworkID: "n", Sandbox: "/netns/1", IPv4: netip.MustParsePrefix("10.0.0.2/24"), MAC: model.HardwareAddr{2, 0, 0, 0, 0, 1},
		Published: []spec.Published{{
			Proto: spec.TCP, HostIP: netip.IPv4Unspecified(), First: 8080, Last: 8080, ContainerIP: netip.MustParseAddr("10.0.0.2"), ContainerFirst: 80,
		}},
	}}}}, nil
}

// nothing removes both.
func nothing(s *model.State) (model.Change, error) {
	return model.Change{Network: model.NetworkChange{Before: s.Networks["n"]}, Endpoints: []model.EndpointChange{{Before: s.Endpoints["e"]}}}, nil
}

// count is how many networks and endpoints there are.
func count(d *Desired) int {
	s, unlock := d.Read()
	defer unlock()
	return len(s.Networks) + len(s.Endpoints)
}

// TestStagesOfComing: what comes has its order, and a failure puts everything back.
func TestStagesOfComing(t *testing.T) {
	for _, c := range []struct {
		look   Planner
		before []Planner
		want   []string
	}{
		{network, nil, []string{"store 1 of 1", "rules +1 -0", "ensure bridge", "ensure zone"}},
		{endpoint, []Planner{network}, []string{"store 1 of 1", "ensure ports", "rules +1 -0", "ensure forwarding", "ensure pair"}},
	} {
		for at, fails := range append([]string{""}, c.want...) {
			r, d, w := newRecorded()
			for _, look := range c.before {
				if err := w.Commit(t.Context(), look); err != nil {
					t.Fatal(err)
				}
			}
			r.done, r.fails = nil, fails
			err := w.Commit(t.Context(), c.look)
			there := count(d) - len(c.before)
			if fails == "" {
				if err != nil || there != 1 || !slices.Equal(r.done, c.want) {
					t.Errorf("%v, %d objects, %q, want %q", err, there, r.done, c.want)
				}
				continue
			}
			if !errors.Is(err, errInjected) || there != 0 || !slices.Equal(r.done[:at], c.want[:at]) {
				t.Errorf("%s fails: %v, %d objects, %q", fails, err, there, r.done)
			}
			if stored := at > 1; stored != (r.done[len(r.done)-1] == "store 0 of 1") {
				t.Errorf("%s fails: %q", fails, r.done)
			}
		}
	}
}

// TestStagesOfGoing: what is taken away goes in the opposite order, on past errors. What the
// store does not let go stays.
func TestStagesOfGoing(t *testing.T) {
	want := []string{"store 0 of 2", "remove zone", "remove pair", "remove forwarding", "remove bridge", "rules +0 -2", "remove ports", "flows"}
	for _, fails := range append([]string{""}, want...) {
		r, d, w := newRecorded()
		for _, look := range []Planner{network, endpoint} {
			if err := w.Commit(t.Context(), look); err != nil {
				t.Fatal(err)
			}
		}
		r.done, r.fails = nil, fails
		err := w.Retire(t.Context(), nothing)
		left, steps := 0, want
		if fails == want[0] {
			left, steps = 2, want[:1]
		}
		if failed := fails != "" && fails != "flows"; failed != errors.Is(err, errInjected) || count(d) != left || !slices.Equal(r.done, steps) {
			t.Errorf("%q fails: %v, %d objects, %q, want %q", fails, err, count(d), r.done, steps)
		}
	}
}
