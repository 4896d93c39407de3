package driver

import (
	"context"
	"fmt"

	"github.com/gangway-net/gangway/driver/model"
)

// store has what could not be stored or put back written again.
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
	differed, err := r.writer.StoreAgain(id)
	if err != nil || !differed {
		return nil, err
	}
	return []string{fmt.Sprintf("the stored state of network %s was not what it should be: written again", model.Short(id))}, nil
}
