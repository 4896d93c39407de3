package nftables_test

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
// in either variant of iptables, and without any; with a table that others can
// change, and, which is the same for packets, with one that they cannot, where the
// kernel has such.
func TestBackend(t *testing.T) {
	owned, open := testkit.KernelHas(6, 9), !testkit.KernelHas(5, 12)
	for name, o := range map[string]fwtest.Options{
		"nft":    {Mark: firewall.DefaultMark(), IPTables: "iptables-nft", Marks: true, Owned: owned, Open: open, ByAddress: true},
		"legacy": {Mark: firewall.Mark{Accept: 1 << 20, Drop: 1 << 9}, IPTables: "iptables-legacy", Marks: true, Open: open, ByAddress: true},
		"none":   {Mark: firewall.DefaultMark(), NoIPTables: true, Marks: true, Owned: owned, Open: open, ByAddress: true},
	} {
		if testing.Short() && owned && !o.Owned {
			continue // in short, an older kernel runs what only older kernels need
		}
		if testkit.OtherKernel() && name == "legacy" {
			continue // which differs in the engine's rules alone
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := testkit.Quiet()
			fwtest.Run(t, func(ctx context.Context) (firewall.Backend, error) {
				options := nftables.Options{Log: log, Mark: o.Mark, Shared: !o.Owned}
				if !o.NoIPTables {
					hook, err := iptables.NewForwardHook(ctx, log, o.Mark)
					if err != nil {
						return nil, err
					}
					options.ForwardHook = hook
				}
				return nftables.New(ctx, options)
			}, o)
		})
	}
}

// BenchmarkForward compares kinds of tables, beside an engine's rules and without; the way
// without any rules, and that by the engine's own bridge, come first.
func BenchmarkForward(b *testing.B) {
	b.Run("none", func(b *testing.B) { fwtest.Forward(b, fwtest.Crossing{}) })
	b.Run("built-in", func(b *testing.B) { fwtest.Forward(b, fwtest.Crossing{Engine: true, BuiltIn: true}) })
	for _, c := range []struct {
		name    string
		engine  bool
		options nftables.Options
	}{
		{"owner", false, nftables.Options{Log: testkit.Quiet(), Mark: firewall.DefaultMark()}},
		{"engine", true, nftables.Options{Log: testkit.Quiet(), Mark: firewall.DefaultMark()}},
		{"shared with fail-closed table", true, nftables.Options{Log: testkit.Quiet(), Mark: firewall.DefaultMark(), Shared: true}},
	} {
		b.Run(c.name, func(b *testing.B) {
			fwtest.Forward(b, fwtest.Crossing{Engine: c.engine, NewBackend: func(ctx context.Context) (firewall.Backend, error) {
				o := c.options
				if c.engine {
					hook, err := iptables.NewForwardHook(ctx, o.Log, o.Mark)
					if err != nil {
						return nil, err
					}
					o.ForwardHook = hook
				}
				return nftables.New(ctx, o)
			}})
		})
	}
}
