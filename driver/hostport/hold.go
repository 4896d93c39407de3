package hostport

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/gangway-net/gangway/driver/spec"
)

// Hold is Reserve for what is published already, after a restart or a loss. Each
// port is held for itself: the rules that lead to it are there, so one that is in the
// way of others helps nobody. It tells what it took, and why the rest is not held or
// not relayed, one line for each run of ports.
func (m *Manager) Hold(ctx context.Context, owner string, want []spec.PortRequest) (held, unheld []string) {
	var reqs []request
	var failures []failure
	probe := ipv6Probe{}
	for i := range want {
		q, err := parseRequest(&want[i], &probe)
		if err == nil {
			reqs = append(reqs, q)
			continue
		}
		for _, ip := range want[i].HostIPs {
			if !ip.Is6() || !ip.IsUnspecified() || probe.present() { // see Lacking
				failures = append(failures, failure{key{ip, want[i].First, want[i].Proto}, err})
			}
		}
	}
	taken, busy := m.hold(ctx, owner, reqs)
	failures = append(failures, busy...)
	for i := range failures {
		if c := (*ConflictError)(nil); errors.As(failures[i].err, &c) && c.Owner == "" {
			c.Process = findHolder(ctx, c.key())
			break // the search is slow, and one process seldom holds one port alone
		}
	}
	return lines(taken, nil), lines(keysOf(failures), failures)
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

func (m *Manager) hold(ctx context.Context, owner string, reqs []request) (taken []key, failures []failure) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, nil
	}
	for s := range m.book.owners[owner] {
		if s.lost {
			m.drop(s)
		}
	}
	defer m.relays.serve()
	r := newReservation(m, owner)
	defer r.closeAhead()
	r.openAhead(reqs)
	for i := range reqs {
		failures = append(failures, r.placeEach(ctx, &reqs[i])...)
	}
	for _, s := range r.claims {
		before := s.target
		if err := s.lead(m.relays, s.claim); err != nil {
			failures = append(failures, failure{s.key, err})
		} else if before != s.claim {
			taken = append(taken, s.key)
		}
	}
	return taken, append(failures, m.unwatched(owner)...)
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

// Lacking returns the owners that do not hold exactly what they are to have, with
// its relays. A port on every address of IPv6 is not missed where the host has none:
// nobody could ask for it.
func (m *Manager) Lacking(want map[string][]spec.Published) (owners []string) {
	six := m.IPv6()
	for owner, runs := range want {
		if !m.holds(owner, runs, six) {
			owners = append(owners, owner)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for owner := range m.book.owners {
		if _, known := want[owner]; !known {
			owners = append(owners, owner)
		}
	}
	slices.Sort(owners)
	return owners
}

func (m *Manager) holds(owner string, runs []spec.Published, six bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	missable := func(k key) bool { return six || !k.ip.Is6() || !k.ip.IsUnspecified() }
	n := 0
	for _, r := range runs {
		if missable(key{ip: r.HostIP}) {
			n += r.Len()
		}
	}
	c := coverOf(runs)
	for s := range m.book.owners[owner] {
		t, ok := c.target(s.key)
		if !ok || s.lost || s.target != t || !m.relays.serves(s) {
			return false
		}
		if missable(s.key) {
			n--
		}
	}
	return n == 0
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
