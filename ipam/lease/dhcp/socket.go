package dhcp

import (
	"fmt"
	"net"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socket sends and hears at one link.
type socket struct {
	file *os.File
	link *net.Interface
	buf  []byte
}

// listen opens a socket at a link. It has all come up to it, whatever hardware address it is for:
// a card that is no port of a bridge yet leaves out what is for containers, and a bridge what it
// passes on to them.
func listen(name string) (*socket, error) {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("link %s: %w: name one of `ip link`", name, err)
	}
	// Protocol 0 until the filter is there: it receives nothing.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open a packet socket (it needs CAP_NET_RAW): %w", err)
	}
	s := &socket{file: os.NewFile(uintptr(fd), "packets of "+name), link: link, buf: make([]byte, 1<<16)}
	if err = attach(fd, link.Index); err != nil {
		s.close()
		return nil, fmt.Errorf("listen at link %s: %w", name, err)
	}
	return s, nil
}

func attach(fd, index int) error {
	code, err := answers()
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, len(code))
	for i, c := range code {
		filter[i] = unix.SockFilter{Code: c.Op, Jt: c.Jt, Jf: c.Jf, K: c.K}
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: unsafe.SliceData(filter)}
	if err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program); err != nil {
		return err
	}
	if err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: toNetwork(unix.ETH_P_ALL), Ifindex: index}); err != nil {
		return err
	}
	return unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC})
}

// toNetwork gives a number the order that the kernel has it in.
func toNetwork(v uint16) uint16 {
	b := [2]byte{byte(v >> 8), byte(v)}
	return *(*uint16)(unsafe.Pointer(&b))
}

// close has no error that anybody could do something about.
func (s *socket) close() { _ = s.file.Close() }

func (s *socket) send(frame []byte) error {
	_, err := s.file.Write(frame)
	if err != nil {
		return fmt.Errorf("send at link %s: %w", s.link.Name, err)
	}
	return nil
}

// receive returns the next frame, until a time.
func (s *socket) receive(until time.Time) ([]byte, error) {
	if err := s.file.SetReadDeadline(until); err != nil {
		return nil, err
	}
	n, err := s.file.Read(s.buf)
	return s.buf[:max(n, 0)], err
}
