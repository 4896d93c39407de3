package link

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// addressBook has the IPv4 addresses of all links of a namespace. The kernel goes
// through all links for a list of them, which takes a millisecond where there are
// 1000 containers, so it is asked for one only once, and the list follows what the
// kernel tells of changes. That is in the socket's queue before whoever changed an
// address has his answer (__inet_insert_ifa, __inet_del_ifa): with the queue read
// the list is as good as a new one.
//
// IPv6 has no such book: the kernel tells of an address when duplicate address
// detection has ended, or on a link without carrier not at all
// (addrconf_dad_begin).
type addressBook struct {
	mu     sync.Mutex
	socket int
	buffer []byte
	// listed says that all has them all.
	listed bool
	all    []address
}

// newAddressBook opens a book of the calling thread's namespace.
func newAddressBook() (*addressBook, error) {
	socket, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	if err := unix.Bind(socket, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_IPV4_IFADDR}); err != nil {
		return nil, errors.Join(err, unix.Close(socket))
	}
	return &addressBook{socket: socket, buffer: make([]byte, 8192)}, nil
}

func (b *addressBook) close() { _ = unix.Close(b.socket) }

// addresses4 returns the IPv4 addresses of all links.
func (h *Handle) addresses4(ctx context.Context) ([]address, error) {
	b := h.book
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.follow(); err != nil {
		return nil, fmt.Errorf("read what the kernel tells of addresses: %w", err)
	}
	if !b.listed {
		all, err := h.addresses(ctx, nil, unix.AF_INET)
		if err != nil {
			return nil, err
		}
		b.all, b.listed = all, true
	}
	return slices.Clone(b.all), nil
}

// follow reads what the kernel has told since. If it told more than the socket
// could take, or what is not understood, all has to be listed again.
func (b *addressBook) follow() error {
	for {
		n, from, err := unix.Recvfrom(b.socket, b.buffer, unix.MSG_DONTWAIT|unix.MSG_TRUNC)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOBUFS):
			b.listed = false
			continue
		case err != nil:
			return err
		}
		if kernel, ok := from.(*unix.SockaddrNetlink); !ok || kernel.Pid != 0 {
			continue
		}
		if n > len(b.buffer) || b.note(b.buffer[:n]) != nil {
			b.listed = false
		}
	}
}

// note brings the list up to date with messages of the kernel.
func (b *addressBook) note(datagram []byte) error {
	messages, err := syscall.ParseNetlinkMessage(datagram)
	if err != nil {
		return err
	}
	for _, m := range messages {
		a, err := parseAddress(m.Data)
		if err != nil {
			return err
		}
		// By these three the kernel tells addresses apart (inet_rtm_deladdr).
		b.all = slices.DeleteFunc(b.all, func(old address) bool {
			return old.link == a.link && old.Prefix == a.Prefix && old.peer == a.peer
		})
		if m.Header.Type == unix.RTM_NEWADDR {
			b.all = append(b.all, a)
		}
	}
	return nil
}
