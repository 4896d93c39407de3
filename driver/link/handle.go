package link

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"unicode"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// Options are the settings of a Handle.
type Options struct {
	// SysctlRoot is the root of the sysctl tree. Empty stands for
	// /host/proc/sys where that exists, else /proc/sys: in a container /proc/sys
	// is usually read-only.
	SysctlRoot string
}

// Handle talks to the kernel about links. Its methods are safe for concurrent
// use: each socket serves one request at a time.
type Handle struct {
	nl *netlink.Handle
	// raw is for the requests that netlink.Handle does not know. Its socket has
	// strict checking on, so that the kernel filters dumps (Linux 4.20 and on).
	raw map[int]*nl.SocketHandle
	// packets is a packet socket to send with. It stays open, because the kernel
	// waits for an RCU grace period, some 10 ms, when one is closed.
	packets int
	book    *addressBook
	sys     sysctls
	// removals counts the removals of links, and the looks into containers, that the
	// kernel has not answered.
	removals sync.WaitGroup
	bridges
	// noPortFilter says that the kernel cannot filter what containers send.
	noPortFilter atomic.Bool
}

// bridges is what a Handle has to do with bridges.
type bridges struct {
	// addAltName is the kernel's, but for tests of kernels that have none.
	addAltName func(netlink.Link, string) error
	// before is asked before each change of what is somebody else's; nil but in tests, which end
	// it there.
	before func() error
	// made has the numbers of the bridges that this Handle made or mended, by
	// network: one that somebody renamed is found by it.
	made sync.Map
}

// New opens a Handle in the network namespace of the calling thread.
func New(o Options) (*Handle, error) {
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open a route netlink socket: %w", err)
	}
	socket, err := nl.GetNetlinkSocketAt(netns.None(), netns.None(), unix.NETLINK_ROUTE)
	if err != nil {
		handle.Close()
		return nil, fmt.Errorf("open a route netlink socket: %w", err)
	}
	raw := map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: socket}}
	// A kernel without it is told of by Listening.
	if diag, none := nl.GetNetlinkSocketAt(netns.None(), netns.None(), unix.NETLINK_INET_DIAG); none == nil {
		raw[unix.NETLINK_INET_DIAG] = &nl.SocketHandle{Socket: diag}
	}
	// Protocol 0: the socket receives nothing.
	packets, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		closeAll(handle, raw)
		return nil, fmt.Errorf("open a packet socket (it needs CAP_NET_RAW): %w", err)
	}
	book, err := newAddressBook()
	if err != nil {
		closeAll(handle, raw)
		_ = unix.Close(packets)
		return nil, fmt.Errorf("open a route netlink socket for changes of addresses: %w", err)
	}
	// Kernels before 4.20 do not know the option: they send more than asked
	// for, which the callers filter.
	_ = unix.SetsockoptInt(socket.GetFd(), unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1)
	return &Handle{
		nl:      handle,
		raw:     raw,
		packets: packets,
		book:    book,
		sys:     newSysctls(o.SysctlRoot),
		bridges: bridges{addAltName: handle.LinkAddAltName},
	}, nil
}

// change makes one change of what is somebody else's.
func (h *Handle) change(do func() error) error {
	if h.before != nil {
		if err := h.before(); err != nil {
			return err
		}
	}
	return do()
}

// Close closes the sockets. No method may be running or follow.
func (h *Handle) Close() {
	h.removals.Wait()
	closeAll(h.nl, h.raw)
	_ = unix.Close(h.packets)
	h.book.close()
}

func closeAll(handle *netlink.Handle, raw map[int]*nl.SocketHandle) {
	handle.Close()
	for _, s := range raw {
		s.Close()
	}
}

// dumpTries bounds how often an interrupted dump is asked for again.
const dumpTries = 10

// dump runs a netlink dump again as long as the kernel says that what it
// dumped changed meanwhile; half a dump is never used.
func dump[T any](ctx context.Context, what string, f func() (T, error)) (T, error) {
	var none T
	for range dumpTries {
		if err := ctx.Err(); err != nil {
			return none, err
		}
		res, err := f()
		switch {
		case err == nil:
			return res, nil
		case !errors.Is(err, nl.ErrDumpInterrupted):
			return none, fmt.Errorf("list %s: %w", what, err)
		}
	}
	return none, fmt.Errorf("list %s: they changed during each of %d tries: %w", what, dumpTries, nl.ErrDumpInterrupted)
}

// links lists all links of the namespace.
func (h *Handle) links(ctx context.Context) ([]netlink.Link, error) {
	return dump(ctx, "links", h.nl.LinkList)
}

// find returns the link that holds the name, or nil. The kernel finds links by
// their alternative names as well, so the link's own name may be another.
func (h *Handle) find(name string) (netlink.Link, error) {
	link, err := h.nl.LinkByName(name)
	switch {
	case err == nil:
		return link, nil
	case notFound(err):
		return nil, nil
	}
	return nil, fmt.Errorf("look up link %s: %w", name, err)
}

// byIndex returns the link with that index, or nil.
func (h *Handle) byIndex(index int) (netlink.Link, error) {
	link, err := h.nl.LinkByIndex(index)
	switch {
	case err == nil:
		return link, nil
	case notFound(err):
		return nil, nil
	}
	return nil, fmt.Errorf("look up link number %d: %w", index, err)
}

func notFound(err error) bool {
	var missing netlink.LinkNotFoundError
	return errors.As(err, &missing) || errors.Is(err, unix.ENODEV)
}

// owner returns the network or endpoint id in a link's alias, empty if gangway
// did not make the link.
func owner(link netlink.Link) string {
	id, ours := strings.CutPrefix(link.Attrs().Alias, spec.OwnerAlias)
	if !ours {
		return ""
	}
	return id
}

// owns says whether the link of that very name was made for the id.
func owns(link netlink.Link, name, id string) bool {
	return link != nil && link.Attrs().Name == name && link.Attrs().Alias == spec.OwnerAlias+id
}

// maxName is IFNAMSIZ without the closing NUL.
const maxName = 15

// checkName applies the kernel's dev_valid_name, and refuses the two names
// that mean something else in the sysctl tree and "%", which asks the kernel to
// choose a number.
func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("the name is empty")
	case len(name) > maxName:
		return fmt.Errorf("the name has %d bytes, more than the kernel's %d", len(name), maxName)
	case name == "." || name == ".." || name == "all" || name == "default":
		return errors.New("the name is reserved")
	}
	if i := strings.IndexFunc(name, func(r rune) bool { return strings.ContainsRune("/:%\x00", r) || unicode.IsSpace(r) }); i >= 0 {
		return fmt.Errorf("%q is not allowed in a name", name[i])
	}
	return nil
}
