package iptables_test

import (
	"context"
	"testing"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/firewall/fwtest"
	"github.com/gangway-net/gangway/driver/firewall/iptables"
	"github.com/gangway-net/gangway/driver/firewall/nftables"
	"github.com/gangway-net/gangway/integration/testkit"
)

// TestBackend runs the cases that all backends share, with the engine's rules
// in either variant of iptables, and on a kernel that cannot keep a fail-closed table. The
// variant is the one in which the engine's chains are, so every host of the
// legacy runs has one of them.
func TestBackend(t *testing.T) {
	for name, o := range map[string]fwtest.Options{
		"nft":    {Mark: firewall.DefaultMark(), IPTables: "iptables-nft", Open: !testkit.KernelHas(5, 12)},
		"legacy": {Mark: firewall.Mark{Accept: 1 << 20, Drop: 1 << 9}, IPTables: "iptables-legacy", Marker: "DOCKER", Open: !testkit.KernelHas(5, 12)},
		"open":   {Mark: firewall.DefaultMark(), IPTables: "iptables-legacy", Marker: "DOCKER", Open: true},
	} {
		if testing.Short() && name == "open" {
			continue // on an older kernel the others are open as well
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fwtest.Run(t, start(o.Mark, !o.Open), o)
		})
	}
}

func start(mark firewall.Mark, failClosed bool) fwtest.NewBackend {
	return func(ctx context.Context) (firewall.Backend, error) {
		options := iptables.Options{Log: testkit.Quiet(), Mark: mark}
		if failClosed {
			v, err := nftables.NewFailClosed(ctx, testkit.Quiet(), mark)
			if err != nil {
				return nil, err
			}
			options.FailClosed = v
		}
		return iptables.New(ctx, options)
	}
}

// BenchmarkForward compares the rules with and without a fail-closed table, beside an
// engine's; package nftables has the ways without any rules, and with the engine's alone.
func BenchmarkForward(b *testing.B) {
	for name, failClosed := range map[string]bool{"open": false, "with fail-closed table": true} {
		b.Run(name, func(b *testing.B) {
			fwtest.Forward(b, fwtest.Crossing{Engine: true, NewBackend: start(firewall.DefaultMark(), failClosed)})
		})
	}
}
