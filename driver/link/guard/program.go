package guard

import (
	"errors"
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
	mine4
	answer4
	ip6
	mine6
	others6
	unknown
	advertised
	discovery
	message
	udp6
	fragment6
	fragmentUDP
	extension
	behind6
	hidden
	unbelieved
	// places is the first of those that program.place gives.
	places
)

const jumpGreaterEqual = unix.BPF_JGE

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
	at    map[place][]int
	given place
	jumps []jump
}

// place returns one that has no name.
func (p *program) place() place {
	p.given++
	return places + p.given
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

// mark says that the next instruction is the place. If there are several, jumps
// lead to the nearest.
func (p *program) mark(here place) { p.at[here] = append(p.at[here], len(p.code)) }

// byteAt, half and word load 1, 2 and 4 bytes at an offset of the frame. The
// kernel ends a program that reads past the end with 0, which lets the frame
// pass: enough comes first.
func (p *program) byteAt(offset uint32) { p.add(unix.BPF_LD|unix.BPF_B|unix.BPF_ABS, offset) }

func (p *program) half(offset uint32) { p.add(unix.BPF_LD|unix.BPF_H|unix.BPF_ABS, offset) }

func (p *program) word(offset uint32) { p.add(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, offset) }

func (p *program) and(mask uint32) { p.add(unix.BPF_ALU|unix.BPF_AND|unix.BPF_K, mask) }

// enough drops frames of fewer than the given number of bytes.
func (p *program) enough(length uint32) { p.short(length, drop) }

// short goes on at then if the frame has fewer than the given number of bytes.
func (p *program) short(length uint32, then place) {
	p.add(unix.BPF_LD|unix.BPF_W|unix.BPF_LEN, 0)
	p.when(jumpGreaterEqual, length, next, then)
}

// headerLength loads the length of the IPv4 header at an offset.
func (p *program) headerLength(offset uint32) {
	p.add(unix.BPF_LDX|unix.BPF_B|unix.BPF_MSH, offset)
	p.add(unix.BPF_MISC|unix.BPF_TXA, 0)
}

// units8 turns the length of an IPv6 extension header, as it is written, into
// bytes.
func (p *program) units8() {
	p.add(unix.BPF_ALU|unix.BPF_ADD|unix.BPF_K, 1)
	p.add(unix.BPF_ALU|unix.BPF_LSH|unix.BPF_K, 3)
}

// portBehind goes on at then if UDP for the port comes behind the header at an
// offset, of which the length was loaded; otherwise the frame passes. The frame
// reaches beyond the offset.
func (p *program) portBehind(offset, port uint32, then place) {
	p.add(unix.BPF_ALU|unix.BPF_ADD|unix.BPF_K, udpPortEnd)
	p.add(unix.BPF_MISC|unix.BPF_TAX, 0)
	p.add(unix.BPF_LD|unix.BPF_W|unix.BPF_LEN, 0)
	p.add(unix.BPF_ALU|unix.BPF_SUB|unix.BPF_K, offset)
	p.jumps = append(p.jumps, jump{len(p.code), next, pass})
	p.add(unix.BPF_JMP|unix.BPF_JGE|unix.BPF_X, 0)
	p.add(unix.BPF_LD|unix.BPF_H|unix.BPF_IND, offset+udpPort-udpPortEnd)
	p.equal(port, then, pass)
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

// ends puts the ends here, after an instruction that does not go on.
func (p *program) ends() {
	p.mark(pass)
	p.allow()
	p.mark(drop)
	p.add(unix.BPF_RET|unix.BPF_K, actShot)
}

// finish adds the ends and resolves the jumps.
func (p *program) finish() ([]unix.SockFilter, error) {
	p.ends()
	for _, j := range p.jumps {
		then, err := p.distance(j.from, j.then)
		otherwise, err2 := p.distance(j.from, j.otherwise)
		if err = errors.Join(err, err2); err != nil {
			return nil, err
		}
		p.code[j.from].Jt, p.code[j.from].Jf = then, otherwise
	}
	return p.code, nil
}

// distance is how many instructions a jump passes over.
func (p *program) distance(from int, to place) (uint8, error) {
	if to == next {
		return 0, nil
	}
	for _, at := range p.at[to] {
		if n := at - from - 1; n >= 0 && n <= 255 {
			return uint8(n), nil
		}
	}
	return 0, fmt.Errorf("instruction %d of the filter cannot jump to %d at %d", from, to, p.at[to])
}
