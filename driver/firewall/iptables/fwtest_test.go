package iptables_test

import (
	"context"
	"testing"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/firewall/fwtest"
	"github.com/gangway-net/gangway/driver/firewall/iptables"
	"github.com/gangway-net/gangway/integration/testkit"
)

// TestBackend runs the cases that all backends share, with the engine's rules
// in either variant of iptables. The variant is the one in which the engine's
// chains are, so every host of the legacy run has one of them.
func TestBackend(t *testing.T) {
	for name, o := range map[string]fwtest.Options{
		"nft":    {IPTables: "iptables-nft"},
		"legacy": {IPTables: "iptables-legacy", Marker: "DOCKER"},
	} {
		t.Run(name, func(t *testing.T) {
			fwtest.Run(t, func(ctx context.Context) (firewall.Backend, error) {
				return iptables.New(ctx, testkit.Quiet())
			}, o)
		})
	}
}
