package driver

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
)

// followNames leads those whose policies name networks of these names to what that means by now.
// Each is its own network's matter, so it is done with the lock of that one alone, behind the
// change that the names are of. Until then the rules go by links: those of a network that is
// gone lead nowhere, and those of one that has come are not open yet.
func (d *Driver) followNames(ctx context.Context, names ...string) {
	s, unlock := d.desired.Read()
	owners := plan.Naming(s, names...)
	unlock()
	for _, o := range owners {
		if err := d.followName(ctx, o); err != nil {
			d.o.Log.WithError(err).Warnf("policy of %s: another network that it names has come or gone, and the rules do not follow; the next check tries again", o)
		}
	}
}

func (d *Driver) followName(ctx context.Context, o plan.Owner) error {
	release, err := d.networks.Take(ctx, o.Network)
	if err != nil {
		d.writer.Reopen([]plan.Owner{o})
		return err
	}
	defer release()
	_, err = d.writer.Retry(ctx, o)
	return err
}

// unmetNetworks says which names of networks in policies stand for nobody.
func (d *Driver) unmetNetworks() (lines []string) {
	s, unlock := d.desired.Read()
	defer unlock()
	first, others := map[string]string{}, map[string]int{}
	note := func(n *model.Network, e *model.Endpoint, who string) {
		for _, name := range s.PolicyOf(n, e).NamedNetworks() {
			if _, err := s.Peer(name); err == nil {
				continue
			}
			if first[name] == "" {
				first[name] = who
			} else {
				others[name]++
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.Networks)) {
		n := s.Networks[id]
		note(n, nil, "network "+model.Short(id))
		for _, key := range slices.Sorted(maps.Keys(s.Members[id])) {
			if e := s.Members[id][key]; e.OwnPolicy() {
				note(n, e, "endpoint "+model.Short(key))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(first)) {
		_, err := s.Peer(name)
		line := fmt.Sprintf("%v: the policy of %s has network:%s", err, first[name], name)
		if n := others[name]; n > 0 {
			line += fmt.Sprintf(", as have %d others", n)
		}
		lines = append(lines, line)
	}
	return lines
}
