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

// Learned is an address that somebody may reach for a time, since an allowed name has it. By is the
// policy by which a container's answer was judged; it is not remembered.
type Learned struct {
	Who
	By    config.Policy
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
	// mostNames of one address are remembered.
	mostNames = 32
	// nameGrace is how much longer a name has its address than rules let somebody begin: the
	// name is asked for when a connection has said it.
	nameGrace = 30 * time.Second
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
	// names are those by which it was learned, the last one first.
	names         []nameTerm
	until, recall time.Time
}

// nameTerm is one name, and until when the address is its.
type nameTerm struct {
	name  string
	until time.Time
}

// first is the name that was learned last.
func (t term) first() string {
	if len(t.names) == 0 {
		return ""
	}
	return t.names[0].name
}

// by is the term with one more name, or with a name for longer.
func (t term) by(name string, until time.Time) term {
	next := []nameTerm{{name, until}}
	for _, n := range t.names {
		switch {
		case n.name == name && n.until.After(until):
			next[0].until = n.until
		case n.name != name && len(next) < mostNames:
			next = append(next, n)
		}
	}
	t.names = next
	return t
}

func (o opening) learned(who Who, t term) Learned {
	return Learned{Who: who, Name: t.first(), To: o.to, Ports: o.ports, Until: t.until}
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
			m.all[l.Who][o] = was.by(l.Name, l.Until)
			continue
		}
		if !known {
			c.Gone = append(c.Gone, m.room(l.Who)...)
		}
		next := was.by(l.Name, l.Until)
		next.until = l.Until
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
	c.Fresh = lastOfEach(c.Fresh)
	return c
}

// lastOfEach leaves of what is for the same the last one: an answer may have an address twice.
func lastOfEach(list []Learned) (all []Learned) {
	type key struct {
		Who
		opening
	}
	place := map[key]int{}
	for _, l := range list {
		at := key{l.Who, opening{l.To, l.Ports}}
		if i, there := place[at]; there {
			all[i] = l
			continue
		}
		place[at] = len(all)
		all = append(all, l)
	}
	return all
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

// Move gives what one has learned to another, with all names, in the place of what that has of
// the same.
func (m *Memory) Move(from, to Who) {
	for o, t := range m.all[from] {
		m.drop(from, o)
		m.drop(to, o)
		if m.all[to] == nil {
			m.all[to] = map[opening]term{}
		}
		m.all[to][o] = t
		m.total++
	}
}

// Keep forgets what is not kept any more, and returns it, with what has ended.
func (m *Memory) Keep(kept func(Learned) bool, now time.Time) (gone []Learned) {
	for who, of := range m.all {
		for o, t := range of {
			l := o.learned(who, t)
			names := slices.DeleteFunc(slices.Clone(t.names), func(n nameTerm) bool {
				of := l
				of.Name = n.name
				return !kept(of)
			})
			if now.After(t.until) && now.After(t.recall) || len(names) == 0 {
				gone = append(gone, l)
				m.drop(who, o)
				continue
			}
			t.names = names
			of[o] = t
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
	t := was.by(cmp.Or(l.Name, was.first()), l.Until)
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
		if o.to != to {
			continue
		}
		for _, n := range t.names {
			if !slices.Contains(names, n.name) {
				names = append(names, n.name)
			}
		}
	}
	return names
}

// Knows says that somebody has learned of an address by that very name, and may begin a
// connection there, or could a moment ago.
func (m *Memory) Knows(who Who, to netip.Addr, name string, now time.Time) bool {
	for o, t := range m.all[who] {
		if o.to == to && slices.ContainsFunc(t.names, func(n nameTerm) bool { return n.name == name && n.until.Add(nameGrace).After(now) }) {
			return true
		}
	}
	return false
}
