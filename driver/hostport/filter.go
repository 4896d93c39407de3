package hostport

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// scope says which packets to a port are for the relay.
type scope int

const (
	nothing scope = iota
	// onlyLoopback is what is sent to ::1 and no other address.
	onlyLoopback
	// onlyIPv6 is everything, on a socket that IPv4 packets reach, too.
	onlyIPv6
	everything
)

const (
	acceptAll = 0xffffffff
	// netOffset is SKF_NET_OFF of linux/filter.h (-0x100000): offsets from
	// here on count from the network header.
	netOffset = 0xfff00000
	// destOffset is where an IPv6 header has its destination.
	destOffset = 24
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
	for _, sc := range []scope{nothing, onlyLoopback, onlyIPv6} {
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

func filterOf(sc scope) []unix.SockFilter {
	switch sc {
	case onlyIPv6:
		return ipv6Filter()
	case onlyLoopback:
		return ipv6Filter(0, 0, 0, 1)
	}
	return []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
}

// ipv6Filter accepts IPv6 packets to the address that starts with the words.
// Accepted connections inherit it, which is right, since all of their packets
// go to the same address.
func ipv6Filter(dest ...uint32) []unix.SockFilter {
	drop := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0}
	out := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: netOffset},
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: 0xf0},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 1, K: 0x60},
		drop,
	}
	for i, w := range dest {
		out = append(out,
			unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: netOffset + destOffset + uint32(4*i)},
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 1, K: w},
			drop)
	}
	return append(out, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: acceptAll})
}

// instruction is struct bpf_insn of linux/bpf.h.
type instruction struct {
	code uint8
	// registers are the destination in the lower and the source in the upper
	// half.
	registers uint8
	offset    int16
	value     int32
}

// Codes of eBPF that classic BPF lacks, and its register conventions: r0 is
// the result and what loads from the packet write to, which need the context,
// given in r1, in r6.
const (
	movRegister = unix.BPF_ALU64 | unix.BPF_MOV | unix.BPF_X
	movValue    = unix.BPF_ALU64 | unix.BPF_MOV | unix.BPF_K
	jumpUnequal = unix.BPF_JMP | unix.BPF_JNE | unix.BPF_K
	exit        = unix.BPF_JMP | unix.BPF_EXIT
	r6FromR1    = 1<<4 | 6
)

// translate turns the instructions that filterOf uses into eBPF ones. A return
// takes two; a jump is only ever one over the return that follows it.
func translate(filter []unix.SockFilter) []instruction {
	out := []instruction{{code: movRegister, registers: r6FromR1}}
	for _, f := range filter {
		switch f.Code {
		case unix.BPF_RET | unix.BPF_K:
			out = append(out, instruction{code: movValue, value: int32(f.K)}, instruction{code: exit})
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			out = append(out, instruction{code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, offset: 2 * int16(f.Jt), value: int32(f.K)})
		default: // loads from the packet and arithmetic are the same
			out = append(out, instruction{code: uint8(f.Code), value: int32(f.K)})
		}
	}
	return out
}

// loadProgram gives a filter to the kernel as a program for sockets, bpf(2).
func loadProgram(filter []unix.SockFilter) (int, error) {
	program := translate(filter)
	license := []byte("Apache-2.0\x00")
	attr := struct {
		kind, count       uint32
		instructions      uint64
		license           uint64
		logLevel, logSize uint32
		logBuffer         uint64
		kernel, flags     uint32
	}{
		kind: unix.BPF_PROG_TYPE_SOCKET_FILTER, count: uint32(len(program)),
		instructions: uint64(uintptr(unsafe.Pointer(&program[0]))), license: uint64(uintptr(unsafe.Pointer(&license[0]))),
	}
	fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	runtime.KeepAlive(program)
	runtime.KeepAlive(license)
	if errno != 0 {
		return -1, fmt.Errorf("load socket filter: %w", errno)
	}
	unix.CloseOnExec(int(fd))
	return int(fd), nil
}
