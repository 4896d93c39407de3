package driver

import (
	"context"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
)

// Measures are the numbers that a monitoring system collects. Those that count begin with
// the daemon, and there is one for each reason or kind, if only 0: who computes a rate
// needs the number before the first one.
type Measures struct {
	Status
	// Mended are the repairs, by kind.
	Mended map[string]uint64
	// Flapping is how many repairs somebody undoes again and again.
	Flapping int
	// Told are the events, by kind.
	Told map[string]uint64
	// Policies are what entries of policies have decided, of the first some hundred policies.
	Policies []Decisions
	OnNets   []NetworkMeasures
}

// NetworkMeasures are those of a network.
type NetworkMeasures struct {
	ID string
	// Endpoints are the ids of those on it.
	Endpoints []string
	// Ports are the published ports by protocol.
	Ports map[string]int
	// Dropped are as in NetworkStatus.
	Dropped Drops
}

// Measures asks the kernel what Status asks, and nothing else.
func (d *Driver) Measures(ctx context.Context) Measures {
	m := Measures{Status: d.Status(ctx), Told: d.journal.Counts()}
	m.Dropped = withZeros(m.Dropped, firewall.Reasons()...)
	var err error
	if m.Policies, err = d.decisions(ctx, "", mostMeasured); err != nil {
		d.o.Log.WithError(err).Debug("measure what policies have decided")
	}
	_, likely := d.keeper.Flapping()
	s, unlock := d.desired.Read()
	defer unlock()
	m.Flapping = len(likely)
	m.Mended = withZeros(d.health.Report().Mended, d.comparer.Kinds.RepairKinds()...)
	m.OnNets = make([]NetworkMeasures, 0, len(s.Networks))
	for id := range s.Networks {
		m.OnNets = append(m.OnNets, d.measure(s, id))
	}
	return m
}

// measure is about one network. The caller has the state from Read.
func (d *Driver) measure(s *model.State, id string) NetworkMeasures {
	n := NetworkMeasures{
		ID: id, Endpoints: make([]string, 0, len(s.Members[id])),
		Ports: map[string]int{}, Dropped: withZeros(d.drops.network(id), firewall.Reasons()...),
	}
	for _, e := range s.Members[id] {
		n.Endpoints = append(n.Endpoints, e.ID)
		for _, r := range e.Published {
			n.Ports[r.Proto.String()] += r.Len()
		}
	}
	return n
}

// withZeros adds what is not there.
func withZeros[M ~map[K]uint64, K comparable](of M, all ...K) M {
	if of == nil {
		of = M{}
	}
	for _, k := range all {
		of[k] += 0
	}
	return of
}
