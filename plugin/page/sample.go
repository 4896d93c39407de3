package page

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/plugin"
)

const (
	// flushTime is how long packets are gathered for a line.
	flushTime = 250 * time.Millisecond
	// askTime bounds a question to the source.
	askTime = 10 * time.Second
	// kept is how many events, and packets, a viewer who comes later is told of.
	kept = 200
)

// message is one line. Each part may be missing.
type message struct {
	// Graph is told when it has changed, without what changes all the time.
	Graph json.RawMessage `json:"graph,omitempty"`
	Tick  *tick           `json:"tick,omitempty"`
	// Events and Packets are new ones, oldest first.
	Events  []plugin.Event         `json:"events,omitempty"`
	Packets []plugin.DroppedPacket `json:"packets,omitempty"`
	// Error is why there is no graph; one with a graph is over.
	Error string `json:"error,omitempty"`
}

func (m message) empty() bool {
	return m.Graph == nil && m.Tick == nil && len(m.Events) == 0 && len(m.Packets) == 0 && m.Error == ""
}

// tick is what changes all the time. Numbers are places in the lists of the last graph.
type tick struct {
	Status plugin.Status `json:"status"`
	// Rates are the endpoints that send or receive: its number, bytes sent and received a
	// second.
	Rates [][3]uint64 `json:"rates"`
	// Networks and Endpoints are packets that were refused.
	Networks  map[int]driver.Drops `json:"networks,omitempty"`
	Endpoints map[int]driver.Drops `json:"endpoints,omitempty"`
}

// sampler asks the source. Its fields are guarded by live's lock.
type sampler struct {
	*live
	stop context.CancelFunc
	// so is what a viewer has to know who comes now.
	so      message
	graph   plugin.Graph
	pending []plugin.DroppedPacket
	// passed and at are the sample before; number is that of the last event.
	passed map[string]plugin.Passed
	at     time.Time
	number uint64
}

// soFar is what a viewer has to know who comes now. The caller has the lock.
func (s *sampler) soFar() message { return s.so }

// run samples until ctx ends.
func (s *sampler) run(ctx context.Context) {
	go s.follow(ctx)
	again, flush := time.NewTicker(s.every), time.NewTicker(min(flushTime, s.every))
	defer again.Stop()
	defer flush.Stop()
	s.sample(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
			s.sample(ctx)
		case <-flush.C:
			s.flush(ctx)
		}
	}
}

// sample asks once, and tells what is new.
func (s *sampler) sample(ctx context.Context) {
	asking, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	g, err := s.source.Graph(asking)
	now := time.Now()
	s.mu.Lock()
	number := s.number
	if !s.graph.Status.Started.Equal(g.Status.Started) {
		number = 0 // another daemon, or the first answer
	}
	s.mu.Unlock()
	var events []plugin.Event
	if err == nil {
		events, err = s.source.EventsAfter(asking, number)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	m := message{}
	if err != nil {
		if m.Error = err.Error(); m.Error == s.so.Error {
			return
		}
		s.so.Error = m.Error
		s.tell(m)
		return
	}
	fixed, changing := split(g)
	if !bytes.Equal(fixed, s.so.Graph) || s.so.Error != "" {
		m.Graph = fixed
	}
	changing.Rates = s.rates(g, now)
	m.Tick, m.Events = &changing, events
	if len(events) > 0 {
		s.number = events[len(events)-1].Number
	}
	s.graph = g
	s.so.Graph, s.so.Tick, s.so.Error, s.so.Events = fixed, m.Tick, "", latest(s.so.Events, events)
	s.tell(m)
}

// split parts what stays from what changes all the time.
func split(g plugin.Graph) (json.RawMessage, tick) {
	t := tick{Status: g.Status, Networks: map[int]driver.Drops{}, Endpoints: map[int]driver.Drops{}}
	g.Time, g.Status = time.Time{}, plugin.Status{}
	g.Networks, g.Endpoints = slices.Clone(g.Networks), slices.Clone(g.Endpoints)
	for i := range g.Networks {
		if d := g.Networks[i].Dropped; d.Total() > 0 {
			t.Networks[i] = d
		}
		g.Networks[i].Dropped = nil
	}
	for i := range g.Endpoints {
		if d := g.Endpoints[i].Dropped; d.Total() > 0 {
			t.Endpoints[i] = d
		}
		g.Endpoints[i].Dropped, g.Endpoints[i].Traffic = nil, nil
	}
	text, err := json.Marshal(g)
	if err != nil {
		return json.RawMessage("null"), t
	}
	return text, t
}

// rates compares with the sample before, and keeps this one for the next.
func (s *sampler) rates(g plugin.Graph, now time.Time) [][3]uint64 {
	rates := [][3]uint64{}
	seconds := now.Sub(s.at).Seconds()
	passed := make(map[string]plugin.Passed, len(g.Endpoints))
	for i, e := range g.Endpoints {
		if e.Traffic == nil {
			continue
		}
		passed[e.ID] = *e.Traffic
		before, known := s.passed[e.ID]
		if !known {
			continue
		}
		sent, received := perSecond(before.SentBytes, e.Traffic.SentBytes, seconds), perSecond(before.ReceivedBytes, e.Traffic.ReceivedBytes, seconds)
		if sent > 0 || received > 0 {
			rates = append(rates, [3]uint64{uint64(i), sent, received}) //nolint:gosec // a place in a list
		}
	}
	s.passed, s.at = passed, now
	return rates
}

// perSecond is 0 where the counter is that of another link.
func perSecond(before, after uint64, seconds float64) uint64 {
	if after <= before || seconds <= 0 {
		return 0
	}
	return uint64(float64(after-before)/seconds + 0.5)
}

// follow gathers packets that are refused. What follows them may end, say with the daemon.
func (s *sampler) follow(ctx context.Context) {
	for ctx.Err() == nil {
		err := s.source.FollowDrops(ctx, func(p plugin.DroppedPacket) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.pending = latest(s.pending, []plugin.DroppedPacket{p})
			return nil
		})
		if err != nil && ctx.Err() == nil {
			s.log.WithError(err).Debug("the page does not hear of refused packets")
		}
		select {
		case <-ctx.Done():
		case <-time.After(s.every):
		}
	}
}

func (s *sampler) flush(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil || len(s.pending) == 0 {
		return
	}
	s.so.Packets = latest(s.so.Packets, s.pending)
	s.tell(message{Packets: s.pending})
	s.pending = nil
}

// latest adds to a list, of which the newest stay.
func latest[T any](list, more []T) []T {
	list = append(slices.Clone(list), more...)
	return list[max(0, len(list)-kept):]
}
