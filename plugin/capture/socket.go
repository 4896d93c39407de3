package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// queueBytes is how much waits in the kernel for a reader that is slow.
const queueBytes = 32 << 20

// lastPackets is how many packets at most are taken after the end: more than the queue
// holds.
const lastPackets = 1 << 17

// tagBytes are added by a VLAN tag, behind the hardware addresses.
const (
	tagBytes  = 4
	addresses = 12
)

// frame is one packet that was seen.
type frame struct {
	// link is the number of its interface in the file.
	link      uint32
	at        time.Time
	direction uint32
	// data is its beginning, length that of the whole.
	data   []byte
	length int
}

// socket sees what passes a link.
type socket struct {
	file *os.File
	conn syscall.RawConn
	// in has room for a tag in front, control for what the kernel tells of a packet.
	in, control []byte
	snaplen     int
}

// listen opens a packet socket on a link. A ring that is shared with the kernel
// (PACKET_RX_RING) was the alternative: it has fixed room for each packet or leaves them
// waiting until a block is full, and saves copies of packets that are copied into a file anyway.
func listen(index, snaplen int) (*socket, error) {
	// Without a protocol nothing is seen before the socket is bound to the link.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open a packet socket: %w", err)
	}
	file := os.NewFile(uintptr(fd), "packet socket") //nolint:gosec // a descriptor
	if err = prepare(fd, index); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	conn, err := file.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &socket{file: file, conn: conn, in: make([]byte, tagBytes+snaplen), control: make([]byte, 256), snaplen: snaplen}, nil
}

func prepare(fd, index int) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, queueBytes); err != nil {
		// Without CAP_NET_ADMIN the administrator's limit holds.
		if err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, queueBytes); err != nil {
			return fmt.Errorf("size of the queue: %w", err)
		}
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1); err != nil {
		return fmt.Errorf("ask for VLAN tags: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return fmt.Errorf("ask for times: %w", err)
	}
	// A container may send what is not meant for the host's end.
	if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP,
		&unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC}); err != nil { //nolint:gosec // an index
		return fmt.Errorf("listen to all hardware addresses: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_ALL), Ifindex: index}); err != nil {
		return fmt.Errorf("listen on the link: %w", err)
	}
	return nil
}

// bigEndian is a number of 16 bits in the network's order.
func bigEndian(n uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], n)
	return binary.NativeEndian.Uint16(b[:])
}

// receive hands each packet to take, and calls idle before it waits for more. It returns
// when take or idle fail, or after stop, when what has come until then is taken.
func (s *socket) receive(take func(frame) error, idle func() error) error {
	err := s.wait(take, idle)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	var failed error
	err = s.conn.Control(func(fd uintptr) {
		for range lastPackets {
			f, fault := s.next(int(fd)) //nolint:gosec // a descriptor
			switch {
			case errors.Is(fault, unix.ENETDOWN), errors.Is(fault, unix.EINTR):
				continue
			case errors.Is(fault, unix.EAGAIN):
				return
			case fault == nil:
				fault = take(f)
			}
			if failed = fault; failed != nil {
				return
			}
		}
	})
	return errors.Join(failed, err)
}

// wait is receive until stop.
func (s *socket) wait(take func(frame) error, idle func() error) error {
	var failed error
	err := s.conn.Read(func(fd uintptr) bool {
		for {
			f, err := s.next(int(fd)) //nolint:gosec // a descriptor
			switch {
			case errors.Is(err, unix.EAGAIN):
				failed = idle()
				return failed != nil
			case errors.Is(err, unix.EINTR):
				continue
			case errors.Is(err, unix.ENETDOWN): // whether the link is gone Run hears elsewhere
				continue
			case err == nil:
				err = take(f)
			}
			if err != nil {
				failed = err
				return true
			}
		}
	})
	return errors.Join(failed, err)
}

// stop ends wait.
func (s *socket) stop() { _ = s.file.SetReadDeadline(time.Unix(1, 0)) }

func (s *socket) next(fd int) (f frame, err error) {
	n, oobn, _, from, err := unix.Recvmsg(fd, s.in[tagBytes:], s.control, unix.MSG_TRUNC|unix.MSG_DONTWAIT)
	if err != nil {
		return f, err
	}
	// MSG_TRUNC tells the whole length.
	f = frame{at: time.Now(), direction: outbound, length: n}
	if ll, ok := from.(*unix.SockaddrLinklayer); ok && ll.Pkttype == unix.PACKET_OUTGOING {
		f.direction = inbound // what the host sends, the container gets
	}
	start := tagBytes
	messages, err := unix.ParseSocketControlMessage(s.control[:oobn])
	if err != nil {
		return f, fmt.Errorf("what the kernel tells of a packet: %w", err)
	}
	for _, m := range messages {
		switch {
		case m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= int(unsafe.Sizeof(unix.Timespec{})):
			ts := (*unix.Timespec)(unsafe.Pointer(&m.Data[0]))
			f.at = time.Unix(ts.Unix())
		case m.Header.Level == unix.SOL_PACKET && m.Header.Type == unix.PACKET_AUXDATA:
			if tag, is := tagOf(m.Data); is && n >= addresses {
				copy(s.in, s.in[tagBytes:tagBytes+addresses])
				copy(s.in[addresses:], tag)
				start, f.length = 0, n+tagBytes
			}
		}
	}
	f.data = s.in[start:min(start+min(f.length, s.snaplen), len(s.in))]
	return f, nil
}

// tagOf returns the VLAN tag that the kernel has taken out of a packet, from struct
// tpacket_auxdata (linux/if_packet.h).
func tagOf(aux []byte) (tag []byte, is bool) {
	const statusAt, tciAt, tpidAt, size = 0, 16, 18, 20
	if len(aux) < size {
		return nil, false
	}
	status := binary.NativeEndian.Uint32(aux[statusAt:])
	if status&unix.TP_STATUS_VLAN_VALID == 0 {
		return nil, false
	}
	tpid := uint16(unix.ETH_P_8021Q)
	if status&unix.TP_STATUS_VLAN_TPID_VALID != 0 {
		tpid = binary.NativeEndian.Uint16(aux[tpidAt:])
	}
	tag = binary.BigEndian.AppendUint16(nil, tpid)
	return binary.BigEndian.AppendUint16(tag, binary.NativeEndian.Uint16(aux[tciAt:])), true
}

// counts returns how many packets came since the last call, and how many of them the
// kernel has dropped because the queue was full.
func (s *socket) counts() (received, dropped uint64) {
	_ = s.conn.Control(func(fd uintptr) {
		if stats, err := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil { //nolint:gosec // a descriptor
			received, dropped = uint64(stats.Packets), uint64(stats.Drops)
		}
	})
	return received, dropped
}

func (s *socket) close() { _ = s.file.Close() }
