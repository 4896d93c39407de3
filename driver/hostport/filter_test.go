package hostport

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/bpfprog"
	"github.com/gangway-net/gangway/driver/spec"
	"github.com/gangway-net/gangway/integration/golden"
)

// Every filter lets through what its scope says and nothing else, as an eBPF program
// and as a classic one.
func TestFilters(t *testing.T) {
	addAddresses(t)
	addLinkLocal(t)
	programs := newFilters()
	defer programs.close()
	if len(programs.programs) != len(scopes) {
		t.Fatalf("%d eBPF programs, want %d", len(programs.programs), len(scopes))
	}
	packets := []struct {
		name, from, to string
		six, left      bool
	}{
		{"IPv4", "127.0.0.1:0", "127.0.0.1:5300", false, false},
		{"IPv4, what may be a broadcast", "127.0.0.1:0", "127.0.0.3:5300", false, true},
		{"IPv4 broadcast", "127.0.0.1:0", "127.255.255.255:5300", false, true},
		{"IPv6", "[fd00:99::5]:0", "[fd00:99::1]:5300", true, false},
		{"IPv6 loopback", "[::1]:0", "[::1]:5300", true, true},
		{"IPv6 link-local", "[" + linkLocal6 + "%lo]:0", "[" + linkLocal6 + "%lo]:5300", true, true},
		{"IPv6 link-local to a global address", "[" + linkLocal6 + "%lo]:0", "[fd00:99::1]:5300", true, true},
	}
	for kind, f := range map[string]*filters{"eBPF": programs, "classic": {}} {
		for _, sc := range append(scopes, everything) {
			fd, err := f.bind(binding{key: key{any6, 5300, spec.UDP}, scope: sc, both: true})
			if err != nil {
				t.Fatalf("%s, %+v: %v", kind, sc, err)
			}
			for _, p := range packets {
				part := sc.four
				if p.six {
					part = sc.six
				}
				want := part == all || part == leftover && p.left
				if got := passes(t, fd, p.from, p.to); got != want {
					t.Errorf("%s, scope %+v, %s: passes %v, want %v", kind, sc, p.name, got, want)
				}
			}
			_ = unix.Close(fd)
		}
	}
}

// TestFilterPrograms has a reader see what the kernel gets.
func TestFilterPrograms(t *testing.T) {
	var b strings.Builder
	for _, sc := range scopes {
		code, err := filterOf(sc).Code()
		if err != nil {
			t.Fatal(err)
		}
		ebpf, err := translate(filterOf(sc))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%+v\n%s%+v\n", sc, golden.Program(t, code), ebpf)
	}
	golden.Compare(t, filepath.Join("testdata", "filters.golden"), b.String())
}

// TestUntranslated: an instruction that has no translation is not left out.
func TestUntranslated(t *testing.T) {
	const somewhere = bpfprog.Place("somewhere")
	for name, in := range map[string]func(*bpfprog.Program){
		"arithmetic": func(p *bpfprog.Program) { p.Add(bpf.NegateA{}) },
		"or":         func(p *bpfprog.Program) { p.Add(bpf.ALUOpConstant{Op: bpf.ALUOpOr, Val: 1}) },
		"comparison": func(p *bpfprog.Program) { p.When(bpf.JumpBitsSet, 1, somewhere, bpfprog.Next) },
		"two ways":   func(p *bpfprog.Program) { p.Equal(1, somewhere, somewhere) },
	} {
		var p bpfprog.Program
		in(&p)
		p.And(1)
		p.Mark(somewhere)
		p.Return(0)
		if _, err := translate(&p); err == nil {
			t.Errorf("%s is translated", name)
		}
	}
}

// passes sends a datagram and says whether the socket got it: if not, it counts it as
// dropped.
func passes(t *testing.T, fd int, from, to string) (ok bool) {
	t.Helper()
	before := drops(t, fd)
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(from)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.WriteToUDPAddrPort([]byte("x"), netip.MustParseAddrPort(to)); err != nil {
		t.Fatal(err)
	}
	eventually(t, fmt.Sprintf("%s to %s arrives or is dropped", from, to), func() bool {
		_, _, err := unix.Recvfrom(fd, make([]byte, 10), unix.MSG_DONTWAIT)
		ok = err == nil
		return ok || drops(t, fd) != before
	})
	return ok
}

// drops is what the kernel counts as dropped at a socket.
func drops(t *testing.T, fd int) uint32 {
	t.Helper()
	const dropped = 8 // SK_MEMINFO_DROPS
	var info [9]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	return info[dropped]
}
