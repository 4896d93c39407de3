package model

import (
	"fmt"
	"slices"
)

// Short cuts an id for names, logs and rules. Ids of swarm networks have 25
// characters, so nothing may be assumed about the length.
func Short(id string) string { return id[:min(len(id), 12)] }

// CheckID refuses ids that could break names, rules and keys; what is "network" or
// "endpoint", for the error.
func CheckID(what, id string) error {
	ok := func(r rune) bool { return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }
	if id == "" || len(id) > 64 || slices.ContainsFunc([]rune(id), func(r rune) bool { return !ok(r) }) {
		return fmt.Errorf("%s id %q: want 1 to 64 letters and digits", what, id)
	}
	return nil
}
