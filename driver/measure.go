package driver

import (
	"context"
	"maps"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
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
	Told   map[string]uint64
	OnNets []NetworkMeasures
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
	_, likely := d.keeper.Flapping()
	s, unlock := d.desired.Read()
	defer unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	m.Flapping = len(likely)
	m.Mended = withZeros(maps.Clone(d.health.mended), repairKinds()...)
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

// The kinds of repairs that are of no object.
const (
	// repairRules is of the firewall's rules.
	repairRules spec.Kind = "rules"
	// repairOrphan is of a link that belonged to nobody, or had another name.
	repairOrphan spec.Kind = "orphaned link"
	// repairStore is of what could not be written.
	repairStore spec.Kind = "stored state"
)

func repairKinds() []string {
	var names []string
	for _, k := range []spec.Kind{
		repairRules, spec.KindBridge, spec.KindForwarding, spec.KindPair, repairOrphan, spec.KindHostPorts, spec.KindZone, repairStore,
	} {
		names = append(names, string(k))
	}
	return names
}

// sorted are the repairs of a comparison by kind: those of its first lines.
type sorted struct {
	lines  int
	byKind map[string]uint64
}

// sort says of what kind the repairs are that were made since it was called last.
func (r *repair) sort(as spec.Kind) {
	if n := len(r.fixed) - r.sorted.lines; n > 0 {
		if r.sorted.byKind == nil {
			r.sorted.byKind = map[string]uint64{}
		}
		r.sorted.byKind[string(as)] += uint64(n)
	}
	r.sorted.lines = len(r.fixed)
}
