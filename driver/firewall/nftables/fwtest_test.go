package nftables_test

import (
	"context"
	"io"
	"testing"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/firewall/fwtest"
	"github.com/gangway-net/gangway/driver/firewall/iptables"
	"github.com/gangway-net/gangway/driver/firewall/nftables"
)

// TestBackend runs the cases that all backends share, with the engine's rules
// in either variant of iptables, and without any; with a table that others can
// change, and, which is the same for packets, with one that they cannot.
func TestBackend(t *testing.T) {
	for name, o := range map[string]fwtest.Options{
		"nft":    {IPTables: "iptables-nft", Marks: true, Owned: true},
		"legacy": {IPTables: "iptables-legacy", Marks: true},
		"none":   {NoIPTables: true, Marks: true, Owned: true},
	} {
		t.Run(name, func(t *testing.T) {
			logger := logrus.New()
			logger.SetOutput(io.Discard)
			log := logrus.NewEntry(logger)
			fwtest.Run(t, func(ctx context.Context) (firewall.Backend, error) {
				options := nftables.Options{Log: log, Shared: !o.Owned}
				if !o.NoIPTables {
					gate, err := iptables.NewGate(log)
					if err != nil {
						return nil, err
					}
					options.Gate = gate
				}
				return nftables.New(ctx, options)
			}, o)
		})
	}
}
