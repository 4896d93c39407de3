package driver

import (
	"context"
	"fmt"

	"github.com/gangway-net/gangway/driver/model"
)

// store writes what could not be stored or put back, as the state has it now: what
// an undone change has left would count again after a restart.
func (r *repair) store(ctx context.Context) {
	for _, id := range r.desired.Unstored() {
		r.note(r.storeNetwork(ctx, id))
	}
}

func (r *repair) storeNetwork(ctx context.Context, id string) (fixed []string, err error) {
	unlock := r.lockSoon(ctx, id)
	if unlock == nil {
		return nil, nil
	}
	defer unlock()
	values, differs, err := r.desired.UnstoredOf(id)
	if err != nil {
		return nil, err
	}
	if err := r.o.Store.Update(values); err != nil {
		return nil, fmt.Errorf("store the state of network %s again: %w", model.Short(id), err)
	}
	r.desired.Stored(id)
	if !differs {
		return nil, nil // nothing is known to have been wrong
	}
	return []string{fmt.Sprintf("the stored state of network %s was not what it should be: written again", model.Short(id))}, nil
}
