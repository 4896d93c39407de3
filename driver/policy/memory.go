package policy

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gangway-net/gangway/config"
)

// Who is for whom an address is opened: a container, by its address, or all who have a
// policy.
type Who struct {
	Addr   netip.Addr
	Policy config.Policy
}

// Learned is an address that somebody may reach for a time, since an allowed name has it.
type Learned struct {
	Who
	Name  string
	To    netip.Addr
	Ports config.Ports
	Until time.Time
}

// Bounds of what is remembered. A container that asks for many names pushes out its own
// addresses only; where all have too many, it is who has most of them.
const (
	mostOfOne = 512
	mostOfAll = 1 << 16
	// RecallTime is how long flows are believed to have begun by a name after it was learned.
	RecallTime = 24 * time.Hour
)

// Memory is what was learned of names. Its cost is bounded. The zero value has nothing.
type Memory struct {
	all   map[Who]map[opening]term
	total int
}

type opening struct {
	to    netip.Addr
	ports config.Ports
}

// term is for how long; recall is until when flows are believed to have begun by it.
type term struct {
	name          string
	until, recall time.Time
}

func (o opening) learned(who Who, t term) Learned {
	return Learned{Who: who, Name: t.name, To: o.to, Ports: o.ports, Until: t.until}
}

// Change is what the kernel needs for what was learned: in Gone and Fresh what is opened, in
// Recall what flows may have begun by.
type Change struct{ Gone, Fresh, Recall []Learned }

// Empty says that there is nothing to do.
func (c Change) Empty() bool { return len(c.Gone)+len(c.Fresh)+len(c.Recall) == 0 }

// Learn takes what was learned. What is open for as long already changes nothing.
func (m *Memory) Learn(list []Learned, now time.Time) (c Change) {
	if m.all == nil {
		m.all = map[Who]map[opening]term{}
	}
	for _, l := range list {
		o := opening{l.To, l.Ports}
		was, known := m.all[l.Who][o]
		if known && !was.until.Before(l.Until) {
			continue
		}
		if !known {
			c.Gone = append(c.Gone, m.room(l.Who)...)
		}
		next := term{l.Name, l.Until, was.recall}
		if was.recall.Before(now.Add(RecallTime / 2)) {
			next.recall = now.Add(RecallTime)
			c.Recall = append(c.Recall, Learned{Who: l.Who, Name: l.Name, To: l.To, Ports: l.Ports, Until: next.recall})
		}
		if m.all[l.Who] == nil {
			m.all[l.Who] = map[opening]term{}
		}
		if !known {
			m.total++
		}
		m.all[l.Who][o] = next
		c.Fresh = append(c.Fresh, o.learned(l.Who, next))
	}
	return c
}

// room makes place for one more of somebody's.
func (m *Memory) room(who Who) (gone []Learned) {
	if len(m.all[who]) >= mostOfOne {
		return m.forget(who)
	}
	if m.total < mostOfAll {
		return nil
	}
	most := who
	for w, of := range m.all {
		if len(of) > len(m.all[most]) {
			most = w
		}
	}
	return m.forget(most)
}

// forget takes away the one of somebody's that ends first.
func (m *Memory) forget(who Who) []Learned {
	var first opening
	found := false
	for o, t := range m.all[who] {
		if !found || t.until.Before(m.all[who][first].until) {
			first, found = o, true
		}
	}
	if !found {
		return nil
	}
	l := first.learned(who, m.all[who][first])
	m.drop(who, first)
	return []Learned{l}
}

func (m *Memory) drop(who Who, o opening) {
	if _, there := m.all[who][o]; there {
		m.total--
	}
	if delete(m.all[who], o); len(m.all[who]) == 0 {
		delete(m.all, who)
	}
}

// Keep forgets what is not kept any more, and returns it, with what has ended.
func (m *Memory) Keep(kept func(Learned) bool, now time.Time) (gone []Learned) {
	for who, of := range m.all {
		for o, t := range of {
			l := o.learned(who, t)
			if now.After(t.until) && now.After(t.recall) || !kept(l) {
				gone = append(gone, l)
				m.drop(who, o)
			}
		}
	}
	return gone
}

// Recall takes what was in the kernel before: open until then, and believed until recall.
func (m *Memory) Recall(l Learned, recall time.Time) {
	if m.all == nil {
		m.all = map[Who]map[opening]term{}
	}
	if m.all[l.Who] == nil {
		m.all[l.Who] = map[opening]term{}
	}
	o := opening{l.To, l.Ports}
	was, known := m.all[l.Who][o]
	if !known {
		m.total++
	}
	t := term{cmp.Or(l.Name, was.name), was.until, was.recall}
	if l.Until.After(t.until) {
		t.until = l.Until
	}
	if recall.After(t.recall) {
		t.recall = recall
	}
	m.all[l.Who][o] = t
}

// Open are all that are open, sorted, and Recalled those that flows may have begun by, with
// the end of that.
func (m *Memory) Open(now time.Time) (all []Learned) {
	return m.list(func(t term) time.Time { return t.until }, now)
}

// Recalled is explained with Open.
func (m *Memory) Recalled(now time.Time) []Learned {
	return m.list(func(t term) time.Time { return t.recall }, now)
}

// OpenTo are those that are open for some, in the order of these.
func (m *Memory) OpenTo(some []Who, now time.Time) (all []Learned) {
	for _, who := range some {
		for o, t := range m.all[who] {
			if t.until.After(now) {
				all = append(all, o.learned(who, t))
			}
		}
	}
	return all
}

func (m *Memory) list(end func(term) time.Time, now time.Time) (all []Learned) {
	for who, of := range m.all {
		for o, t := range of {
			if end(t).After(now) {
				l := o.learned(who, t)
				l.Until = end(t)
				all = append(all, l)
			}
		}
	}
	slices.SortFunc(all, func(a, b Learned) int {
		return cmp.Or(a.Addr.Compare(b.Addr), strings.Compare(a.Policy.Allow, b.Policy.Allow), a.To.Compare(b.To), cmp.Compare(a.Ports.First, b.Ports.First))
	})
	return all
}

// Has says whether it was learned, whenever it ends.
func (m *Memory) Has(l Learned) bool {
	_, there := m.all[l.Who][opening{l.To, l.Ports}]
	return there
}

// Names are those by which somebody has learned of an address, with what has ended.
func (m *Memory) Names(who Who, to netip.Addr) (names []string) {
	for o, t := range m.all[who] {
		if o.to == to && !slices.Contains(names, t.name) {
			names = append(names, t.name)
		}
	}
	return names
}
