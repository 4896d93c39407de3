package watch

import (
	"encoding/binary"
	"errors"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/bpfprog"
	"github.com/gangway-net/gangway/driver/spec"
)

// Where a filter's ends are.
const (
	pass bpfprog.Place = "pass"
	drop bpfprog.Place = "drop"
)

func ends(p *bpfprog.Program) *bpfprog.Program {
	p.Mark(pass)
	p.Return(0xffff_ffff)
	p.Mark(drop)
	p.Return(0)
	return p
}

// loadKind loads what kind a message is (nlmsg_type).
func loadKind(p *bpfprog.Program) { p.Load(4, 2) }

// kind is a kind of message as a filter reads it: in network byte order, of what the
// kernel writes in its own.
func kind(k uint16) uint32 {
	return uint32(binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, k)))
}

// onlyGenerations passes nothing but the ends of transactions: each element of one is
// told as well, and thousands of them would overflow the queue.
func onlyGenerations() *bpfprog.Program {
	var p bpfprog.Program
	loadKind(&p)
	p.Equal(kind(newGeneration), pass, drop)
	return ends(&p)
}

// onlySomeRoutes passes, of routes, only what changes of default routes and of their
// halves, of unreachable ones, by which a delegated prefix is known, and the loss of those that gangway, or the kernel for
// an address, has made: a router's own come and go by the hundred thousand. Of neighbours it passes what a bridge has come to
// know for good: whom hosts and bridges have just heard changes all the time.
func onlySomeRoutes() *bpfprog.Program {
	const length, protocol, way = unix.SizeofNlMsghdr + 1, unix.SizeofNlMsghdr + 5, unix.SizeofNlMsghdr + 7 // rtm_dst_len, rtm_protocol, rtm_type
	const family, state = unix.SizeofNlMsghdr, unix.SizeofNlMsghdr + 8                                      // ndm_family, ndm_state
	const others, neighbours bpfprog.Place = "others", "neighbours"
	var p bpfprog.Program
	loadKind(&p)
	p.Equal(kind(unix.RTM_NEWROUTE), bpfprog.Next, others)
	p.Load(length, 1)
	p.When(bpf.JumpGreaterThan, 1, bpfprog.Next, pass)
	p.Load(way, 1)
	p.Equal(unix.RTN_UNREACHABLE, pass, drop)
	p.Mark(others)
	p.Equal(kind(unix.RTM_DELROUTE), bpfprog.Next, neighbours)
	p.Load(length, 1)
	p.When(bpf.JumpGreaterThan, 1, bpfprog.Next, pass)
	p.Load(way, 1)
	p.Equal(unix.RTN_UNREACHABLE, pass, bpfprog.Next)
	p.Load(protocol, 1)
	p.Equal(unix.RTPROT_KERNEL, pass, bpfprog.Next)
	p.Equal(spec.RouteProtocol, pass, drop)
	p.Mark(neighbours)
	p.Equal(kind(unix.RTM_DELNEIGH), drop, bpfprog.Next)
	p.Equal(kind(unix.RTM_NEWNEIGH), bpfprog.Next, pass)
	p.Load(family, 1)
	p.Equal(unix.AF_BRIDGE, bpfprog.Next, drop)
	p.Load(state, 2)
	p.Equal(kind(netlink.NUD_NOARP), pass, drop)
	return ends(&p)
}

// attach has the kernel queue only what a filter passes.
func attach(f *os.File, filter *bpfprog.Program) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) { set = filter.Attach(int(fd)) })
	return errors.Join(err, set)
}
