package hostport

import (
	"fmt"
	"strconv"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/net/bpf"

	"github.com/gangway-net/gangway/driver/bpfprog"
)

// translate turns the instructions that filterOf uses into eBPF ones, which load from
// the packet by what r6 points to, and put what they load into r0, as the result.
func translate(filter *bpfprog.Program) (asm.Instructions, error) {
	code, err := filter.Code()
	if err != nil {
		return nil, err
	}
	out := asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1)}
	for i, raw := range code {
		instruction := raw.Disassemble()
		part := translated(instruction, i)
		if part == nil {
			return nil, fmt.Errorf("no eBPF instruction is known for %v", instruction)
		}
		part[0] = part[0].WithSymbol(symbol(i))
		out = append(out, part...)
	}
	return out, nil
}

var (
	sizes = map[int]asm.Size{1: asm.Byte, 2: asm.Half, 4: asm.Word}
	jumps = map[bpf.JumpTest]asm.JumpOp{
		bpf.JumpEqual: asm.JEq, bpf.JumpNotEqual: asm.JNE, bpf.JumpGreaterOrEqual: asm.JGE, bpf.JumpLessThan: asm.JLT,
	}
)

// translated is one instruction, whose number is given; nil if it is none that filterOf
// uses. A jump of eBPF leads away in one case only, and compares 64 bits with a signed
// value, which no value of a filter here exceeds.
func translated(in bpf.Instruction, number int) asm.Instructions {
	switch in := in.(type) {
	case bpf.LoadAbsolute:
		return asm.Instructions{asm.LoadAbs(int32(in.Off), sizes[in.Size])}
	case bpf.ALUOpConstant:
		if in.Op == bpf.ALUOpAnd {
			return asm.Instructions{asm.And.Imm32(asm.R0, int32(in.Val))}
		}
	case bpf.JumpIf:
		if test, known := jumps[in.Cond]; known && in.SkipFalse == 0 {
			return asm.Instructions{test.Imm(asm.R0, int32(in.Val), symbol(number+1+int(in.SkipTrue)))}
		}
	case bpf.RetConstant:
		return asm.Instructions{asm.Mov.Imm(asm.R0, int32(in.Val)), asm.Return()}
	}
	return nil
}

// symbol names a place by the number of the instruction that is translated there.
func symbol(number int) string { return strconv.Itoa(number) }

// loadProgram gives a filter to the kernel as a program for sockets.
func loadProgram(filter *bpfprog.Program) (*ebpf.Program, error) {
	code, err := translate(filter)
	if err != nil {
		return nil, fmt.Errorf("write socket filter: %w", err)
	}
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SocketFilter, Instructions: code, License: "Apache-2.0"})
	if err != nil {
		return nil, fmt.Errorf("load socket filter: %w", err)
	}
	return program, nil
}
