package driver

import (
	"cmp"
	"context"
	"slices"

	"github.com/gangway-net/gangway/driver/firewall"
)

// Dropped is how many packets were refused since the daemon's start, for one reason and at
// one place. Each packet is counted at one place only.
type Dropped struct {
	Reason  firewall.Reason `json:"reason"`
	Packets uint64          `json:"packets"`
	// NetworkID is empty where the network is not known, or gone.
	NetworkID string `json:"network,omitempty"`
	// By is the entry of a policy that has refused them, where the reason is one.
	By PolicyEntry `json:"by,omitzero"`
	// EndpointID is empty where the rules count by network alone, or where the endpoint is
	// gone.
	EndpointID string `json:"endpoint,omitempty"`
}

// Dropped lists what was refused, sorted by place and reason.
func (d *Driver) Dropped(ctx context.Context) []Dropped {
	// What was known before is told where the firewall does not answer.
	answered(ctx, func() { d.countDrops(ctx) })
	all := d.dropped()
	d.nameDenied(ctx, all)
	return all
}

func (d *Driver) dropped() []Dropped {
	s, unlock := d.desired.Read()
	defer unlock()
	d.drops.mu.Lock()
	defer d.drops.mu.Unlock()
	return d.drops.tally.list(func(endpoint string) string {
		if e := s.Endpoints[endpoint]; e != nil {
			return e.NetworkID
		}
		return ""
	})
}

// list returns the sums with each packet at the closest place that is known; networkOf is the
// network of an endpoint, empty if it is gone.
func (t *tally) list(networkOf func(endpoint string) string) []Dropped {
	all := map[dropPlace]uint64{}
	for reason, packets := range t.total {
		all[dropPlace{reason: reason}] = packets
	}
	// move takes packets from a place that is wider.
	move := func(wider dropPlace, to dropPlace, packets uint64) {
		packets = min(packets, all[wider])
		all[wider] -= packets
		all[to] += packets
	}
	for network, drops := range t.networks {
		for reason, packets := range drops {
			move(dropPlace{reason: reason}, dropPlace{network: network, reason: reason}, packets)
		}
	}
	for endpoint, drops := range t.endpoints {
		network := networkOf(endpoint)
		if network == "" {
			continue
		}
		for reason, packets := range drops {
			move(dropPlace{network: network, reason: reason}, dropPlace{network: network, endpoint: endpoint, reason: reason}, packets)
		}
	}
	for p, packets := range t.entries {
		wider := p
		wider.by = PolicyEntry{}
		if p.endpoint != "" && networkOf(p.endpoint) == "" {
			wider.endpoint, p.endpoint = "", ""
		}
		move(wider, p, packets)
	}
	out := []Dropped{}
	for p, packets := range all {
		if packets > 0 {
			out = append(out, Dropped{Reason: p.reason, Packets: packets, NetworkID: p.network, EndpointID: p.endpoint, By: p.by})
		}
	}
	slices.SortFunc(out, func(a, b Dropped) int {
		return cmp.Or(cmp.Compare(a.NetworkID, b.NetworkID), cmp.Compare(a.EndpointID, b.EndpointID), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.By.String(), b.By.String()))
	})
	return out
}
