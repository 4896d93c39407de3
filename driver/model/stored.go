package model

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/firewall"
)

// EndpointKeys is what the keys of endpoints begin with in the store. They need not
// outlive a boot of the host (see Restore).
const EndpointKeys = "endpoint/"

// NetworkKeys is what the keys of networks begin with, HostKey is that of what is known of
// the host.
const (
	NetworkKeys = "network/"
	HostKey     = "host"
)

// HostRecord is what the store remembers of the host.
type HostRecord struct {
	BootID string
	// Forwarding4 and Forwarding6 say that since that boot forwarding was off until
	// gangway turned it on.
	Forwarding4 bool `json:",omitempty"`
	Forwarding6 bool `json:",omitempty"`
}

// Turned are the families whose forwarding gangway has turned on since the boot.
func (h HostRecord) Turned() firewall.Families {
	return firewall.Families{V4: h.Forwarding4, V6: h.Forwarding6}
}

// Turning is the record once gangway has turned on the forwarding of these families as well.
func (h HostRecord) Turning(more firewall.Families) HostRecord {
	all := h.Turned().With(more)
	h.Forwarding4, h.Forwarding6 = all.V4, all.V6
	return h
}

// At is the record at a boot: it ends with the boot that it is of.
func (h HostRecord) At(bootID string) HostRecord {
	if h.BootID != bootID {
		return HostRecord{BootID: bootID}
	}
	return h
}

// Values is what the store has to hold of the objects of c after it, by key; nil for those
// that go.
func Values(c Change) (map[string][]byte, error) {
	values := map[string][]byte{}
	if n := c.Network.Before; n != nil {
		values[NetworkKeys+n.ID] = nil
	}
	if n := c.Network.After; n != nil {
		if err := Encode(values, NetworkKeys+n.ID, n); err != nil {
			return nil, err
		}
	}
	for _, e := range c.Endpoints {
		if e.Before != nil {
			values[EndpointKeys+e.Before.ID] = nil
		}
	}
	for _, e := range c.Endpoints {
		if e.After == nil {
			continue
		}
		if err := Encode(values, EndpointKeys+e.After.ID, e.After); err != nil {
			return nil, err
		}
	}
	for _, p := range c.Policies {
		if values[PolicyKeys+p.name()] = nil; p.After == nil {
			continue
		}
		if err := Encode(values, PolicyKeys+p.After.Name, p.After); err != nil {
			return nil, err
		}
	}
	if c.Host != nil {
		if err := Encode(values, HostKey, c.Host.After); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// Value adds to values what the store has to hold under a key of a network, an endpoint or a policy;
// nil if there is no such object.
func (s *State) Value(values map[string][]byte, key string) error {
	values[key] = nil
	if n := s.Networks[strings.TrimPrefix(key, NetworkKeys)]; n != nil && strings.HasPrefix(key, NetworkKeys) {
		return Encode(values, key, n)
	}
	if e := s.Endpoints[strings.TrimPrefix(key, EndpointKeys)]; e != nil && strings.HasPrefix(key, EndpointKeys) {
		return Encode(values, key, e)
	}
	if p := s.Policies[strings.TrimPrefix(key, PolicyKeys)]; p != nil && strings.HasPrefix(key, PolicyKeys) {
		return Encode(values, key, p)
	}
	return nil
}

// Encode adds to values what is stored of v under a key.
func Encode(values map[string][]byte, key string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s for the store: %w", key, err)
	}
	values[key] = b
	return nil
}

// Load reads the stored state, of which visit calls a function for each key with its value.
// Anything it does not understand is an error: going on
// without it would lose it at the next write.
func Load(visit func(func(key string, value []byte) error) error) (*State, error) {
	s := NewState()
	err := visit(func(key string, value []byte) error {
		if err := s.decode(key, value); err != nil {
			return fmt.Errorf("stored value %s: %w", key, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Orphaned says that an endpoint is on no network that there is. Somebody put another
// state file in the place of that with the networks, or moved it away.
func (s *State) Orphaned(e *Endpoint) bool { return s.Networks[e.NetworkID] == nil }

func (s *State) decode(key string, value []byte) error {
	switch {
	case key == HostKey:
		return decodeAll(value, &s.Host)
	case strings.HasPrefix(key, NetworkKeys):
		n := &Network{}
		if err := decodeAll(value, n); err != nil {
			return err
		}
		if NetworkKeys+n.ID != key {
			return fmt.Errorf("names network %q", n.ID)
		}
		if n.Options == (config.Network{}) {
			return errors.New("has no options")
		}
		s.Apply(Change{Network: NetworkChange{After: n}})
		return nil
	case strings.HasPrefix(key, EndpointKeys):
		e := &Endpoint{}
		if err := decodeAll(value, e); err != nil {
			return err
		}
		if EndpointKeys+e.ID != key {
			return fmt.Errorf("names endpoint %q", e.ID)
		}
		if err := e.MAC.Check(); err != nil {
			return err
		}
		s.Apply(Change{Endpoints: []EndpointChange{{After: e}}})
		return nil
	}
	if strings.HasPrefix(key, PolicyKeys) {
		return s.decodePolicy(key, value)
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
