package driver

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/gangway-net/gangway/driver/commit"
	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/lock"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
)

// repair is one comparison of the kernel with the state: of all rules, and of the
// links that it is of. It is of all links, unless something told which of them
// changed since one that was.
//
// Rules are compared with what the firewall was told while nobody tells it anything
// else; the kernel's count of changes makes that short.
// Links are looked at at once while verbs go on. What does not look as it
// should is looked at again, and mended, with the lock of its network, as a verb
// would do it: other networks do not wait.
type repair struct {
	*Driver
	of     spec.Scope
	fixed  []string
	failed []error
	sorted sorted
	// missing holds the endpoints whose link pair is in no container.
	missing map[string]missing
	// linkless says that no link may get to carry anything: the rules are not known to
	// be there.
	linkless bool
	times
}

// times are those of a comparison.
type times struct {
	// took is how long it worked, without the time in which it waited:
	// idle for verbs, and that for a manager of the host's firewall, which does not
	// answer while it starts.
	took, idle time.Duration
}

// thorough is how many pairs a comparison of all links looks at closely beside
// those that do not look as they should; the next one takes the next of them. It
// finds what one look at all links does not show.
const thorough = 64

// repair makes the kernel hold what the state says, as far as links go those of the
// scope, in the order in which a verb brings things about (see kinds): nothing is
// reachable that is not isolated, and without rules no link gets to carry anything.
func (d *Driver) repair(ctx context.Context, of spec.Scope) *repair {
	r, start := &repair{Driver: d, of: d.unsettled(of), missing: map[string]missing{}}, time.Now()
	kinds := d.kinds()
	r.checkKinds(ctx, kinds.First)
	failed := len(r.failed)
	r.learn(ctx)
	r.checkRules(ctx)
	if r.linkless = len(r.failed) > failed; !r.linkless {
		r.dropListened()
	}
	r.sort(repairRules)
	r.settle(ctx)
	r.checkKinds(ctx, kinds.Then)
	r.took = time.Since(start) - r.idle
	r.store(ctx)
	r.sort(repairStore)
	// What breaks off since the daemon stops says nothing about the kernel.
	if !errors.Is(ctx.Err(), context.Canceled) {
		r.finish()
	}
	return r
}

// settle tries again what changes have left open.
func (r *repair) settle(ctx context.Context) {
	if r.linkless {
		return
	}
	for _, o := range r.writer.Open() {
		r.note(r.settleOwner(ctx, o))
	}
}

func (r *repair) settleOwner(ctx context.Context, o plan.Owner) ([]string, error) {
	if o.Network != "" {
		unlock := r.lockSoon(ctx, o.Network)
		if unlock == nil {
			return nil, nil
		}
		defer unlock()
	}
	return r.writer.Settle(ctx, o)
}

// checks says how all objects of a kind are compared with what is there, and mended. Each
// kind is in it: nil says that the check of another one looks at these as well.
func (r *repair) checks() map[spec.Kind]func(context.Context) {
	return map[spec.Kind]func(context.Context){
		spec.KindHostPorts: r.checkPorts,
		spec.KindBridge:    r.checkLinks,
		spec.KindZone:      r.zones,
		// One look shows all links: checkLinks mends these.
		spec.KindForwarding: nil,
		spec.KindPair:       nil,
	}
}

// checkKinds checks these kinds.
func (r *repair) checkKinds(ctx context.Context, kinds []commit.Kind) {
	checks := r.checks()
	for _, k := range kinds {
		if check := checks[k.Of]; check != nil {
			check(ctx)
			r.sort(k.Of)
		}
	}
}

// zones has the manager of the host's firewall let the bridges be. It may take its time,
// which is none of ours.
func (r *repair) zones(ctx context.Context) {
	if r.linkless || r.o.Zones == nil {
		return
	}
	defer r.waited(time.Now())
	r.note(r.o.Zones.Sync(ctx, r.zoned))
}

// unsettled adds to a scope what is to be looked at again, though nothing tells of
// it: pairs that were gone, and everything where the last comparison failed.
func (d *Driver) unsettled(of spec.Scope) spec.Scope {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.health.problem != "" {
		return spec.Scope{All: true}
	}
	for id := range d.health.missing {
		of.Add(plan.VethHost(id))
	}
	for _, v := range d.owners.Unclaimed() {
		of.Add(v.Host)
	}
	return of
}

// desiredLinks are those of the state as it is now.
func (d *Driver) desiredLinks() plan.Links {
	s, unlock := d.desired.Read()
	networks := slices.Collect(maps.Values(s.Networks))
	endpoints := slices.Collect(maps.Values(s.Endpoints))
	on := make([]*model.Network, len(endpoints))
	for i, e := range endpoints {
		on[i] = s.Networks[e.NetworkID]
	}
	unlock()
	return plan.LinksOf(networks, endpoints, on)
}

// alone does something while no verb runs. Where that cannot be, the next check tries
// again: what is nobody's harms nobody.
func (r *repair) alone(ctx context.Context, do func() ([]string, error)) {
	if leave := r.beAlone(ctx); leave != nil {
		defer leave()
		r.note(do())
	}
}

// beAlone returns nil where verbs do not end for as long as a check waits.
func (r *repair) beAlone(ctx context.Context) (leave func()) {
	defer r.waited(time.Now())
	leave, err := r.gate.Alone(ctx)
	if err != nil {
		r.o.Log.WithError(err).Debug("left for the next check")
		return nil
	}
	return leave
}

// waited notes that the comparison has only waited for others since some moment.
func (r *repair) waited(since time.Time) { r.idle += time.Since(since) }

func (r *repair) note(fixed []string, err error) {
	r.fixed = append(r.fixed, fixed...)
	if err != nil {
		r.failed = append(r.failed, err)
	}
}

// checkLinks removes what belongs to nobody, mends bridges, forwarding and pairs if it is
// allowed to, and finds pairs that are gone. A pair that is gone took its
// container's end with it and cannot be brought back from here. A link that only has
// another name is not missing: it gets its own before anything is made anew.
func (r *repair) checkLinks(ctx context.Context) {
	want, mend := r.desiredLinks(), !r.linkless
	found, err := r.check(ctx, r.of, want)
	if err != nil {
		r.note(nil, err)
		return
	}
	known := len(r.fixed)
	r.orphans(ctx, found)
	r.sort(repairOrphan)
	if mend {
		// One that is gone took its pairs off before anything told of it.
		r.of.Join(bridgesOf(want.Veths, found))
		r.bridges(ctx, want)
	}
	if len(r.fixed) > known {
		if found, err = r.check(ctx, r.of, want); err != nil {
			r.note(nil, err)
			return
		}
	}
	for _, v := range want.Veths {
		if found.Gone[v.EndpointID] || found.Outside[v.EndpointID] {
			r.miss(v.EndpointID, found.Outside[v.EndpointID])
		}
	}
	if mend {
		for _, v := range r.suspects(want.Veths, found) {
			r.veth(ctx, v.EndpointID)
		}
		r.sort(spec.KindPair)
	}
}

// bridgesOf are those of the pairs that are not as they should be.
func bridgesOf(veths []spec.Veth, found spec.LinkCheck) (of spec.Scope) {
	for _, v := range veths {
		if found.Amiss[v.EndpointID] && !found.Gone[v.EndpointID] {
			of.Add(v.Bridge)
		}
	}
	return of
}

// bridges mends bridges, and forwarding between links.
func (r *repair) bridges(ctx context.Context, want plan.Links) {
	for _, b := range want.Bridges {
		if !r.of.Has(b.Name) {
			continue
		}
		r.onNetwork(ctx, b.NetworkID, func(n *model.Network) ([]string, error) {
			return r.o.Links.EnsureBridge(ctx, plan.Bridge(n))
		})
	}
	r.sort(spec.KindBridge)
	if want.Forward != (firewall.Families{}) {
		r.note(r.forward(ctx, want.Forward))
	}
	r.sort(spec.KindForwarding)
}

// lockSoon takes the lock of a network for a check. It returns nil where a verb has it
// for longer than a check waits: other networks are not to wait for that, and the next
// check looks again.
func (r *repair) lockSoon(ctx context.Context, id string) (unlock func()) {
	ctx, cancel := context.WithTimeout(ctx, lock.Patience)
	defer cancel()
	defer r.waited(time.Now())
	unlock, err := r.networks.Take(ctx, id)
	if err != nil {
		r.o.Log.WithError(err).Debug("left for the next check")
		return nil
	}
	return unlock
}

// onNetwork does something about a network that is there, as a verb would.
func (r *repair) onNetwork(ctx context.Context, id string, do func(*model.Network) ([]string, error)) {
	unlock := r.lockSoon(ctx, id)
	if unlock == nil {
		return
	}
	defer unlock()
	if n := r.network(id); n != nil {
		r.note(do(n))
	}
}

// suspects chooses the pairs to be looked at closely. Those that are gone are
// not among them.
func (r *repair) suspects(veths []spec.Veth, found spec.LinkCheck) []spec.Veth {
	turn := map[string]bool{}
	if r.of.All {
		for i := range min(thorough, len(veths)) {
			turn[veths[(r.turn+i)%len(veths)].EndpointID] = true
		}
		r.turn += thorough
		if r.turn >= len(veths) {
			r.turn = 0
		}
	}
	return slices.DeleteFunc(slices.Clone(veths), func(v spec.Veth) bool {
		return found.Gone[v.EndpointID] || !found.Amiss[v.EndpointID] && !turn[v.EndpointID]
	})
}

// veth mends the host end of an endpoint's pair, if it is in a container still.
func (r *repair) veth(ctx context.Context, endpointID string) {
	find := func() *model.Endpoint {
		s, unlock := r.desired.Read()
		defer unlock()
		return s.Endpoints[endpointID]
	}
	e := find()
	if e == nil {
		return
	}
	r.onNetwork(ctx, e.NetworkID, func(n *model.Network) ([]string, error) {
		e := find()
		if e == nil {
			return nil, nil
		}
		return r.o.Links.EnsureVeth(ctx, plan.Veth(n, e))
	})
}

// orphans removes links that belong to nobody. What seemed to, because of a verb
// that was on its way, no longer does at a second look.
func (r *repair) orphans(ctx context.Context, found spec.LinkCheck) {
	if len(found.Orphans) == 0 {
		return
	}
	found, err := r.check(ctx, spec.Scope{Links: found.Orphans}, r.desiredLinks())
	if err != nil {
		r.note(nil, err)
		return
	}
	if len(found.Orphans) > 0 {
		r.alone(ctx, func() ([]string, error) {
			bridges, veths := r.unpruned(r.desiredLinks())
			return r.o.Host.Prune(ctx, bridges, veths)
		})
	}
}

// finish publishes what was found. A problem is logged when it is new.
func (r *repair) finish() {
	problem := ""
	if err := errors.Join(r.failed...); err != nil {
		problem = err.Error()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch was := r.health.problem; {
	case problem != "" && problem != was:
		r.o.Log.Error("the kernel does not hold what it should: " + problem)
		r.journal.Add(events.Problem, problem)
	case problem == "" && was != "":
		r.o.Log.Info("the kernel holds what it should again")
		r.journal.Add(events.Solved, "solved: "+was)
	}
	r.health.checks++
	r.health.repairs += uint64(len(r.fixed))
	for kind, n := range r.sorted.byKind {
		r.health.mended[kind] += n
	}
	r.health.lastCheck = time.Now()
	r.health.problem = problem
	r.health.missing = r.missing
}

// miss notes since when an endpoint's pair has been gone, or outside of any
// container.
func (r *repair) miss(endpointID string, outside bool) {
	s, unlock := r.desired.Read()
	defer unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	m, known := r.health.missing[endpointID]
	if !known || m.outside != outside {
		m = missing{since: time.Now(), outside: outside}
	}
	if e := s.Endpoints[endpointID]; e != nil {
		m.networkID = e.NetworkID
	}
	r.missing[endpointID] = m
}

// lost returns the endpoints whose pair has been missing for long and still is: a
// verb may have been on its way at each look.
func (r *repair) lost(ctx context.Context) map[string]missing {
	over := map[string]missing{}
	for id, m := range r.missing {
		if m.over() {
			over[id] = m
		}
	}
	if len(over) == 0 {
		return nil
	}
	found, err := r.check(ctx, spec.Scope{All: true}, r.desiredLinks())
	if err != nil {
		return nil
	}
	for id, m := range over {
		if !found.Gone[id] && (!m.outside || !found.Outside[id]) {
			delete(over, id)
		}
	}
	return over
}
