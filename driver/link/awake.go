package link

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/vishvananda/netlink"
)

// carrierTime is how long a card may take to agree with the other end of its cable.
const carrierTime = 4 * time.Second

// Awake sets a link up that is down, until release is called, for a question on its LAN. It waits
// for the link's carrier for a while; without one the question has no answer.
func (h *Handle) Awake(ctx context.Context, name string) (release func(), err error) {
	link, err := h.find(name)
	switch {
	case err != nil:
		return nil, err
	case link == nil:
		return nil, fmt.Errorf("link %s: there is no link of that name: name one of `ip link`, or create it", name)
	case link.Attrs().Flags&net.FlagLoopback != 0:
		return nil, fmt.Errorf("link %s is loopback: name a link that leads to a LAN", name)
	case link.Attrs().Flags&net.FlagUp != 0:
		return func() {}, nil
	}
	if err = h.nl.LinkSetUp(link); err != nil {
		return nil, fmt.Errorf("set link %s up: %w", name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, carrierTime)
	defer cancel()
	h.awaitCarrier(ctx, name)
	return func() { h.asleep(name) }, nil
}

// awaitCarrier waits until a link hears its LAN, or ctx ends.
func (h *Handle) awaitCarrier(ctx context.Context, name string) {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		link, err := h.find(name)
		if err != nil || link == nil || link.Attrs().OperState == netlink.OperUp {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// asleep sets a link down again, unless a bridge has it by now. A link that stays up harms
// nobody, so there is no error.
func (h *Handle) asleep(name string) {
	link, err := h.find(name)
	if err != nil || link == nil || link.Attrs().MasterIndex != 0 {
		return
	}
	_ = h.nl.LinkSetDown(link)
}
