package ipam

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/config"
)

// nowhere is a Store that costs nothing, so that benchmarks show the search.
type nowhere struct{}

func (nowhere) Load(func(string, []byte) error) error { return nil }
func (nowhere) Update(map[string][]byte) error        { return nil }

func filled(b *testing.B, subnet string, n int) (*Allocator, string) {
	b.Helper()
	a := open(b, nowhere{})
	p := mustPool(b, a, subnet, "")
	for range n {
		mustAddress(b, a, p.ID, "")
	}
	return a, p.ID
}

// allocate takes an address of the pool and gives it back.
func allocate(b *testing.B, a *Allocator, id string) {
	ctx := context.Background()
	got, err := a.RequestAddress(ctx, AddressRequest{PoolID: id})
	if err != nil {
		b.Fatal(err)
	}
	if err := a.ReleaseAddress(ctx, id, got.Addr()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkAllocate is one allocation and its release, with so many addresses in
// use. Times must not grow with the addresses nor with the pool.
func BenchmarkAllocate(b *testing.B) {
	for _, subnet := range []string{"10.0.0.0/16", "10.0.0.0/8", "fd00::/64"} {
		for _, n := range []int{10, 1000, 60000} {
			b.Run(fmt.Sprintf("pool=%s/in-use=%d", strings.Replace(subnet, "/", "_", 1), n), func(b *testing.B) {
				a, id := filled(b, subnet, n)
				b.ReportAllocs()
				for b.Loop() {
					allocate(b, a, id)
				}
			})
		}
	}
}

// BenchmarkAllocateNearlyFull has three free addresses, each found past tens of
// thousands in use.
func BenchmarkAllocateNearlyFull(b *testing.B) {
	a, id := filled(b, "10.0.0.0/16", 65534)
	for _, addr := range []string{"10.0.0.9", "10.0.128.0", "10.0.255.254"} {
		mustRelease(b, a, id, addr)
	}
	b.ReportAllocs()
	for b.Loop() {
		allocate(b, a, id)
	}
}

// BenchmarkAutomaticPool is one automatic pool and its release, with so many
// pools held.
func BenchmarkAutomaticPool(b *testing.B) {
	for _, n := range []int{10, 1000, 10000} {
		b.Run(fmt.Sprintf("held=%d", n), func(b *testing.B) {
			a := open(b, nowhere{}, config.PoolRange{Base: pfx("10.0.0.0/8"), Size: 24})
			for range n {
				automatic(b, a, false)
			}
			for b.Loop() {
				mustReleasePool(b, a, LocalSpace+"/"+automatic(b, a, false).String())
			}
		})
	}
}
