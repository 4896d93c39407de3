package hostport

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/bpfprog"
)

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
	exit        = unix.BPF_JMP | unix.BPF_EXIT
	r6FromR1    = 1<<4 | 6
)

// inverse are the comparisons that hold where others do not.
var inverse = map[uint16]uint8{unix.BPF_JEQ: unix.BPF_JNE, unix.BPF_JGE: unix.BPF_JLT}

// translate turns the instructions that filterOf uses into eBPF ones. A return
// takes two. A jump leads on in one of its cases: eBPF's only ones lead away if
// they hold, and compare 64 bits with a signed value, which no filter here exceeds.
func translate(filter []bpf.RawInstruction) []instruction {
	at, next := make([]int, len(filter)+1), 1
	for i, f := range filter {
		at[i] = next
		next++
		if f.Op == unix.BPF_RET|unix.BPF_K {
			next++
		}
	}
	at[len(filter)] = next
	out := []instruction{{code: movRegister, registers: r6FromR1}}
	for i, f := range filter {
		switch {
		case f.Op == unix.BPF_RET|unix.BPF_K:
			out = append(out, instruction{code: movValue, value: int32(f.K)}, instruction{code: exit})
		case f.Op&0x07 == unix.BPF_JMP:
			code, over := uint8(f.Op), int(f.Jt)
			if f.Jt == 0 {
				code, over = unix.BPF_JMP|inverse[f.Op&0xf0], int(f.Jf)
			}
			out = append(out, instruction{code: code, offset: int16(at[i+1+over] - at[i] - 1), value: int32(f.K)})
		default: // loads from the packet and arithmetic are the same
			out = append(out, instruction{code: uint8(f.Op), value: int32(f.K)})
		}
	}
	return out
}

// loadProgram gives a filter to the kernel as a program for sockets, bpf(2).
func loadProgram(filter *bpfprog.Program) (int, error) {
	code, err := filter.Code()
	if err != nil {
		return -1, fmt.Errorf("write socket filter: %w", err)
	}
	program := translate(code)
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
