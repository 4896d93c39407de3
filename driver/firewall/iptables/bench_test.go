package iptables

import (
	"context"
	"fmt"
	"testing"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
	"github.com/gangway-net/gangway/integration/nstest"
	"github.com/gangway-net/gangway/integration/testkit"
)

// BenchmarkApply adds and removes one port, or a range, while there are ports
// already; package nftables has the same.
func BenchmarkApply(b *testing.B) {
	one := port("a", "9", spec.TCP, "0.0.0.0", 99, 99, "10.200.0.9", 99)
	long := port("a", "9", spec.UDP, "0.0.0.0", 10000, 19999, "10.200.0.9", 10000)
	for _, v := range []variant{nft, legacy} {
		for _, c := range []struct {
			name    string
			present int
			port    firewall.Port
		}{{"port", 10, one}, {"port", 1000, one}, {"port", 20000, one}, {"range=10000", 1000, long}} {
			b.Run(fmt.Sprintf("%s/%s/present=%d", v, c.name, c.present), func(b *testing.B) {
				nstest.Do(&testing.T{}, func() { benchmark(b, v, c.present, c.port) })
			})
		}
	}
}

func benchmark(b *testing.B, v variant, present int, p firewall.Port) {
	ctx := context.Background()
	backend, err := New(ctx, Options{Log: testkit.Quiet(), Mark: firewall.DefaultMark()})
	if err != nil {
		b.Error(err)
		return
	}
	backend.variant, backend.installed = v, []variant{v}
	full := firewall.Ruleset{Networks: rich().Networks}
	for i := range uint16(present) {
		full.Ports = append(full.Ports, port("a", "1", spec.TCP, "0.0.0.0", 1024+2*i, 1024+2*i, "10.200.0.2", 80))
	}
	if err := backend.Apply(ctx, firewall.Delta{Add: full}); err != nil {
		b.Error(err)
		return
	}
	one := firewall.Ruleset{Ports: []firewall.Port{p}}
	for b.Loop() {
		for _, d := range []firewall.Delta{{Add: one}, {Remove: one}} {
			if err := backend.Apply(ctx, d); err != nil {
				b.Error(err)
				return
			}
		}
	}
}
