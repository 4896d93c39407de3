package hostport

import (
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/bpfprog"
)

// part says which packets of one family a socket sees.
type part uint8

const (
	none part = iota
	// leftover is what address translation leaves to the host: of IPv6 what is sent
	// to ::1, and what comes from a link-local address, both of which the kernel
	// forwards to no other link; of UDP also what is sent to more than one host.
	leftover
	all
)

// scope says which packets to a port are for the relay.
type scope struct {
	four, six part
	// udp says that leftover has to do with UDP.
	udp bool
}

var (
	// nothing is the scope of a socket that only reserves.
	nothing = scope{}
	// everything needs no filter.
	everything = scope{four: all, six: all}
)

// scopes are those of sockets that have a filter.
var scopes = []scope{
	nothing,
	{six: leftover}, {six: all},
	{four: leftover, udp: true}, {six: leftover, udp: true},
	{four: leftover, six: leftover, udp: true}, {four: leftover, six: all, udp: true},
}

const (
	acceptAll = 0xffffffff
	// netOffset is SKF_NET_OFF of linux/filter.h (-0x100000): offsets from here on
	// count from the network header.
	netOffset = 0xfff00000
)

// Offsets in headers: destination of IPv4, source and destination of IPv6.
const (
	destOffset4   = 16
	sourceOffset6 = 8
	destOffset6   = 24
)

// filters attach socket filters. A dropped packet gets no answer at all: a SYN
// no SYN-ACK and no reset, a datagram no ICMP error.
//
// Each filter is loaded once as an eBPF program and shared by all sockets. The
// kernel would translate a classic one anew for each of them, which takes
// longer than all other calls for a socket together. The zero value attaches
// classic filters: who may not load eBPF programs (CAP_BPF) pays that price.
type filters struct {
	// programs are for the scopes with a filter.
	programs map[scope]*ebpf.Program
}

func newFilters() *filters {
	f := &filters{programs: map[scope]*ebpf.Program{}}
	for _, sc := range scopes {
		program, err := loadProgram(filterOf(sc))
		if err != nil {
			f.close()
			return &filters{}
		}
		f.programs[sc] = program
	}
	return f
}

func (f *filters) close() {
	for _, p := range f.programs {
		_ = p.Close()
	}
	f.programs = nil
}

// attach lets the socket see only what scope says.
func (f *filters) attach(fd int, sc scope) error {
	if sc == everything {
		// Only a socket that has one is asked to lose it, see socket.filter.
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0); err != nil {
			return fmt.Errorf("detach socket filter: %w", err)
		}
		return nil
	}
	program, ok := f.programs[sc]
	if !ok {
		return filterOf(sc).Attach(fd)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ATTACH_BPF, program.FD()); err != nil {
		return fmt.Errorf("attach socket filter: %w", err)
	}
	return nil
}

// filterOf accepts the packets of a scope. An accepted connection inherits it,
// which is right: all of its packets have the same addresses.
func filterOf(sc scope) *bpfprog.Program {
	const six = bpfprog.Place("IPv6")
	var p bpfprog.Program
	if sc == nothing {
		p.Return(0)
		return &p
	}
	p.Load(netOffset, 1)
	p.And(0xf0)
	p.Equal(0x60, six, bpfprog.Next)
	accept(&p, sc.four, groups4)
	p.Mark(six)
	accept(&p, sc.six, sc.leftover6())
	return &p
}

// accept is the end of a filter for one family. What is left over has passed all tests of
// one of the ways.
func accept(p *bpfprog.Program, which part, ways [][]test) {
	switch which {
	case all:
		p.Return(acceptAll)
		return
	case none:
		ways = nil
	}
	for _, way := range ways {
		other := p.Place()
		for _, t := range way {
			t(p, other)
		}
		p.Return(acceptAll)
		p.Mark(other)
	}
	p.Return(0)
}

// test looks at a packet, and goes on at otherwise if it does not hold.
type test func(p *bpfprog.Program, otherwise bpfprog.Place)

// masked tests the bits of a mask in what has size bytes at an offset.
func masked(offset uint32, size int, mask, want uint32) test {
	return func(p *bpfprog.Program, otherwise bpfprog.Place) {
		p.Load(netOffset+offset, size)
		p.And(mask)
		p.Equal(want, bpfprog.Next, otherwise)
	}
}

// whole tests all of what has size bytes at an offset.
func whole(offset uint32, size int, how bpf.JumpTest, want uint32) test {
	return func(p *bpfprog.Program, otherwise bpfprog.Place) {
		p.Load(netOffset+offset, size)
		p.When(how, want, bpfprog.Next, otherwise)
	}
}

// groups4 are the datagrams that may be sent to more than one host: to 224.0.0.0 or
// above, or to what may be the last address of a subnet, which has at least two bits
// that are all set. The relay knows more, see udpRelay. How the link layer addressed
// the frame would not tell on links without broadcast, such as tunnels.
var groups4 = [][]test{
	{whole(destOffset4, 1, bpf.JumpGreaterOrEqual, 224)},
	{masked(destOffset4+3, 1, 3, 3)},
}

// leftover6 lists the ways to be left over of IPv6: to ::1, from a link-local address,
// and of UDP to a group.
func (sc scope) leftover6() [][]test {
	var loopback []test
	for i, word := range []uint32{0, 0, 0, 1} {
		loopback = append(loopback, whole(destOffset6+uint32(4*i), 4, bpf.JumpEqual, word))
	}
	ways := [][]test{loopback, {masked(sourceOffset6, 2, 0xffc0, 0xfe80)}}
	if sc.udp {
		ways = append(ways, []test{whole(destOffset6, 1, bpf.JumpEqual, 0xff)})
	}
	return ways
}
