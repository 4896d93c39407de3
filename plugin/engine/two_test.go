package engine

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gangway-net/gangway/driver"
)

// other is a second engine, with networks and what is on them.
type other struct {
	has map[string][]string
	err error
}

func (o other) Networks(context.Context) (driver.Inventory, error) {
	r := driver.Inventory{Engine: "other", Networks: map[string]string{}}
	for id := range o.has {
		r.Networks[id] = "net-" + id
	}
	return r, o.err
}

func (o other) Addresses(context.Context, string) ([]netip.Addr, error) { return nil, o.err }

func (o other) Inventory(_ context.Context, engine string, ids []string) (all []Held, err error) {
	for _, id := range ids {
		h := Held{}
		h.Engine, h.Network.ID = engine, id
		for _, e := range o.has[id] {
			h.Endpoints = append(h.Endpoints, driver.RecoveredEndpoint{CreateEndpointRequest: driver.CreateEndpointRequest{EndpointID: e}})
		}
		all = append(all, h)
	}
	return all, o.err
}

// TestRecoverTwo: each of two engines gives back what is its own; nothing is said of a
// network's engine as long as one does not answer.
func TestRecoverTwo(t *testing.T) {
	for name, c := range map[string]struct {
		second other
		done   []string
		why    string
	}{
		"both":   {other{has: map[string][]string{"b": {"2"}}}, []string{"1 of this after 0s", "2 of other after 0s"}, ""},
		"silent": {other{err: errors.New("away")}, []string{"1 of this after 0s"}, "does not say which networks it has: away"},
		"none":   {other{}, []string{"1 of this after 0s"}, "the engine has no network b"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &wreck{start: time.Now(), has: map[string][]string{"a": {"1"}}, lost: map[string][]string{"a": {"1"}, "b": {"2"}}}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				Recover(ctx, RecoverOptions{Engines: []Inventory{w, c.second}, Unclaimed: w, Pools: w})
				if slices.Sort(w.done); !slices.Equal(w.done, c.done) {
					t.Errorf("done %q, want %q", w.done, c.done)
				}
				said := strings.Join(w.why, "; ")
				if !strings.Contains(said, c.why) || c.why == "" && said != "" || name == "silent" && strings.Contains(said, "no network") {
					t.Errorf("doubts %q, want %q", w.why, c.why)
				}
			})
		})
	}
}

// TestFollowTwo: an engine's absent network goes, whether or not the other one answers.
func TestFollowTwo(t *testing.T) {
	for _, err := range []error{nil, errors.New("away")} {
		w := &world{networks: some("a"), claims: []driver.Claim{claim("a", "LocalDefault"), claim("b", "LocalDefault")}}
		followAll(t, w, []Engine{w, other{has: map[string][]string{"a": nil, "b": nil}, err: err}}, 2*time.Minute, nil)
		want(t, "given up", w.gone, []string{"network b after 30s"})
	}
}
