package nftables

import (
	"context"

	nft "github.com/google/nftables"
)

// Gate is what iptables has to do beside the table; see iptables.Gate.
type Gate interface {
	// Sync makes every iptables of the host whose FORWARD chain decides
	// anything follow the marks, or none if open is false, and returns one line
	// for each repair. still says that nf_tables have not changed since the
	// last call.
	Sync(ctx context.Context, open, still bool) (repaired []string, err error)
	// Placed says whether any of them had to, at the last call.
	Placed() bool
	// UsesLegacy says whether the host has filter tables of legacy iptables.
	UsesLegacy() bool
}

// gate remembers what the Gate was told.
type gate struct {
	iptables Gate
	// told says that open is what the Gate was told last.
	told, open bool
	// looked is the generation at which no iptables needed the gate, moved on by own
	// changes; 0 if nobody has looked.
	looked uint32
}

func (g *gate) sync(ctx context.Context, open, still bool) ([]string, error) {
	if g.iptables == nil {
		g.told, g.open = true, open
		return nil, nil
	}
	still = still && g.told && g.open == open
	g.told = false
	lines, err := g.iptables.Sync(ctx, open, still)
	if err != nil {
		return lines, err
	}
	g.told, g.open = true, open
	return lines, nil
}

// due says whether iptables may have come to decide something since the open
// gate was not needed: an engine has started. The answer costs no process.
func (g *gate) due(k *kernel) bool {
	if g.iptables == nil || g.iptables.Placed() {
		return false
	}
	if g.iptables.UsesLegacy() {
		return true
	}
	now, err := k.generation()
	if err != nil || now == g.looked {
		return false
	}
	g.looked = now
	return k.usesIPTables(nft.TableFamilyIPv4) || k.usesIPTables(nft.TableFamilyIPv6)
}
