package driver

import (
	"context"
	"net/netip"

	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/driver/model"
)

// Engines never repeat the removal of a network, and report it as done, when the
// call broke off or found nobody. Only they know, so they are asked in the
// background (package plugin/engine), and what they say arrives here. Nothing is
// taken from a network that its engine has not named before: it may be another
// engine's.

// Inventory is which networks an engine says that it has.
type Inventory struct {
	// Engine tells the engine from others for as long as its networks last.
	Engine string
	// Networks has the name of each of its networks, of all drivers, by id.
	Networks map[string]string
}

// Claim is what a network uses of its address manager.
type Claim struct {
	NetworkID string
	// Space is the address space; empty if it is not known.
	Space   string
	Subnets []netip.Prefix
	// Addresses are those of its endpoints.
	Addresses []netip.Addr
}

// NoteInventory notes which engine each network is of and what that calls it, durably, and returns the claims of
// that engine's networks: of those that it has, and of those without endpoints that
// it had once. It removes none of them: their engine may be about to do so.
func (d *Driver) NoteInventory(ctx context.Context, r Inventory) (present, absent []Claim, err error) {
	var names []string
	for _, id := range d.unassigned(r) {
		was, err := d.assign(ctx, id, r)
		if names = append(names, was, r.Networks[id]); err != nil {
			d.followNames(ctx, names...)
			return nil, nil, err
		}
	}
	d.followNames(ctx, names...)
	if err := d.SettleGateways(ctx); err != nil {
		return nil, nil, err
	}
	s, unlock := d.desired.Read()
	defer unlock()
	d.owners.Heard(s, r.Engine, r.Networks)
	for _, n := range s.Networks {
		switch {
		case n.Engine != r.Engine:
		case has(r, n.ID):
			present = append(present, claimOf(s, n))
		case len(s.Members[n.ID]) == 0:
			absent = append(absent, claimOf(s, n))
		}
	}
	return present, absent, nil
}

func has(r Inventory, id string) bool {
	_, has := r.Networks[id]
	return has
}

// unassigned returns the networks that the engine has and that are not known for
// its own yet, or by another name.
func (d *Driver) unassigned(r Inventory) (ids []string) {
	s, unlock := d.desired.Read()
	defer unlock()
	for _, n := range s.Networks {
		if has(r, n.ID) && (n.Engine != r.Engine || n.Name != r.Networks[n.ID]) {
			ids = append(ids, n.ID)
		}
	}
	return ids
}

// assign notes whose a network is, and what it is called; was is what it was called before.
func (d *Driver) assign(ctx context.Context, id string, r Inventory) (was string, err error) {
	unlock, err := d.networks.Take(ctx, id)
	if err != nil {
		return "", err
	}
	defer unlock()
	err = d.writer.Commit(ctx, func(s *model.State) (model.Change, error) {
		old := s.Networks[id]
		if old == nil {
			return model.Change{}, nil
		}
		was = old.Name
		n := *old
		n.Engine, n.Name = r.Engine, r.Networks[id]
		return model.Change{Network: model.NetworkChange{Before: old, After: &n}}, nil
	})
	return was, err
}

func claimOf(s *model.State, n *model.Network) Claim {
	c := Claim{NetworkID: n.ID, Space: n.Space, Subnets: n.Subnets()}
	for _, e := range s.Members[n.ID] {
		c.Addresses = append(c.Addresses, e.Addrs()...)
	}
	return c
}

// Forget removes a network that its engine has no more, and says whether it did:
// one with endpoints stays, unclaimed ones among them, and one that the store does not
// let go. What the kernel
// does not give up is an error, and for Reconcile.
func (d *Driver) Forget(ctx context.Context, id string) (bool, error) {
	return d.forget(ctx, id, func(*model.Network) bool { return true })
}

// forget is Forget for a network that still is as it was when that was decided.
func (d *Driver) forget(ctx context.Context, id string, still func(*model.Network) bool) (bool, error) {
	gone, err := d.retire(ctx, id, still)
	if gone == nil {
		return false, err
	}
	d.followNames(ctx, gone.Name)
	d.o.Log.WithField("net", model.Short(id)).Warnf("network %v is removed late: the engine's call for that was lost", gone.Subnets())
	d.journal.Add(events.Lost, "network "+model.Short(id)+" is not the engine's any more", "removed")
	return true, err
}

// retire removes the network if it still is as it was, and returns it if it is gone by now.
func (d *Driver) retire(ctx context.Context, id string, still func(*model.Network) bool) (gone *model.Network, err error) {
	unlock, err := d.networks.Take(ctx, id)
	if err != nil {
		return nil, err
	}
	defer unlock()
	err = d.writer.Retire(ctx, func(s *model.State) (model.Change, error) {
		if n := s.Networks[id]; n != nil && len(s.Members[id]) == 0 && !d.owners.On(id) && still(n) {
			gone = n
			return model.Change{Network: model.NetworkChange{Before: n}}, nil
		}
		return model.Change{}, nil
	})
	if d.network(id) != nil {
		return nil, err
	}
	return gone, err
}

// Doubts has something in it when engines should be asked what they have: after
// networks were made, and when one could not be removed.
func (d *Driver) Doubts() <-chan struct{} { return d.doubts }

func (d *Driver) doubt() {
	select {
	case d.doubts <- struct{}{}:
	default: // they will be asked already
	}
}
