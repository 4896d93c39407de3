// Package bpfprog puts programs of classic BPF together from the instructions of
// golang.org/x/net/bpf. It adds the two things which that package leaves to others: places
// to jump to that have names, and sockets that a program is for.
//
// Invariant: a program whose jumps do not reach is no program: it is an error, and
// nothing of it gets to the kernel. The package does not judge what a program does.
package bpfprog

import (
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Place is somewhere in a program to jump to.
type Place string

// Next is the following instruction.
const Next Place = ""

// Program is a sequence of instructions. Jumps lead forward only, as the kernel
// demands, and pass over 255 instructions at most. The zero value is an empty program.
//
// Instructions are kept as the kernel takes them: a list of the interfaces that they
// implement takes three times as long to write, and every check of the kernel writes a
// program for each container.
type Program struct {
	code  []bpf.RawInstruction
	at    map[Place][]int
	given int
	jumps []jump
	err   error
}

// jump is an instruction whose ways are still to be resolved. It compares with register
// X if x is set.
type jump struct {
	from            int
	test            bpf.JumpTest
	value           uint32
	x               bool
	then, otherwise Place
}

// Add appends instructions without jumps.
func (p *Program) Add(list ...bpf.Instruction) {
	for _, i := range list {
		p.add(i.Assemble())
	}
}

func (p *Program) add(code bpf.RawInstruction, err error) {
	p.code, p.err = append(p.code, code), errors.Join(p.err, err)
}

// Load loads 1, 2 or 4 bytes at an offset. The kernel ends a program that reads past the
// end with 0.
func (p *Program) Load(offset uint32, size int) {
	p.add(bpf.LoadAbsolute{Off: offset, Size: size}.Assemble())
}

// And masks what was loaded.
func (p *Program) And(mask uint32) {
	p.add(bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: mask}.Assemble())
}

// Return ends the program.
func (p *Program) Return(value uint32) { p.add(bpf.RetConstant{Val: value}.Assemble()) }

// Mark says that the next instruction is the place. If there are several, jumps lead to
// the nearest.
func (p *Program) Mark(here Place) {
	if p.at == nil {
		p.at = map[Place][]int{}
	}
	p.at[here] = append(p.at[here], len(p.code))
}

// Place returns one that nobody else has.
func (p *Program) Place() Place {
	p.given++
	return Place("#" + strconv.Itoa(p.given))
}

// When jumps by how what was loaded compares with a value.
func (p *Program) When(test bpf.JumpTest, value uint32, then, otherwise Place) {
	p.branch(jump{test: test, value: value, then: then, otherwise: otherwise})
}

// WhenX jumps by how what was loaded compares with register X.
func (p *Program) WhenX(test bpf.JumpTest, then, otherwise Place) {
	p.branch(jump{test: test, x: true, then: then, otherwise: otherwise})
}

func (p *Program) branch(j jump) {
	j.from = len(p.code)
	p.jumps = append(p.jumps, j)
	p.code = append(p.code, bpf.RawInstruction{})
}

// Equal jumps by whether what was loaded has the value.
func (p *Program) Equal(value uint32, then, otherwise Place) {
	p.When(bpf.JumpEqual, value, then, otherwise)
}

// Jump goes on at the place in any case.
func (p *Program) Jump(to Place) { p.Equal(0, to, to) }

// Code resolves the jumps.
func (p *Program) Code() ([]bpf.RawInstruction, error) {
	for _, j := range p.jumps {
		then, err := p.distance(j.from, j.then)
		otherwise, err2 := p.distance(j.from, j.otherwise)
		var err3 error
		if j.x {
			p.code[j.from], err3 = bpf.JumpIfX{Cond: j.test, SkipTrue: then, SkipFalse: otherwise}.Assemble()
		} else {
			p.code[j.from], err3 = bpf.JumpIf{Cond: j.test, Val: j.value, SkipTrue: then, SkipFalse: otherwise}.Assemble()
		}
		p.err = errors.Join(p.err, err, err2, err3)
	}
	if p.err != nil {
		return nil, p.err
	}
	return p.code, nil
}

// distance is how many instructions a jump passes over.
func (p *Program) distance(from int, to Place) (uint8, error) {
	if to == Next {
		return 0, nil
	}
	for _, at := range p.at[to] {
		if n := at - from - 1; n >= 0 && n <= 255 {
			return uint8(n), nil
		}
	}
	return 0, fmt.Errorf("instruction %d of the filter cannot jump to %q at %d", from, to, p.at[to])
}

// Attach has the kernel show the socket only what the program passes.
func (p *Program) Attach(fd int) error {
	code, err := p.Code()
	if err == nil && len(code) == 0 {
		err = errors.New("it is empty")
	}
	if err != nil {
		return fmt.Errorf("write a socket filter: %w", err)
	}
	filter := make([]unix.SockFilter, 0, len(code))
	for _, i := range code {
		filter = append(filter, unix.SockFilter{Code: i.Op, Jt: i.Jt, Jf: i.Jf, K: i.K})
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog); err != nil {
		return fmt.Errorf("attach a socket filter: %w", err)
	}
	return nil
}
