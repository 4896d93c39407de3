package nftables

import (
	"context"
	"maps"
	"slices"
	"strings"

	nft "github.com/google/nftables"

	"github.com/gangway-net/gangway/driver/firewall"
)

// ForwardHook is what iptables has to do beside the table; see iptables.ForwardHook.
type ForwardHook interface {
	// Sync makes every iptables of the host whose FORWARD chain decides
	// anything follow the marks that want names, and returns one line
	// for each repair. still says that nf_tables have not changed since the
	// last call.
	Sync(ctx context.Context, want firewall.ForwardHook, still bool) (repaired []string, err error)
	// Placed says whether any of them had to, at the last call.
	Placed() bool
	// UsesLegacy says whether the host has filter tables of legacy iptables.
	UsesLegacy() bool
}

// forwardHook remembers what the ForwardHook was told.
type forwardHook struct {
	iptables ForwardHook
	// told says that want is what the ForwardHook was told last.
	told bool
	want firewall.ForwardHook
	// looked is the generation at which no iptables needed the FORWARD hook, moved on by own
	// changes; 0 if nobody has looked.
	looked uint32
	// lans are the bridges of firewall.ForwardHook's Within.
	lans lans
}

// lans are bridges that are the host's links to LANs. The table has nothing of them: none of its
// rules drops what passes within them.
type lans map[string]bool

// after are those after a change.
func (l lans) after(d firewall.Delta) lans {
	all := lans{}
	maps.Copy(all, l)
	for _, n := range d.Remove.Networks {
		delete(all, n.Bridge)
	}
	for _, n := range d.Add.Networks {
		if n.Host {
			all[n.Bridge] = true
		}
	}
	return all
}

// String is as in Within.
func (l lans) String() string { return strings.Join(slices.Sorted(maps.Keys(l)), " ") }

func (g *forwardHook) sync(ctx context.Context, want firewall.ForwardHook, still bool) ([]string, error) {
	if g.iptables == nil {
		g.told, g.want = true, want
		return nil, nil
	}
	still = still && g.told && g.want == want
	g.told = false
	lines, err := g.iptables.Sync(ctx, want, still)
	if err != nil {
		return lines, err
	}
	g.told, g.want = true, want
	return lines, nil
}

// forwardHook is what iptables have to do beside these items and bridges.
func (c contents) forwardHook(beside lans) firewall.ForwardHook {
	want := firewall.ForwardHook{Networks: c.networks() > 0, Within: beside.String()}
	for _, h := range headers() {
		if _, closed := c[noTransitSet][noTransitKey(h)]; closed {
			want.NoTransit = want.NoTransit.With(firewall.Family(h.six()))
		}
	}
	return want
}

// noTransitKey is the key of a family without transit.
func noTransitKey(h header) string {
	return inet().find(noTransitSet).keys.encode(&values{family: h.proto})
}

// forwardHookAfter is forwardHook after a change.
func (c contents) forwardHookAfter(by change, beside lans) firewall.ForwardHook {
	want := c.forwardHook(beside)
	want.Networks = c.networks()+len(by.fresh[withinMap])-len(by.gone[withinMap]) > 0
	for _, h := range headers() {
		_, fresh := by.fresh[noTransitSet][noTransitKey(h)]
		_, gone := by.gone[noTransitSet][noTransitKey(h)]
		six := h.six()
		switch {
		case fresh:
			want.NoTransit = want.NoTransit.With(firewall.Family(six))
		case gone:
			want.NoTransit = want.NoTransit.Without(firewall.Families{V4: !six, V6: six})
		}
	}
	return want
}

// due says whether iptables may have come to decide something since the open
// FORWARD hook was not needed: an engine has started. The answer costs no process. wrote says
// that a transaction has just ended: the kernel told its generation then.
func (g *forwardHook) due(k *kernel, wrote bool) bool {
	if g.iptables == nil || g.iptables.Placed() {
		return false
	}
	if g.iptables.UsesLegacy() {
		return true
	}
	now := k.wire.ended
	if !wrote {
		var err error
		if now, err = k.generation(); err != nil {
			return false
		}
	}
	if now == g.looked {
		return false
	}
	g.looked = now
	return k.usesIPTables(nft.TableFamilyIPv4) || k.usesIPTables(nft.TableFamilyIPv6)
}
