package store

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"strings"
)

// Split is a bucket whose keys of one kind are in a file for this boot of the host,
// and all others in a durable one. Its methods may be called concurrently.
type Split struct {
	durable, boot *Bucket
	prefix        string
}

// move moves what an older version left among what is durable. Killed in between, it
// starts again.
func (s *Split) move() error {
	moved, gone := map[string][]byte{}, map[string][]byte{}
	err := s.durable.Load(func(key string, value []byte) error {
		if strings.HasPrefix(key, s.prefix) {
			moved[key], gone[key] = bytes.Clone(value), nil
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := s.boot.Update(moved); err != nil {
		return err
	}
	return s.durable.Update(gone)
}

// Load is Bucket's, first of what is durable and then of the rest.
func (s *Split) Load(visit func(key string, value []byte) error) error {
	if err := s.durable.Load(visit); err != nil {
		return err
	}
	return s.boot.Load(visit)
}

// Update is Bucket's for changes of either kind. Of both kinds, those for this boot
// come first: a crash in between leaves these alone done, an error neither.
func (s *Split) Update(changes map[string][]byte) error {
	boot, durable := map[string][]byte{}, map[string][]byte{}
	for key, value := range changes {
		if strings.HasPrefix(key, s.prefix) {
			boot[key] = value
		} else {
			durable[key] = value
		}
	}
	if len(boot) == 0 || len(durable) == 0 {
		return errors.Join(s.boot.Update(boot), s.durable.Update(durable))
	}
	before, err := s.boot.values(slices.Collect(maps.Keys(boot)))
	if err != nil {
		return err
	}
	if err := s.boot.Update(boot); err != nil {
		return err
	}
	if err := s.durable.Update(durable); err != nil {
		return errors.Join(err, s.boot.Update(before))
	}
	return nil
}

// values returns what the keys have, nil for one that is not there.
func (b *Bucket) values(keys []string) (map[string][]byte, error) {
	found := map[string][]byte{}
	for _, key := range keys {
		found[key] = nil
	}
	err := b.Load(func(key string, value []byte) error {
		if _, asked := found[key]; asked {
			found[key] = bytes.Clone(value)
		}
		return nil
	})
	return found, err
}
