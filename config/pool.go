package config

import (
	"encoding/json"
	"fmt"
	"strings"
)

// ParsePool reads the options of RequestPool: the user's (--ipam-opt), of which an
// unknown or a malformed one is an error, and swarm's, which are passed over.
func ParsePool(options map[string]string) (Pool, error) {
	given := map[string]string{}
	table := optionsTable()
	for _, name := range sortedKeys(options) {
		if strings.HasPrefix(name, "com.docker.network.") || name == "RequestAddressType" {
			continue
		}
		if _, err := find(table, ForPool, name); err != nil {
			return Pool{}, err
		}
		given[name] = options[name]
	}
	var p Pool
	if err := p.take(table, given); err != nil {
		return Pool{}, err
	}
	return p, nil
}

// DefaultPool is what a pool is without options.
func DefaultPool() Pool {
	var p Pool
	_ = p.take(optionsTable(), nil) // each row takes its default
	return p
}

// take sets all options to what is given of them, or to their defaults.
func (p *Pool) take(table []Option, given map[string]string) (err error) {
	if p.given, err = remember(given); err != nil {
		return err
	}
	for _, row := range table {
		if row.pool == nil {
			continue
		}
		value, ok := given[row.Name]
		if !ok {
			value = row.Default
		}
		if err := row.pool(p, value); err != nil {
			return fmt.Errorf("address manager option %s: %q %w", row.Name, value, err)
		}
	}
	return nil
}

// IsZero says whether the user gave nothing, which is then not stored.
func (p Pool) IsZero() bool { return p.given == "" }

// MarshalJSON gives what the user gave.
func (p Pool) MarshalJSON() ([]byte, error) {
	texts, err := p.given.texts()
	if err != nil {
		return nil, err
	}
	return json.Marshal(texts)
}

// UnmarshalJSON is as Network's.
func (p *Pool) UnmarshalJSON(b []byte) error {
	var texts map[string]string
	if err := strict(b, &texts); err != nil {
		return err
	}
	var fresh Pool
	table := optionsTable()
	err := known(table, ForPool, texts)
	if err == nil {
		err = fresh.take(table, texts)
	}
	if err != nil {
		return stored(err)
	}
	*p = fresh
	return nil
}
