package hostport

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/gangway-net/gangway/driver/spec"
)

// Hold holds these ports for their container beside what it holds, and leads them where
// they say: what Reserve has bound, what it held before, and what it has lost or had
// before a restart. Each port is held for itself: the rules that lead to it are there, so
// one that is in the way of others helps nobody. It tells what it took, and why the rest
// is not held, or never gets what comes in, one line for each run of ports. An error is a
// relay that cannot be started.
func (m *Manager) Hold(ctx context.Context, p spec.HostPorts) (held, unheld []string, err error) {
	taken, failures, err := m.hold(ctx, p)
	for i := range failures {
		if c := (*ConflictError)(nil); errors.As(failures[i].err, &c) && c.Owner == "" {
			c.Process = findHolder(ctx, c.key())
			break // the search is slow, and one process seldom holds one port alone
		}
	}
	return lines(taken, nil), lines(keysOf(failures), failures), err
}

// failure is a port that cannot be held.
type failure struct {
	key
	err error
}

func keysOf(failures []failure) (keys []key) {
	for _, f := range failures {
		keys = append(keys, f.key)
	}
	return keys
}

func (m *Manager) hold(ctx context.Context, p spec.HostPorts) (taken []key, failures []failure, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, nil, nil
	}
	for s := range m.book.owners[p.Sandbox] {
		if s.lost {
			m.drop(s)
		}
	}
	defer m.relays.serve()
	want := coverOf(p.Runs)
	missing, taken, err := m.lead(p.Sandbox, want, false)
	if missing {
		failures = m.bindMissing(ctx, p)
		_, more, leadErr := m.lead(p.Sandbox, want, true)
		taken, err = append(taken, more...), errors.Join(err, leadErr)
	}
	return taken, append(failures, m.unwatched(p.Sandbox)...), err
}

// lead leads the ports where they say, and says whether some have no socket. It returns
// those that led elsewhere or nowhere before, but for those that were reserved, unless it
// is Hold that has bound them (bound).
func (m *Manager) lead(owner string, want cover, bound bool) (missing bool, taken []key, err error) {
	n := 0
	for _, r := range want {
		n += r.Len()
	}
	for s := range m.book.owners[owner] {
		t, ok := want.target(s.key)
		if !ok {
			continue
		}
		n--
		reserved := s.claim != nil && s.target == target{}
		s.claim = nil
		if s.target == t {
			continue
		}
		if leadErr := s.lead(m.relays, t); leadErr != nil {
			err = errors.Join(err, leadErr)
		} else if bound || !reserved {
			taken = append(taken, s.key)
		}
	}
	return n > 0, taken, err
}

// bound says whether there is a socket for each of the ports. A port on every address of
// IPv6 is not missed where the host has none (six): nobody could ask for it.
func (m *Manager) bound(owner string, want cover, six bool) bool {
	missable := func(ip netip.Addr) bool { return six || !ip.Is6() || !ip.IsUnspecified() }
	n := 0
	for _, r := range want {
		if missable(r.HostIP) {
			n += r.Len()
		}
	}
	for s := range m.book.owners[owner] {
		if _, ok := want.target(s.key); ok && missable(s.ip) {
			n--
		}
	}
	return n == 0
}

// bindMissing binds those of the ports that are not, as far as they are free.
func (m *Manager) bindMissing(ctx context.Context, p spec.HostPorts) (failures []failure) {
	r := newReservation(m, p.Sandbox)
	defer r.closeAhead()
	probe := ipv6Probe{}
	var reqs []request
	for _, q := range fixedRequests(p.Runs) {
		err := q.serve(&probe)
		if err == nil {
			reqs = append(reqs, q)
			continue
		}
		for _, e := range q.ends {
			if !e.ip.Is6() || !e.ip.IsUnspecified() || probe.present() { // see bound
				failures = append(failures, failure{key{e.ip, q.first, q.proto}, err})
			}
		}
	}
	r.openAhead(reqs)
	for i := range reqs {
		failures = append(failures, r.placeEach(ctx, &reqs[i])...)
	}
	return failures
}

// placeEach finds a port for q at all of its host addresses, or at those where it is
// free.
func (r *reservation) placeEach(ctx context.Context, q *request) (failures []failure) {
	if ctx.Err() == nil && r.place(q) == nil {
		return nil
	}
	for _, e := range q.ends {
		one := request{proto: q.proto, first: q.first, last: q.last, ends: []end{e}}
		err := ctx.Err()
		if err == nil {
			err = r.place(&one)
		}
		if err != nil {
			failures = append(failures, failure{key{e.ip, q.first, q.proto}, err})
		}
	}
	return failures
}

// unwatched are the ports whose relays the kernel does not wake.
func (m *Manager) unwatched(owner string) (failures []failure) {
	if m.relays.poll == nil || !m.relays.poll.refuses() {
		return nil
	}
	for s := range m.book.owners[owner] {
		if s.relay != nil {
			failures = append(failures, failure{s.key, errUnwatched})
		}
	}
	return failures
}

var errUnwatched = errors.New("the kernel watches no more descriptors for its relay: raise fs.epoll.max_user_watches")

// lines describes ports, runs of them in one line, with the reason of the first.
func lines(keys []key, failures []failure) (out []string) {
	why := map[key]error{}
	for _, f := range failures {
		why[f.key] = f.err
	}
	runs := make([]spec.Published, 0, len(keys))
	for _, k := range keys {
		// All lead to one port, so that nothing but the host ports tells runs apart.
		runs = append(runs, spec.Published{Proto: k.proto, HostIP: k.ip, First: k.port, Last: k.port, ContainerIP: k.ip, ContainerFirst: k.port})
	}
	for _, run := range spec.Coalesce(runs) {
		first := key{run.HostIP, run.First, run.Proto}
		line := "published port " + first.String()
		if run.Len() > 1 {
			line += fmt.Sprintf("-%d", run.Last)
		}
		if err := why[first]; err != nil {
			line += " is not held: " + err.Error()
		}
		out = append(out, line)
	}
	return out
}

// Lacking returns the containers that do not hold exactly what they are to have, with
// its relays, and those that hold something and are to have nothing.
func (m *Manager) Lacking(want []spec.HostPorts) (sandboxes []string) {
	six := m.IPv6()
	known := make(map[string]bool, len(want))
	for _, p := range want {
		known[p.Sandbox] = true
		if !m.holds(p, six) {
			sandboxes = append(sandboxes, p.Sandbox)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for owner := range m.book.owners {
		if !known[owner] {
			sandboxes = append(sandboxes, owner)
		}
	}
	slices.Sort(sandboxes)
	return sandboxes
}

func (m *Manager) holds(p spec.HostPorts, six bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	want := coverOf(p.Runs)
	for s := range m.book.owners[p.Sandbox] {
		t, ok := want.target(s.key)
		if !ok || s.lost || s.target != t || !m.relays.serves(s) {
			return false
		}
	}
	return m.bound(p.Sandbox, want, six)
}

// serves says whether the relay that a socket needs is there, and asked of all that
// comes in.
func (r *relays) serves(s *socket) bool {
	if s.twin != nil && s.ip.Is4() {
		s = s.twin
	}
	if s.needs(s.target) == nothing {
		return true
	}
	return s.relay != nil && !r.poll.refuses()
}

// IPv6 says whether the host has IPv6 at present.
func (m *Manager) IPv6() bool { return (&ipv6Probe{}).present() }
