package link_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/gangway-net/gangway/driver/link"
	"github.com/gangway-net/gangway/driver/spec"
)

// BenchmarkEnsureBridge shows that the cost of checking one bridge does not
// depend on how many there are.
func BenchmarkEnsureBridge(b *testing.B) {
	h, err := link.New(link.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	made := 0
	bridge := func(i int) spec.Bridge {
		return spec.Bridge{
			Name:      fmt.Sprintf("gw-bench%d", i),
			NetworkID: fmt.Sprint("bench", i),
			IPv6:      true,
			Addresses: []netip.Prefix{
				netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1}), 24),
				netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 7: byte(i), 6: byte(i >> 8), 15: 1}), 64),
			},
		}
	}
	for _, n := range []int{1, 50, 200} {
		for ; made < n; made++ {
			if _, err := h.EnsureBridge(context.Background(), bridge(made)); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(fmt.Sprint("bridges=", n), func(b *testing.B) {
			for b.Loop() {
				if fixed, err := h.EnsureBridge(context.Background(), bridge(0)); err != nil || fixed != nil {
					b.Fatal(fixed, err)
				}
			}
		})
	}
	if _, err := h.Prune(context.Background(), nil, nil); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkCheck is one look at so many pairs that are as they should be, or at one of them. What
// counts is the processor time: a look waits for the kernel and for nothing else.
func BenchmarkCheck(b *testing.B) {
	h, err := link.New(link.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	ctx := context.Background()
	bridge := spec.Bridge{Name: "gw-check", NetworkID: "check"}
	if _, err := h.EnsureBridge(ctx, bridge); err != nil {
		b.Fatal(err)
	}
	const pairs = 200
	veths := containers(b, h, bridge, pairs)
	defer func() {
		if _, err := h.Prune(ctx, nil, nil); err != nil {
			b.Fatal(err)
		}
	}()
	for name, of := range map[string]spec.Scope{
		"all": {All: true}, "one": {Links: map[string]bool{veths[pairs/2].Host: true}},
	} {
		b.Run(fmt.Sprintf("pairs=%d/%s", pairs, name), func(b *testing.B) {
			before := processor(b, syscall.RUSAGE_SELF)
			for b.Loop() {
				if c, err := h.Check(ctx, of, []spec.Bridge{bridge}, veths); err != nil || len(c.Amiss)+len(c.Gone)+len(c.Orphans) > 0 {
					b.Fatal(c, err)
				}
			}
			b.ReportMetric(float64(processor(b, syscall.RUSAGE_SELF)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// containers makes pairs whose peers are in a namespace of their own.
func containers(b *testing.B, h *link.Handle, bridge spec.Bridge, n int) (veths []spec.Veth) {
	b.Helper()
	sandbox := exec.CommandContext(b.Context(), "sleep", "infinity")
	sandbox.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := sandbox.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = sandbox.Process.Kill(); _ = sandbox.Wait() })
	for i := range n {
		addr := netip.AddrFrom4([4]byte{10, 7, byte(i >> 8), byte(i)})
		v := spec.Veth{
			EndpointID: fmt.Sprint("check", i), Host: fmt.Sprint("gv-check", i), Peer: fmt.Sprint("gp-check", i), Bridge: bridge.Name,
			MAC: net.HardwareAddr{2, 0, 0, 0, byte(i >> 8), byte(i)}, Addresses: []netip.Addr{addr},
			Reserved: []netip.Prefix{netip.MustParsePrefix("10.7.0.0/16")},
		}
		_, err := h.EnsureVeth(b.Context(), v)
		if err == nil {
			var peer netlink.Link
			if peer, err = netlink.LinkByName(v.Peer); err == nil {
				err = netlink.LinkSetNsPid(peer, sandbox.Process.Pid)
			}
		}
		if err != nil {
			b.Fatal(err)
		}
		veths = append(veths, v)
	}
	return veths
}
