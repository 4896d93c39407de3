package nftables

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/gangway-net/gangway/driver/firewall"
)

var _ firewall.Counter = (*PolicyTable)(nil)

// Refused implements firewall.Counter.
func (p *PolicyTable) Refused(ctx context.Context) ([]firewall.Refusal, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	sets := setsOf([]row{rowsOfPolicy().refused, rowsOfPolicy().refusedAt})
	elements, err := p.reader.read(policyTable, slices.Sorted(maps.Keys(sets))...)
	if err != nil {
		return nil, fmt.Errorf("read what table inet %s refused: %w", policyTable, err)
	}
	var all []firewall.Refusal
	for name, s := range sets {
		for _, e := range elements[name] {
			v, ok := s.keys.decode(e.Key)
			of, known := refusingOf(func(r refusing) bool { return r.code() == v.number })
			if !ok || !known || e.Counter == nil {
				continue // somebody else's
			}
			r := firewall.Refusal{Reason: of.reason(), Option: of.option, Bridge: v.link[receiver], Addr: v.addr[receiver], Packets: e.Counter.Packets}
			r.Counter = fmt.Sprint("policy ", r.Bridge, " ", of.name(), " ", r.Addr)
			all = append(all, r)
		}
	}
	return all, nil
}
