package link_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

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
	if _, err := h.Sweep(context.Background(), nil, nil); err != nil {
		b.Fatal(err)
	}
}
