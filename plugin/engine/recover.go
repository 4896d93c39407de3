package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/ipam"
)

// Inventory is who is asked what it has in full; *Client is the real one.
type Inventory interface {
	Networks(ctx context.Context) (driver.Inventory, error)
	Inventory(ctx context.Context, engine string, networkIDs []string) ([]Held, error)
}

// Unclaimed is what finds in the kernel what running containers use and the stored
// state does not know; *driver.Driver is the real one.
type Unclaimed interface {
	Unclaimed() map[string][]string
	Recover(ctx context.Context, a driver.Recovery) error
	Disown(endpointIDs []string)
	Doubt(why string)
}

// Pools takes back what the address manager held; *ipam.Allocator is the real one.
type Pools interface {
	Reclaim(ctx context.Context, h ipam.Holding) error
}

// RecoverOptions are what Recover works with.
type RecoverOptions struct {
	Engines   []Inventory
	Unclaimed Unclaimed
	Pools     Pools
}

// The pauses between two questions as long as something is unclaimed: short at first,
// since containers wait for their ports.
const (
	soon       = time.Second
	soonTimes  = 30
	afterwards = 10 * time.Second
)

// Off is what there is to do where no engine is asked.
const Off = "GANGWAY_ENGINE is off: set it to the engine's API socket and start gangway again, or stop these containers and create their networks anew"

// Recover has the driver take back what engines say that they have, until nothing is
// unclaimed or ctx ends. Of what the engine of a network does not have it says so when
// that has been so for the time of grace, as Follow does. Of networks that no engine has
// nothing is said: they may be those of one that is not asked.
func Recover(ctx context.Context, o RecoverOptions) {
	r := &recoverer{RecoverOptions: o}
	for times := 0; len(o.Unclaimed.Unclaimed()) > 0; times++ {
		why := ""
		if err := r.ask(ctx); err != nil {
			why = err.Error()
		}
		if ctx.Err() != nil {
			return
		}
		o.Unclaimed.Doubt(why)
		pause := soon
		if times >= soonTimes {
			pause = afterwards
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

type recoverer struct {
	RecoverOptions
	// missing has the endpoints that the engine did not name in the last answer,
	// though it has their network, and since when.
	missing map[string]time.Time
}

// said is what the engines have said about what is unclaimed.
type said struct {
	// networks are those that an engine has; told of those it has said what is on them,
	// and endpoints are that.
	networks, told, endpoints map[string]bool
	errs                      []error
}

// ask asks each engine once and has what it says taken back. The error says what is not
// settled.
func (r *recoverer) ask(ctx context.Context) error {
	lost := r.Unclaimed.Unclaimed()
	a := said{networks: map[string]bool{}, told: map[string]bool{}, endpoints: map[string]bool{}}
	silent := false
	for _, e := range r.Engines {
		listed, err := e.Networks(ctx)
		if err != nil {
			silent = true
			a.errs = append(a.errs, fmt.Errorf("the engine at GANGWAY_ENGINE does not say which networks it has: %w", err))
			continue
		}
		r.askOne(ctx, e, listed, lost, &a)
	}
	var foreign []string
	for _, id := range slices.Sorted(maps.Keys(lost)) {
		if !a.networks[id] {
			foreign = append(foreign, id[:min(len(id), 12)])
		}
	}
	// One that does not answer may have it.
	if len(foreign) > 0 && !silent {
		a.errs = append(a.errs, fmt.Errorf("the engine has no network %s: another engine may have it, else stop the containers that use its bridge", strings.Join(foreign, ", ")))
	}
	if len(a.told) > 0 {
		r.disown(lost, slices.Sorted(maps.Keys(a.told)), a.endpoints)
	}
	return errors.Join(a.errs...)
}

// askOne asks an engine about those of the lost networks that it has.
func (r *recoverer) askOne(ctx context.Context, e Inventory, listed driver.Inventory, lost map[string][]string, a *said) {
	var known []string
	for _, id := range slices.Sorted(maps.Keys(lost)) {
		if _, has := listed.Networks[id]; has {
			known = append(known, id)
			a.networks[id] = true
		}
	}
	if len(known) == 0 {
		return
	}
	all, err := e.Inventory(ctx, listed.Engine, known)
	if err != nil {
		a.errs = append(a.errs, fmt.Errorf("the engine does not say what it has: %w", err))
		return
	}
	for _, id := range known {
		a.told[id] = true
	}
	for _, h := range all {
		for _, e := range h.Endpoints {
			a.endpoints[e.EndpointID] = true
		}
		a.errs = append(a.errs, r.recovered(ctx, h))
	}
}

// recovered takes back a network, its addresses first, so that nobody else gets them.
func (r *recoverer) recovered(ctx context.Context, h Held) error {
	var errs []error
	for _, p := range h.Pools {
		errs = append(errs, r.Pools.Reclaim(ctx, p))
	}
	if err := errors.Join(append(errs, r.Unclaimed.Recover(ctx, h.Recovery))...); err != nil {
		return fmt.Errorf("take back network %s: %w", h.Network.ID[:min(len(h.Network.ID), 12)], err)
	}
	return nil
}

// disown tells of the endpoints that the engine has not had for the time of grace.
func (r *recoverer) disown(lost map[string][]string, known []string, there map[string]bool) {
	missing := map[string]time.Time{}
	var over []string
	for _, network := range known {
		for _, id := range lost[network] {
			since, before := r.missing[id]
			switch {
			case there[id]:
				continue
			case !before:
				since = time.Now()
			case time.Since(since) >= grace:
				over = append(over, id)
			}
			missing[id] = since
		}
	}
	r.missing = missing
	r.Unclaimed.Disown(over)
}
