package commit

import (
	"maps"
	"slices"
	"sync"

	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
)

// Applied is what the kernel has been made to hold, by owner. Of an owner that is what its
// plan was compiled from, which the desired state has as well: plans of ten thousand ports
// would be megabytes. An owner's record changes only by who has its lock.
type Applied struct {
	mu sync.Mutex
	of map[plan.Owner]plan.Source
	// open has the owners of which the kernel may hold something else than is wanted, with
	// doubtful objects: those that the kernel did not take or did not give up, of which it is
	// not known whether, or how far, they are there. Without any, a change of the owner found
	// no way to the kernel.
	open map[plan.Owner]plan.Plan
	// shared are the kinds whose objects several owners may need, and users how many need one.
	shared map[spec.Kind]bool
	users  map[plan.ID]int
}

func newApplied(kinds Kinds) *Applied {
	a := &Applied{of: map[plan.Owner]plan.Source{}, open: map[plan.Owner]plan.Plan{}, shared: map[spec.Kind]bool{}, users: map[plan.ID]int{}}
	for _, k := range slices.Concat(kinds.First, kinds.Then) {
		if k.shared {
			a.shared[k.Of] = true
		}
	}
	return a
}

// get returns what was applied of an owner, and what of it is doubtful.
func (a *Applied) get(o plan.Owner) (source plan.Source, doubtful plan.Plan) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.of[o], a.open[o]
}

// reached notes what was applied of an owner, but for doubtful objects. was and is are its
// plans before and now.
func (a *Applied) reached(o plan.Owner, source plan.Source, doubtful, was, is plan.Plan) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.count(was, -1)
	a.count(is, +1)
	delete(a.open, o)
	if len(doubtful) > 0 {
		a.open[o] = doubtful
	}
	if source.Empty() {
		delete(a.of, o)
		return
	}
	a.of[o] = source
}

func (a *Applied) count(p plan.Plan, by int) {
	if len(a.shared) == 0 {
		return
	}
	for _, o := range p {
		if !a.shared[o.Kind()] {
			continue
		}
		id := plan.IDOf(o)
		if a.users[id] += by; a.users[id] == 0 {
			delete(a.users, id)
		}
	}
}

// others says whether others need a shared object than so many.
func (a *Applied) others(id plan.ID, but int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.users[id] > but
}

// fill takes over that all that a state says by these facts is there.
func (a *Applied) fill(s *model.State, f plan.Facts) {
	for o := range plan.Owners(s) {
		from := plan.SourceOf(s, o, f)
		var is plan.Plan
		if len(a.shared) > 0 {
			is = from.Compile()
		}
		a.reached(o, from, nil, nil, is)
	}
}

// doubt notes that of these owners the kernel may hold something else than is wanted.
func (a *Applied) doubt(owners []plan.Owner) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, o := range owners {
		a.open[o] = slices.Clip(a.open[o])
	}
}

// opened returns the owners of which the kernel may hold something else than is wanted, sorted.
func (a *Applied) opened() []plan.Owner {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.SortedFunc(maps.Keys(a.open), plan.Owner.Compare)
}

// rulesAreRight ends all doubt about rules: they were made what they have to be.
func (a *Applied) rulesAreRight() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for o, doubtful := range a.open {
		if len(doubtful) == 0 {
			continue // its change found no way to the kernel at all
		}
		if rest := slices.DeleteFunc(slices.Clone(doubtful), plan.IsRule); len(rest) > 0 {
			a.open[o] = rest
		} else {
			delete(a.open, o)
		}
	}
}
