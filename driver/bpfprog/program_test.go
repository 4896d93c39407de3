package bpfprog

import (
	"strings"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// parity passes 1 and 3, and 2 if it is followed by 4.
func parity() *Program {
	var p Program
	p.Load(0, 1)
	p.Equal(2, "two", Next)
	p.Jump("odd")
	p.Mark("pass")
	p.Return(9)
	p.Mark("two")
	p.Load(1, 1)
	p.Add(bpf.TAX{}, bpf.LoadConstant{Dst: bpf.RegA, Val: 4})
	p.WhenX(bpf.JumpEqual, "pass", "drop")
	p.Mark("odd")
	p.And(1)
	p.Equal(1, "pass", "drop")
	p.Mark("pass")
	p.Return(1)
	p.Mark("drop")
	p.Return(0)
	return &p
}

func TestProgram(t *testing.T) {
	code, err := parity().Code()
	if err != nil {
		t.Fatal(err)
	}
	list, _ := bpf.Disassemble(code)
	vm, err := bpf.NewVM(list)
	if err != nil {
		t.Fatal(err)
	}
	for packet, want := range map[string]int{"\x01": 1, "\x03x": 1, "\x02\x04": 1, "\x02\x05": 0, "\x02": 0, "\x00": 0, "": 0} {
		if got, err := vm.Run([]byte(packet)); err != nil || got != want {
			t.Errorf("%q: %d %v, want %d", packet, got, err, want)
		}
	}
}

// TestAttach: a socket shows what the program passes, and no other program's is left.
func TestAttach(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = unix.Close(pair[0]), unix.Close(pair[1]) }()
	var nothing Program
	nothing.Return(0)
	for _, p := range []*Program{&nothing, parity()} {
		if err := p.Attach(pair[1]); err != nil {
			t.Fatal(err)
		}
	}
	// What a filter drops is an error to who sends over such a pair.
	for _, s := range []string{"\x01", "\x00", "\x02\x04"} {
		_, _ = unix.Write(pair[0], []byte(s))
	}
	b := make([]byte, 8)
	var got []byte
	for n, err := unix.Read(pair[1], b); err == nil; n, err = unix.Read(pair[1], b) {
		got = append(append(got, b[:n]...), '.')
	}
	if string(got) != "\x01.\x02." {
		t.Errorf("the socket shows %q", got)
	}
}

// TestUnreachable: a jump that does not reach is no jump to somewhere else.
func TestUnreachable(t *testing.T) {
	far := func(n int) *Program {
		var p Program
		p.Jump("end")
		for range n {
			p.And(1)
		}
		p.Mark("end")
		p.Return(0)
		return &p
	}
	if _, err := far(255).Code(); err != nil {
		t.Error(err)
	}
	var back, nowhere Program
	back.Mark("start")
	back.Jump("start")
	nowhere.Jump("nowhere")
	for name, p := range map[string]*Program{"too far": far(256), "backwards": &back, "nowhere": &nowhere} {
		if code, err := p.Code(); err == nil || code != nil {
			t.Errorf("%s: %d instructions, error %v", name, len(code), err)
		}
		if err := p.Attach(-1); err == nil || !strings.Contains(err.Error(), "cannot jump") {
			t.Errorf("%s is attached: %v", name, err)
		}
	}
	if err := new(Program).Attach(-1); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("nothing is attached: %v", err)
	}
}
