package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// given is what a user gave of the options in a place, word by word: a JSON object with
// sorted names, "" for nothing. It is what is stored, and parsed again at each load:
// a version that knows more options reads their defaults into it.
type given string

func remember(texts map[string]string) (given, error) {
	if len(texts) == 0 {
		return "", nil
	}
	b, err := json.Marshal(texts)
	return given(b), err
}

// texts returns the options by name.
func (g given) texts() (map[string]string, error) {
	texts := map[string]string{}
	if g == "" {
		return texts, nil
	}
	err := strict([]byte(g), &texts)
	return texts, err
}

// arguments are the options as on a command line.
func (g given) arguments(flag string) (all []string) {
	texts, err := g.texts()
	if err != nil {
		return []string{string(g)}
	}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		all = append(all, fmt.Sprintf("%s %s=%s", flag, name, texts[name]))
	}
	return all
}

// known refuses an option that this version does not have in a place any more.
func known(table []Option, place Where, texts map[string]string) error {
	for _, name := range sortedKeys(texts) {
		if _, err := find(table, place, name); err != nil {
			return err
		}
	}
	return nil
}

// stored is the error of what was stored and does not hold any more.
func stored(err error) error {
	return fmt.Errorf("%w: another version of gangway has taken it: go back to that one, remove what has the option and create it anew", err)
}

// storedNetwork is how a Network is stored.
type storedNetwork struct {
	Internal, IPv4, IPv6 bool
	Given                map[string]string `json:",omitempty"`
}

// Given returns the options that the user gave, by name.
func (n Network) Given() map[string]string {
	texts, err := n.given.texts()
	if err != nil { // it was parsed before it became a Network's
		return nil
	}
	return texts
}

// MarshalJSON gives what the engine said, and what the user gave.
func (n Network) MarshalJSON() ([]byte, error) {
	texts, err := n.given.texts()
	if err != nil {
		return nil, err
	}
	return json.Marshal(storedNetwork{Internal: n.Internal, IPv4: n.IPv4, IPv6: n.IPv6, Given: texts})
}

// UnmarshalJSON parses again what was stored. An option that is not there any more, or
// no longer takes what was given, is an error.
func (n *Network) UnmarshalJSON(b []byte) error { return n.load(optionsTable(), b) }

func (n *Network) load(table []Option, b []byte) error {
	s := storedNetwork{IPv4: true}
	if err := strict(b, &s); err != nil {
		return err
	}
	fresh := Network{Internal: s.Internal, IPv4: s.IPv4, IPv6: s.IPv6}
	err := known(table, ForNetwork, s.Given)
	if err == nil {
		err = fresh.take(table, s.Given)
	}
	if err != nil {
		return stored(err)
	}
	*n = fresh
	return nil
}

// Equal tells whether both ask for the same, in whatever words.
func (n Network) Equal(o Network) bool {
	n.given = o.given
	return n == o
}

// String is what docker network create was given.
func (n Network) String() string {
	var all []string
	for _, flag := range []struct {
		is   bool
		text string
	}{{n.Internal, "--internal"}, {!n.IPv4, "--ipv4=false"}, {n.IPv6, "--ipv6"}} {
		if flag.is {
			all = append(all, flag.text)
		}
	}
	return orNone(append(all, n.given.arguments("-o")...))
}

// MarshalJSON gives what the user gave.
func (e Endpoint) MarshalJSON() ([]byte, error) {
	texts, err := e.given.texts()
	if err != nil {
		return nil, err
	}
	return json.Marshal(texts)
}

// UnmarshalJSON is as Network's.
func (e *Endpoint) UnmarshalJSON(b []byte) error { return e.load(optionsTable(), b) }

func (e *Endpoint) load(table []Option, b []byte) error {
	var texts map[string]string
	if err := strict(b, &texts); err != nil {
		return err
	}
	var fresh Endpoint
	err := known(table, ForContainer, texts)
	if err == nil {
		err = fresh.take(table, texts)
	}
	if err != nil {
		return stored(err)
	}
	*e = fresh
	return nil
}

// Equal tells whether both ask for the same, in whatever words.
func (e Endpoint) Equal(o Endpoint) bool {
	e.given = o.given
	return e == o
}

// String is what docker network connect was given.
func (e Endpoint) String() string { return orNone(e.given.arguments("--driver-opt")) }

func orNone(all []string) string {
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, " ")
}

// strict decodes a JSON value. A part that is not known was written by another
// version, and would be lost at the next write.
func strict(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// With returns the same options but for one, which is given as text; "" is not given.
func (e Endpoint) With(name, text string) (Endpoint, error) {
	texts, err := e.given.texts()
	if err != nil {
		return Endpoint{}, err
	}
	if texts[name] = text; text == "" {
		delete(texts, name)
	}
	var changed Endpoint
	if err = changed.take(optionsTable(), texts); err != nil {
		return Endpoint{}, err
	}
	return changed, nil
}
