package conntrack

import (
	"context"
	"net/netip"

	"go4.org/netipx"

	"github.com/gangway-net/gangway/driver/policy"
)

// DropForbidden forgets the flows that a judge forbids: what of them comes next is judged as
// if it came first. It takes a list of the table.
func (t *Table) DropForbidden(ctx context.Context, j policy.Judge) error {
	own := map[uint8]*netipx.IPSet{}
	for _, a := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		set, err := t.localAddresses(ctx, familyOf(a))
		if err != nil {
			return wrap(err, "drop the tracked flows that policies forbid")
		}
		own[familyOf(a)] = set
	}
	host := func(a netip.Addr) bool { return own[familyOf(a)].Contains(a) }
	return wrap(t.drop(ctx, judged{j, host}), "drop the tracked flows that policies forbid")
}

// judged are flows that a judge forbids.
type judged struct {
	policy.Judge
	host func(netip.Addr) bool
}

func (j judged) selections() []selection { return nil }

func (j judged) has(f *flow) (bool, error) {
	return j.Forbids(policy.Flow{From: f.src, To: f.dst, Answers: f.from, Proto: f.proto, Port: f.port}, j.host), nil
}
