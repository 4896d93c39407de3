package link

import (
	"context"
	"errors"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// EnsureForwarded has a bridge know by which port it reaches an address, for as long as the port is there, and
// says so in a line. Where the port is gone there is nothing to be known: it comes first. The
// entry is one that stays (static), and moves all the same when the address is seen elsewhere.
func (h *Handle) EnsureForwarded(ctx context.Context, f spec.Forwarded) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	port, err := h.find(f.Port)
	if err != nil || port == nil || port.Attrs().MasterIndex == 0 {
		return nil, err
	}
	if err = h.nl.NeighSet(entryOf(f, port)); err != nil {
		return nil, wrap(err, "have a bridge know that %s is behind port %s", f.MAC, f.Port)
	}
	return []string{f.String() + " was missing: set"}, nil
}

// DeleteForwarded takes the entry away. What is gone already, or is another port's by now, is no error.
func (h *Handle) DeleteForwarded(ctx context.Context, f spec.Forwarded) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	port, err := h.find(f.Port)
	if err != nil || port == nil {
		return err
	}
	err = h.nl.NeighDel(entryOf(f, port))
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) || notFound(err) {
		return nil
	}
	return wrap(err, "have a bridge forget that %s is behind port %s", f.MAC, f.Port)
}

func entryOf(f spec.Forwarded, port netlink.Link) *netlink.Neigh {
	return &netlink.Neigh{
		LinkIndex: port.Attrs().Index, Family: unix.AF_BRIDGE, State: netlink.NUD_NOARP, Flags: netlink.NTF_MASTER, HardwareAddr: f.MAC,
	}
}

// entries are what bridges know for as long as the port is there: addresses by the numbers of ports.
type entries map[entry]bool

type entry struct {
	port    int
	address string
}

// entries lists them for objects of which some are forwarding entries.
func (h *Handle) entries(ctx context.Context, all []spec.Object) (entries, error) {
	if !anyForwarded(all) {
		return nil, nil
	}
	list, err := dump(ctx, "forwarding tables of bridges", func() ([]netlink.Neigh, error) {
		return h.nl.NeighListExecute(netlink.Ndmsg{Family: unix.AF_BRIDGE})
	})
	found := entries{}
	for _, e := range list {
		if e.State&netlink.NUD_NOARP != 0 {
			found[entry{e.LinkIndex, string(e.HardwareAddr)}] = true
		}
	}
	return found, err
}

func anyForwarded(all []spec.Object) bool {
	for _, o := range all {
		if o.Kind() == spec.KindForwarded {
			return true
		}
	}
	return false
}

// unforwarded says whether EnsureForwarded would mend anything.
func (h *Handle) unforwarded(_ context.Context, f spec.Forwarded, have asked) (bool, error) {
	index, err := h.indexOf(f.Port)
	return err == nil && index != 0 && !have.entries[entry{index, string(f.MAC)}], err
}
