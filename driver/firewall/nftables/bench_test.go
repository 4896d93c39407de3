package nftables

import (
	"context"
	"fmt"
	"testing"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
	"github.com/gangway-net/gangway/integration/nstest"
)

// present is a ruleset with that many ports of single elements.
func present(ports int) firewall.Ruleset {
	r := firewall.Ruleset{Networks: rich().Networks}
	for i := range ports {
		r.Ports = append(r.Ports, published("a", "1", spec.TCP, "0.0.0.0", uint16(1024+i), uint16(1024+i), "10.200.0.2", 80))
	}
	return r
}

// benchmark applies and removes something while there are ports already.
func benchmark(b *testing.B, ports int, what firewall.Ruleset) {
	nstest.Do(&testing.T{}, func() {
		backend := startOwner(b)
		add(b, backend, present(ports))
		b.ReportAllocs()
		for b.Loop() {
			add(b, backend, what)
			apply(b, backend, firewall.Delta{Remove: what})
		}
	})
}

// BenchmarkApply adds and removes one port, or a range: what is there already
// makes no difference.
func BenchmarkApply(b *testing.B) {
	for _, n := range []int{10, 1000, 20000} {
		b.Run(fmt.Sprintf("port/present=%d", n), func(b *testing.B) { benchmark(b, n, one()) })
	}
	long := firewall.Ruleset{Ports: []firewall.Port{published("a", "9", spec.UDP, "0.0.0.0", 10000, 19999, "10.200.0.9", 10000)}}
	shifted := firewall.Ruleset{Ports: []firewall.Port{published("a", "9", spec.UDP, "0.0.0.0", 10000, 19999, "10.200.0.9", 20000)}}
	b.Run("range=10000/present=20000", func(b *testing.B) { benchmark(b, 20000, long) })
	b.Run("shifted=10000/present=20000", func(b *testing.B) { benchmark(b, 20000, shifted) })
}

// BenchmarkSync checks rules that nobody changed, and such that were listed.
func BenchmarkSync(b *testing.B) {
	for name, known := range map[string]bool{"unchanged": true, "listed": false} {
		b.Run(name+"/present=20000", func(b *testing.B) {
			nstest.Do(&testing.T{}, func() {
				backend, full := startOwner(b), present(20000)
				add(b, backend, full)
				for b.Loop() {
					if !known {
						backend.seen = 0
					}
					if _, err := backend.Sync(context.Background(), full); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
