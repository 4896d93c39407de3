package metrics

import (
	"context"
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/driver/cause"
	"github.com/gangway-net/gangway/driver/spec"
	"github.com/gangway-net/gangway/printable"
)

// collector asks the sources at each scrape.
type collector struct {
	o       Options
	daemon  Daemon
	descs   map[string]*prometheus.Desc
	types   map[string]string
	traffic source[map[string]spec.Traffic]
	flows   source[spec.FlowUse]
}

func newCollector(o Options, descs map[string]*prometheus.Desc) *collector {
	c := &collector{o: o, descs: descs, types: map[string]string{}}
	for _, row := range Table() {
		c.types[row.Name] = row.Type
	}
	c.traffic.ask = o.Traffic.Traffic
	c.flows.ask = func(context.Context) (spec.FlowUse, error) { return o.Flows.Use() }
	return c
}

// Describe is prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		to <- d
	}
}

// Collect is prometheus.Collector. It may run several times at once.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	s := scrape{collector: c, to: to}
	v := c.o.Version
	s.tell(buildInfo, 1, v.Version, v.Commit, v.Go)
	s.tell(callsInFlight, float64(c.daemon.InFlight()))
	if !c.daemon.Restored() {
		// What is restored so far says nothing about what there will be.
		s.state(c.daemon.Causes(driver.Status{}))
		return
	}
	ctx := context.Background()
	traffic, flows := c.traffic.start(ctx), c.flows.start(ctx)
	m := c.o.Datapath.Measures(ctx)
	s.state(c.daemon.Causes(m.Status))
	s.status(m)
	s.pools()
	s.policies(m.Policies)
	use := <-flows
	if s.source("conntrack", use.err) {
		s.tell(flowsTracked, float64(use.value.Flows))
		if use.value.Limit > 0 { // else the kernel does not tell
			s.tell(flowsLimit, float64(use.value.Limit))
		}
	}
	passed := <-traffic
	s.source("traffic", passed.err)
	for _, n := range m.OnNets {
		s.network(n, passed.value)
	}
}

// scrape is one answer on its way.
type scrape struct {
	*collector
	to chan<- prometheus.Metric
}

// tell adds a number with the values of its labels, in the table's order.
func (s scrape) tell(name string, value float64, labels ...string) {
	desc := s.descs[name]
	s.add(name, prometheus.MakeLabelPairs(desc, labels), value)
}

func (s scrape) add(name string, labels []*dto.LabelPair, value float64) {
	s.to <- number{desc: s.descs[name], labels: labels, value: value, counter: s.types[name] == Counter}
}

func (s scrape) state(why []cause.Cause) {
	is, of := cause.Worst(why), map[cause.Code]int{}
	for _, c := range why {
		of[c.Code]++
	}
	for _, state := range cause.States() {
		s.tell(healthState, oneIf(state == is), string(state))
		for _, code := range cause.Codes(state) {
			s.tell(healthCauses, float64(of[code]), string(code), string(state))
		}
	}
}

func (s scrape) source(name string, err error) bool {
	if err != nil {
		s.o.Log.WithError(err).Warn("metrics of " + name + " are left out")
	}
	s.tell(sourceUp, oneIf(err == nil), name)
	return err == nil
}

func (s scrape) status(m driver.Measures) {
	s.tell(firewallInfo, 1, m.Firewall, m.Protection)
	s.tell(unguarded, oneIf(m.Unguarded != ""))
	s.tell(checks, float64(m.Checks))
	last := 0.0
	if !m.LastCheck.IsZero() {
		last = float64(m.LastCheck.UnixMilli()) / 1000
	}
	s.tell(lastCheck, last)
	s.each(repairs, m.Mended)
	s.tell(flapping, float64(m.Flapping))
	s.each(events, m.Told)
	s.tell(networks, float64(m.Networks))
	for reason, packets := range m.Dropped {
		s.tell(refused, float64(packets), string(reason))
	}
}

func (s scrape) each(name string, by map[string]uint64) {
	for label, n := range by {
		s.tell(name, float64(n), label)
	}
}

func (s scrape) pools() {
	for _, p := range s.o.Pools.Pools() {
		s.tell(poolUsed, float64(p.InUse), p.ID)
		s.tell(poolFree, p.Free, p.ID)
	}
}

// mostEntries is how many entries of a policy have a row of their own; manyEntries is the
// label of the rest.
const (
	mostEntries = 32
	manyEntries = "others"
)

// policies tells what entries have decided, once for each policy.
func (s scrape) policies(all []driver.Decisions) {
	told := map[string]bool{}
	for _, d := range all {
		name, container := s.names(d.NetworkID, d.EndpointID)
		if d.EndpointID == "" {
			container = ""
		}
		s.tell(policyInfo, 1, short(d.NetworkID), name, short(d.EndpointID), container, d.Policy)
		if told[d.Policy] {
			continue
		}
		told[d.Policy] = true
		type row struct{ option, entry, verdict string }
		sums := map[row]uint64{}
		for i, e := range d.Entries {
			r := row{string(e.Option), e.Value, d.Verdict(e)}
			if i >= mostEntries {
				r.entry = manyEntries
			}
			sums[r] += e.Packets
		}
		for r, packets := range sums {
			s.tell(policyDecisions, float64(packets), d.Policy, r.option, r.entry, r.verdict)
		}
	}
}

// network tells of a network and its endpoints. The four numbers of an endpoint share
// their labels, which the library would make anew for each.
func (s scrape) network(n driver.NetworkMeasures, passed map[string]spec.Traffic) {
	id := short(n.ID)
	name, _ := s.names(n.ID, "")
	s.tell(endpoints, float64(len(n.Endpoints)), id, name)
	for _, protocol := range slices.Sorted(maps.Keys(n.Ports)) {
		s.tell(ports, float64(n.Ports[protocol]), id, name, protocol)
	}
	for reason, packets := range n.Dropped {
		s.tell(refusedOfNetwork, float64(packets), id, name, string(reason))
	}
	for _, endpoint := range n.Endpoints {
		t, there := passed[endpoint]
		if !there {
			continue // its pair is not made yet, or gone
		}
		_, container := s.names(n.ID, endpoint)
		labels := prometheus.MakeLabelPairs(s.descs[sentBytes], []string{id, name, short(endpoint), container})
		s.add(sentBytes, labels, float64(t.SentBytes))
		s.add(sentPackets, labels, float64(t.SentPackets))
		s.add(receivedBytes, labels, float64(t.ReceivedBytes))
		s.add(receivedPackets, labels, float64(t.ReceivedPackets))
	}
}

// names are what labels show: ids where no name is known. Users choose names, and may
// have chosen any bytes.
func (s scrape) names(networkID, endpointID string) (network, container string) {
	if s.o.Names != nil {
		network, container = s.o.Names.Names(networkID, endpointID)
	}
	orID := func(name, id string) string {
		if name == "" {
			return short(id)
		}
		return printable.Word(name)
	}
	return orID(network, networkID), orID(container, endpointID)
}

// short is how gangway cuts ids for people. Names of bridges and links are made of as
// much, so no two networks or endpoints of a host have the same.
func short(id string) string { return id[:min(len(id), 12)] }

func oneIf(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// number is a metric whose labels others may share.
type number struct {
	desc    *prometheus.Desc
	labels  []*dto.LabelPair
	value   float64
	counter bool
}

// Desc is prometheus.Metric.
func (n number) Desc() *prometheus.Desc { return n.desc }

// Write is prometheus.Metric.
func (n number) Write(to *dto.Metric) error {
	to.Label = n.labels
	if n.counter {
		to.Counter = &dto.Counter{Value: &n.value}
		return nil
	}
	to.Gauge = &dto.Gauge{Value: &n.value}
	return nil
}
