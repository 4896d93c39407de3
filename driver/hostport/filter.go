package hostport

import (
	"fmt"

	"golang.org/x/sys/unix"
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

// Constants of linux/filter.h.
const (
	acceptAll = 0xffffffff
	// netOffset is SKF_NET_OFF (-0x100000): offsets from here on count from the
	// network header.
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
	// programs are descriptors by scope, for those with a filter.
	programs map[scope]int
}

func newFilters() *filters {
	f := &filters{programs: map[scope]int{}}
	for _, sc := range scopes {
		fd, err := loadProgram(filterOf(sc))
		if err != nil {
			f.close()
			return &filters{}
		}
		f.programs[sc] = fd
	}
	return f
}

func (f *filters) close() {
	for _, fd := range f.programs {
		_ = unix.Close(fd)
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
	var err error
	if program, ok := f.programs[sc]; ok {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ATTACH_BPF, program)
	} else {
		filter := filterOf(sc)
		prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
		err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog)
	}
	if err != nil {
		return fmt.Errorf("attach socket filter: %w", err)
	}
	return nil
}

// filterOf accepts the packets of a scope. An accepted connection inherits it,
// which is right: all of its packets have the same addresses.
func filterOf(sc scope) []unix.SockFilter {
	if sc == nothing {
		return []unix.SockFilter{ret(0)}
	}
	four := accepting(sc.four, groups4)
	return append(append([]unix.SockFilter{
		loadByte(netOffset),
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: 0xf0},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: uint8(len(four)), K: 0x60},
	}, four...), accepting(sc.six, sc.leftover6())...)
}

// test is a comparison of what was loaded; the packet passes if it holds.
type test struct {
	load    []unix.SockFilter
	compare uint16
	with    uint32
}

// groups4 are the datagrams that may be sent to more than one host: to 224.0.0.0 or
// above, or to what may be the last address of a subnet, which has at least two bits
// that are all set. The relay knows more, see udpRelay. How the link layer addressed
// the frame would not tell on links without broadcast, such as tunnels.
var groups4 = [][]test{
	{{[]unix.SockFilter{loadByte(netOffset + destOffset4)}, unix.BPF_JGE, 224}},
	{{[]unix.SockFilter{
		loadByte(netOffset + destOffset4 + 3),
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: 3},
	}, unix.BPF_JEQ, 3}},
}

// leftover6 lists the ways to be left over of IPv6; all tests of one have to hold.
func (sc scope) leftover6() [][]test {
	linkLocal := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, K: netOffset + sourceOffset6},
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: 0xffc0},
	}
	var loopback []test
	for i, w := range []uint32{0, 0, 0, 1} {
		loopback = append(loopback, test{[]unix.SockFilter{loadWord(netOffset + destOffset6 + uint32(4*i))}, unix.BPF_JEQ, w})
	}
	ways := [][]test{loopback, {{linkLocal, unix.BPF_JEQ, 0xfe80}}}
	if sc.udp {
		ways = append(ways, []test{{[]unix.SockFilter{loadByte(netOffset + destOffset6)}, unix.BPF_JEQ, 0xff}})
	}
	return ways
}

// accepting is the end of a filter for one family. A test that fails leads to the
// next way.
func accepting(p part, ways [][]test) (out []unix.SockFilter) {
	switch p {
	case all:
		return []unix.SockFilter{ret(acceptAll)}
	case none:
		return []unix.SockFilter{ret(0)}
	}
	for _, way := range ways {
		size := 1
		for _, t := range way {
			size += len(t.load) + 1
		}
		end := len(out) + size
		for _, t := range way {
			out = append(out, t.load...)
			out = append(out, unix.SockFilter{Code: unix.BPF_JMP | t.compare | unix.BPF_K, Jf: uint8(end - len(out) - 1), K: t.with})
		}
		out = append(out, ret(acceptAll))
	}
	return append(out, ret(0))
}

func ret(k uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k} }

func loadByte(at uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: at}
}

func loadWord(at uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at}
}
