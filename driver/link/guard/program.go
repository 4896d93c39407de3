package guard

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// place is somewhere in a program to jump to.
type place int

const (
	// next is the following instruction.
	next place = iota
	pass
	drop
	toHost
	toOthers
	arpToAll
	arp
	ip4
	claim4
	ip6
	second
	outside
	discovery
	chain
	message
	target
	secondTarget
	outsideTarget
	places
)

// What a program returns (linux/pkt_cls.h). A frame that passes goes on to the
// filters that others may have put behind this one.
const (
	actUnspec = 0xffffffff // TC_ACT_UNSPEC, -1
	actShot   = 2          // TC_ACT_SHOT
)

// program is a sequence of instructions. Jumps lead forward only, as the kernel
// demands, and at most 255 instructions far.
type program struct {
	code  []unix.SockFilter
	at    [places]int
	jumps []jump
}

// jump is an instruction whose ways are still to be resolved.
type jump struct {
	from            int
	then, otherwise place
}

// add appends an instruction without jumps.
func (p *program) add(code uint16, value uint32) {
	p.code = append(p.code, unix.SockFilter{Code: code, K: value})
}

// mark says that the next instruction is the place.
func (p *program) mark(here place) { p.at[here] = len(p.code) }

// byteAt, half and word load 1, 2 and 4 bytes at an offset of the frame. The
// kernel ends a program that reads past the end with 0, which lets the frame
// pass: enough comes first.
func (p *program) byteAt(offset uint32) { p.add(unix.BPF_LD|unix.BPF_B|unix.BPF_ABS, offset) }

func (p *program) half(offset uint32) { p.add(unix.BPF_LD|unix.BPF_H|unix.BPF_ABS, offset) }

func (p *program) word(offset uint32) { p.add(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, offset) }

func (p *program) and(mask uint32) { p.add(unix.BPF_ALU|unix.BPF_AND|unix.BPF_K, mask) }

// enough drops frames of fewer than the given number of bytes.
func (p *program) enough(length uint32) {
	p.add(unix.BPF_LD|unix.BPF_W|unix.BPF_LEN, 0)
	p.when(unix.BPF_JGE, length, next, drop)
}

// equal jumps by whether what was loaded has the value.
func (p *program) equal(value uint32, then, otherwise place) {
	p.when(unix.BPF_JEQ, value, then, otherwise)
}

func (p *program) when(test uint16, value uint32, then, otherwise place) {
	p.jumps = append(p.jumps, jump{len(p.code), then, otherwise})
	p.add(unix.BPF_JMP|test|unix.BPF_K, value)
}

// jump goes on at the place in any case.
func (p *program) jump(to place) { p.equal(0, to, to) }

// allow lets what comes here pass.
func (p *program) allow() { p.add(unix.BPF_RET|unix.BPF_K, actUnspec) }

// finish adds the ends and resolves the jumps.
func (p *program) finish() ([]unix.SockFilter, error) {
	p.mark(pass)
	p.allow()
	p.mark(drop)
	p.add(unix.BPF_RET|unix.BPF_K, actShot)
	for _, j := range p.jumps {
		var skip [2]uint8
		for i, to := range []place{j.then, j.otherwise} {
			n := p.at[to] - j.from - 1
			switch {
			case to == next:
				n = 0
			case n < 0 || n > 255:
				return nil, fmt.Errorf("instruction %d of the filter cannot jump to %d", j.from, p.at[to])
			}
			skip[i] = uint8(n)
		}
		p.code[j.from].Jt, p.code[j.from].Jf = skip[0], skip[1]
	}
	return p.code, nil
}
