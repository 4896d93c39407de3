package model

import (
	"fmt"
	"net/netip"
)

// ConflictError says that what was asked for is held by somebody else.
type ConflictError struct {
	// Subnets and Addresses are what is held already, as far as the conflict
	// is about them.
	Subnets   []netip.Prefix
	Addresses []netip.Addr
	msg       string
}

// Error names both sides of the conflict.
func (e *ConflictError) Error() string { return e.msg }

// Conflictf returns a ConflictError with a text.
func Conflictf(format string, args ...any) *ConflictError {
	return &ConflictError{msg: fmt.Sprintf(format, args...)}
}

// UnknownNetwork is the error of a request about a network that is not part of the state.
func UnknownNetwork(id string) error {
	return fmt.Errorf("network %s is unknown to gangway: remove it with docker network rm and create it again", Short(id))
}

// unknownEndpoint is that of one about an endpoint.
func unknownEndpoint(networkID, id string) error {
	return fmt.Errorf("endpoint %s is unknown on network %s: restart its container", Short(id), Short(networkID))
}
