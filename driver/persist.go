package driver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/firewall"
)

// EndpointKeys is what the keys of endpoints begin with in the store. They need not
// outlive a boot of the host (see Restore).
const EndpointKeys = "endpoint/"

// The other keys of the store: one for each network, and one for what is known of
// the host.
const (
	networkKey = "network/"
	hostKey    = "host"
)

// hostRecord is what the store remembers of the host.
type hostRecord struct {
	BootID string
	// Forwarding4 and Forwarding6 say that since that boot forwarding was off until
	// gangway turned it on.
	Forwarding4 bool `json:",omitempty"`
	Forwarding6 bool `json:",omitempty"`
}

// turned are the families whose forwarding gangway has turned on since a boot.
func (h hostRecord) turned(bootID string) firewall.Families {
	if h.BootID != bootID {
		return firewall.Families{}
	}
	return firewall.Families{V4: h.Forwarding4, V6: h.Forwarding6}
}

// persist writes the objects of c as they are after it, all or none.
func (d *Driver) persist(c change) error {
	values, err := values(c)
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
func (d *Driver) unsaved(c change, sure bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	note := func(networkID, key string) {
		if d.unstored[networkID] == nil {
			d.unstored[networkID] = map[string]bool{}
		}
		d.unstored[networkID][key] = d.unstored[networkID][key] || sure
	}
	for _, n := range []*Network{c.network.before, c.network.after} {
		if n != nil {
			note(n.ID, networkKey+n.ID)
		}
	}
	for _, e := range c.endpoints {
		for _, e := range []*Endpoint{e.before, e.after} {
			if e != nil {
				note(e.NetworkID, EndpointKeys+e.ID)
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
		if err = r.state.value(values, key); err != nil {
			break
		}
	}
	r.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if err := r.o.Store.Update(values); err != nil {
		return nil, fmt.Errorf("store the state of network %s again: %w", short(id), err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.unstored, id)
	if !differs {
		return nil, nil // nothing is known to have been wrong
	}
	return []string{fmt.Sprintf("the stored state of network %s was not what it should be: written again", short(id))}, nil
}

// value is what the store has to hold under a key of a network or an endpoint.
func (s *state) value(values map[string][]byte, key string) error {
	values[key] = nil
	if n := s.networks[strings.TrimPrefix(key, networkKey)]; n != nil && strings.HasPrefix(key, networkKey) {
		return encode(values, key, n)
	}
	if e := s.endpoints[strings.TrimPrefix(key, EndpointKeys)]; e != nil && strings.HasPrefix(key, EndpointKeys) {
		return encode(values, key, e)
	}
	return nil
}

// values is what the store has to hold of the objects of c after it.
func values(c change) (map[string][]byte, error) {
	values := map[string][]byte{}
	if n := c.network.before; n != nil {
		values[networkKey+n.ID] = nil
	}
	if n := c.network.after; n != nil {
		if err := encode(values, networkKey+n.ID, n); err != nil {
			return nil, err
		}
	}
	for _, e := range c.endpoints {
		if e.before != nil {
			values[EndpointKeys+e.before.ID] = nil
		}
	}
	for _, e := range c.endpoints {
		if e.after == nil {
			continue
		}
		if err := encode(values, EndpointKeys+e.after.ID, e.after); err != nil {
			return nil, err
		}
	}
	return values, nil
}

func encode(values map[string][]byte, key string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s for the store: %w", key, err)
	}
	values[key] = b
	return nil
}

// load reads the stored state. Anything it does not understand is an error:
// going on without it would lose it at the next write.
func load(store Store) (*state, hostRecord, error) {
	s := newState()
	var host hostRecord
	err := store.Load(func(key string, value []byte) error {
		if err := s.decode(key, value, &host); err != nil {
			return fmt.Errorf("stored value %s: %w", key, err)
		}
		return nil
	})
	if err != nil {
		return nil, host, err
	}
	return s, host, nil
}

// orphaned says that an endpoint is on no network that there is. Somebody put another
// state file in the place of that with the networks, or moved it away.
func (s *state) orphaned(e *Endpoint) bool { return s.networks[e.NetworkID] == nil }

func (s *state) decode(key string, value []byte, host *hostRecord) error {
	switch {
	case key == hostKey:
		return decodeAll(value, host)
	case strings.HasPrefix(key, networkKey):
		n := &Network{}
		if err := decodeAll(value, n); err != nil {
			return err
		}
		if networkKey+n.ID != key {
			return fmt.Errorf("names network %q", n.ID)
		}
		if n.Options == (config.Network{}) {
			return errors.New("has no options")
		}
		s.apply(change{network: networkChange{after: n}})
		return nil
	case strings.HasPrefix(key, EndpointKeys):
		e := &Endpoint{}
		if err := decodeAll(value, e); err != nil {
			return err
		}
		if EndpointKeys+e.ID != key {
			return fmt.Errorf("names endpoint %q", e.ID)
		}
		if err := e.MAC.check(); err != nil {
			return err
		}
		s.apply(change{endpoints: []endpointChange{{after: e}}})
		return nil
	}
	return fmt.Errorf("unknown kind of key")
}

// decodeAll decodes what is stored. A part that is not known was written by
// another version, and would be lost at the next write.
func decodeAll(value []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(value))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}
