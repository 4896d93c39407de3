package nftrace

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// hearBuffer is for the reports that come while nobody reads, in bytes.
const hearBuffer = 4 << 20

// Listener hears the kernel's reports in the network namespace of the thread that made it.
type Listener struct {
	fd  int
	buf []byte
}

// ErrLost says that reports came faster than they were read: some are missing.
var ErrLost = errors.New("reports of nf_tables were lost: less of what happens may be traced")

// Listen starts to listen, to traces of everybody.
func Listen() (*Listener, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, connectError("listen to", err)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, hearBuffer) // less does for a quiet flow
	if err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (unix.NFNLGRP_NFTRACE - 1)}); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("listen to nf_tables: %w", err)
	}
	return &Listener{fd: fd, buf: make([]byte, 1<<16)}, nil
}

// Close ends it.
func (l *Listener) Close() { _ = unix.Close(l.fd) }

// Events waits for reports, not longer than wait, and returns all that are there.
func (l *Listener) Events(wait time.Duration) (all []Event, err error) {
	if _, err = unix.Poll([]unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}}, int(wait.Milliseconds())); err != nil && !errors.Is(err, unix.EINTR) { //nolint:gosec // a descriptor
		return nil, fmt.Errorf("wait for reports of nf_tables: %w", err)
	}
	for {
		n, from, err := unix.Recvfrom(l.fd, l.buf, 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return all, nil
		case errors.Is(err, unix.ENOBUFS):
			return all, ErrLost
		case err != nil:
			return all, fmt.Errorf("hear reports of nf_tables: %w", err)
		}
		if sender, ok := from.(*unix.SockaddrNetlink); !ok || sender.Pid != 0 {
			continue // not the kernel
		}
		some, err := parseAll(l.buf[:n])
		if all = append(all, some...); err != nil {
			return all, err
		}
	}
}

func parseAll(raw []byte) (all []Event, err error) {
	messages, err := syscall.ParseNetlinkMessage(raw)
	if err != nil {
		return nil, fmt.Errorf("read reports of nf_tables: %w", err)
	}
	for _, m := range messages {
		if m.Header.Type != unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_TRACE {
			continue
		}
		e, err := Parse(m.Data)
		if err != nil {
			return all, err
		}
		all = append(all, e)
	}
	return all, nil
}
