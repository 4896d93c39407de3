package driver

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/gangway-net/gangway/driver/model"
)

// persist writes the objects of c as they are after it, all or none.
func (d *Driver) persist(c model.Change) error {
	values, err := model.Values(c)
	if err != nil {
		return err
	}
	if err := d.o.Store.Update(values); err != nil {
		return fmt.Errorf("store the state: %w", err)
	}
	return nil
}

// unsaved notes that the store may hold the objects of c as they should not be: after a
// change that failed, or because they were kept there without being in the state.
// It is sure if it does.
func (d *Driver) unsaved(c model.Change, sure bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	note := func(networkID, key string) {
		if d.unstored[networkID] == nil {
			d.unstored[networkID] = map[string]bool{}
		}
		d.unstored[networkID][key] = d.unstored[networkID][key] || sure
	}
	for _, n := range []*model.Network{c.Network.Before, c.Network.After} {
		if n != nil {
			note(n.ID, model.NetworkKeys+n.ID)
		}
	}
	for _, e := range c.Endpoints {
		for _, e := range []*model.Endpoint{e.Before, e.After} {
			if e != nil {
				note(e.NetworkID, model.EndpointKeys+e.ID)
			}
		}
	}
}

// store writes what could not be stored or put back, as the state has it now: what
// an undone change has left would count again after a restart.
func (r *repair) store(ctx context.Context) {
	r.mu.Lock()
	ids := slices.Sorted(maps.Keys(r.unstored))
	r.mu.Unlock()
	for _, id := range ids {
		r.note(r.storeNetwork(ctx, id))
	}
}

func (r *repair) storeNetwork(ctx context.Context, id string) (fixed []string, err error) {
	unlock := r.lockSoon(ctx, id)
	if unlock == nil {
		return nil, nil
	}
	defer unlock()
	values := map[string][]byte{}
	r.mu.Lock()
	differs := false
	for key, sure := range r.unstored[id] {
		differs = differs || sure
		if err = r.state.Value(values, key); err != nil {
			break
		}
	}
	r.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if err := r.o.Store.Update(values); err != nil {
		return nil, fmt.Errorf("store the state of network %s again: %w", model.Short(id), err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.unstored, id)
	if !differs {
		return nil, nil // nothing is known to have been wrong
	}
	return []string{fmt.Sprintf("the stored state of network %s was not what it should be: written again", model.Short(id))}, nil
}
