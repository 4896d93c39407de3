package model

import (
	"fmt"

	"github.com/gangway-net/gangway/driver/spec"
)

const (
	// MaxPorts is how many ports the kernel gives a bridge (BR_MAX_PORTS is 1024,
	// and port 0 is none).
	MaxPorts = 1023
	// BridgeRoom is how many containers a bridge gets of a network that can have further ones. The
	// first one's other ports are for these, for an uplink, and for what others put there.
	BridgeRoom = 1000
	// MaxBridges is how many bridges a network has at most. Each takes a port of the first one,
	// which sends what is for everybody to each of them.
	MaxBridges = 16
)

// seat is one of the further bridges of a network.
type seat struct {
	network string
	number  int
}

// crowd is who is on a bridge: all its endpoints, and those that are in a container.
type crowd struct{ all, joined int }

// crowds are those of further bridges. What is not on one of them costs nothing here.
type crowds map[seat]crowd

func (c crowds) count(e *Endpoint, by int) {
	if e.Further == 0 {
		return
	}
	at := seat{e.NetworkID, e.Further}
	n := c[at]
	if n.all += by; e.Sandbox != "" {
		n.joined += by
	}
	if c[at] = n; n.all == 0 {
		delete(c, at)
	}
}

// Further are the numbers of the further bridges that a network needs, sorted: those with somebody in
// a container.
func (s *State) Further(networkID string) (numbers []int) {
	for number := 2; number <= MaxBridges && len(s.crowds) > 0; number++ {
		if s.crowds[seat{networkID, number}].joined > 0 {
			numbers = append(numbers, number)
		}
	}
	return numbers
}

// Room is how many endpoints a network takes.
func (n *Network) Room() int {
	if n.Adopted {
		return MaxPorts
	}
	return MaxBridges * BridgeRoom
}

// admitSeat chooses the bridge for a new endpoint: the first one with room, of those in use and the
// next. Without this check the engine would hear "exchange full" after it has allocated
// everything. One that was on a bridge before stays there.
//
// An adopted bridge has no further ones: what else may be on it, and how it is to be joined to
// others, is its owner's matter.
func (s *State) admitSeat(n *Network, e *Endpoint) error {
	count := len(s.Members[n.ID])
	if count >= n.Room() {
		return s.full(n)
	}
	if n.Adopted || e.Further > 0 {
		return nil
	}
	first := count
	for number := 2; number <= MaxBridges && len(s.crowds) > 0; number++ {
		first -= s.crowds[seat{n.ID, number}].all
	}
	if first < BridgeRoom {
		return nil
	}
	for number := 2; number <= MaxBridges; number++ {
		if s.crowds[seat{n.ID, number}].all < BridgeRoom {
			e.Further = number
			return nil
		}
	}
	return s.full(n) // by an earlier version, which put more of them on the first one
}

func (s *State) full(n *Network) error {
	if n.Adopted {
		return fmt.Errorf("network %s is full: its bridge %s was there before and takes %d containers, the kernel's limit; put this one on another network, or on one with a bridge of gangway's own",
			Short(n.ID), n.Bridge, MaxPorts)
	}
	return fmt.Errorf("network %s is full: it takes %d containers on %d bridges; put this one on another network",
		Short(n.ID), n.Room(), MaxBridges)
}

// furtherPrefix is how many characters of a network's id are in the names of its further bridges.
const furtherPrefix = 9

// FurtherName names a network's further bridge. With two digits it has the kernel's limit of 15 bytes.
func (n *Network) FurtherName(number int) string {
	return fmt.Sprintf("%s%s-%d", spec.BridgePrefix, n.ID[:min(len(n.ID), furtherPrefix)], number)
}

// BridgeOf names the bridge that holds an endpoint's pair.
func (n *Network) BridgeOf(e *Endpoint) string {
	if e.Further > 0 {
		return n.FurtherName(e.Further)
	}
	return n.Bridge
}
