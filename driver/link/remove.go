package link

import (
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The pauses between two looks whether a link has gone. A look costs a system
// call and waits for nobody.
const (
	firstLook = 20 * time.Microsecond
	lastLook  = 250 * time.Microsecond
)

// remove deletes a link; it is no error if it is gone already. It returns when
// the link has gone from its namespace, and a veth's other end with it: nothing
// passes by it any more, and no crash brings it back.
//
// The kernel's own answer comes later. It tells the parts of the kernel that used
// the link, for which a bridge waits until nobody can be looking at what it knew
// of its ports (br_multicast_dev_del: an RCU barrier, tens of milliseconds), and
// then waits for the last user of the link's memory (netdev_run_todo). Whoever
// changes links meanwhile waits for the kernel's lock of them, and finds
// everything done; nobody has to wait here.
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
		if gone, err := isGone(link); gone && err == nil {
			return nil
		}
	}
}

// isGone asks whether a link is in no list of the namespace any more, without
// the kernel's lock of links, which a removal holds (netdevice(7)).
func isGone(link netlink.Link) (bool, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false, fmt.Errorf("open a socket: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	request, err := unix.NewIfreq(link.Attrs().Name)
	if err != nil {
		return false, fmt.Errorf("name %s: %w", link.Attrs().Name, err)
	}
	switch err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, request); {
	case errors.Is(err, unix.ENODEV):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("ask for the index of %s: %w", link.Attrs().Name, err)
	}
	return request.Uint32() != uint32(link.Attrs().Index), nil //nolint:gosec // an index is positive
}
