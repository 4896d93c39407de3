package main

import (
	"encoding/hex"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// send puts a frame, in hex, on the wire of an interface as often as asked for,
// past the kernel's own protocols.
func send(iface, text string, count int) error {
	frame, err := hex.DecodeString(text)
	if err != nil {
		return fmt.Errorf("frame: %w", err)
	}
	link, err := net.InterfaceByName(iface)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("packet socket: %w", err)
	}
	defer unix.Close(fd) //nolint:errcheck // the frames are out or not
	for range count {
		if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: link.Index}); err != nil {
			return fmt.Errorf("send: %w", err)
		}
	}
	return nil
}
