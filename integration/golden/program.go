package golden

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/bpf"
)

// Program lists a program of classic BPF as the kernel gets it, an instruction a line.
func Program(t testing.TB, code []bpf.RawInstruction) string {
	t.Helper()
	list, whole := bpf.Disassemble(code)
	if !whole {
		t.Fatal("the program has instructions that the library does not know")
	}
	var b strings.Builder
	for i, in := range list {
		fmt.Fprintf(&b, "%3d  %s\n", i, describe(i, in))
	}
	return b.String()
}

// describe names the targets of jumps by their number.
func describe(at int, in bpf.Instruction) string {
	if j, ok := in.(bpf.JumpIf); ok {
		text := strings.Split(fmt.Sprint(in), ",")[0]
		return fmt.Sprintf("%s ? %d : %d", text, at+1+int(j.SkipTrue), at+1+int(j.SkipFalse))
	}
	return fmt.Sprint(in)
}
