package commit

import (
	"fmt"

	"github.com/gangway-net/gangway/driver/model"
)

// Restore puts a state in the place of the present one, in which there is nothing, and stores
// what has changed of it since it was stored. What the state says is taken to be in the
// kernel: what is not is found by the next check.
func (w *Writer) Restore(s *model.State, changed []model.Change) error {
	for _, c := range changed {
		if c.Empty() {
			continue
		}
		if err := w.persist(c); err != nil {
			return err
		}
	}
	w.desired.restore(s)
	w.applied.fill(s, w.desired.facts())
	return nil
}

// Remember makes a change of what is remembered of the host, which has no objects of its own:
// what follows from it, rules do (see Rules). The caller has the lock of what it is about,
// and may be within another change.
func (w *Writer) Remember(look Planner) error {
	c, err := w.begin(look)
	if err != nil || c.Empty() {
		return err
	}
	w.desired.arrived(c.Change)
	return nil
}

// StoreAgain writes what of a network could not be stored or put back, as the state has it
// now: what an undone change has left would count again after a restart. It says whether
// something is known to have been wrong. The caller has the network's lock.
func (w *Writer) StoreAgain(networkID string) (differed bool, err error) {
	values, differed, err := w.desired.unstoredOf(networkID)
	if err != nil {
		return false, err
	}
	if err := w.store.Update(values); err != nil {
		return false, fmt.Errorf("store the state of %s again: %w", Whose(networkID), err)
	}
	w.desired.stored(networkID)
	return differed, nil
}

// noKey is a key of the store that there never is.
const noKey = "nothing"

// TryStore has the store write, though nothing, and returns what keeps it from that.
func (w *Writer) TryStore() error {
	return w.store.Update(map[string][]byte{noKey: nil})
}

// Whose names for people what a lock of networks is for.
func Whose(networkID string) string {
	if networkID == PoliciesLock {
		return networkID
	}
	return "network " + model.Short(networkID)
}
