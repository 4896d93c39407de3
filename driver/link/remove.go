package link

import (
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The pauses between two looks whether a link has gone. A look waits for the
// kernel's lock of links, which the removal holds, so few are needed.
const (
	firstLook = 20 * time.Microsecond
	lastLook  = time.Millisecond
)

// remove deletes a link; it is no error if it is gone already. It returns when
// the link has gone from its namespace, and a veth's other end with it: nothing
// passes by it, its name is free, and no crash brings it back.
//
// The kernel's own answer comes later: it first waits until nobody can be
// looking at the link's memory any more (netdev_run_todo: an RCU barrier, 10 ms
// and more, after the lock is released), which nobody here has to wait for.
// The request has a socket of its own, so that others do not wait behind it.
func (h *Handle) remove(link netlink.Link) error {
	name := link.Attrs().Name
	own, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("delete link %s: open a route netlink socket: %w", name, err)
	}
	answer := make(chan error, 1)
	h.removals.Go(func() {
		defer own.Close()
		answer <- own.LinkDel(link)
	})
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		select {
		case err := <-answer:
			if err != nil && !notFound(err) {
				return fmt.Errorf("delete link %s: %w", name, err)
			}
			return nil
		case <-time.After(pause):
		}
		// What else goes wrong with looking, the answer will come.
		if _, err := h.nl.LinkByIndex(link.Attrs().Index); notFound(err) {
			return nil
		}
	}
}
