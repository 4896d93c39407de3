package driver

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"time"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
)

// A UDP socket that waits for anybody may be a service's, or that of a client which asks
// one question and is gone. So it counts once it was there at listenLooks checks in a row,
// over listenTime; at the first check of all each does, since a service may have been there
// for long.
const (
	listenLooks = 3
	listenTime  = 5 * time.Second
	// forgetTime is how long a port that counts may be without a socket: a service that
	// starts again is no reason to change rules.
	forgetTime = time.Minute
)

// minHigh is how few ports for what goes out are told of.
const minHigh = 1024

// listeners are the high ports on which the host itself listens.
type listeners struct {
	// seen are those of the last looks.
	seen map[spec.Listener]sighting
	// sets are those that count, by protocol. They never change, they are replaced.
	sets map[spec.Protocol]*model.PortSet
	// fresh are UDP ports that have come to count and whose flows are not dropped yet.
	fresh []uint16
	// problem is why they are not known.
	problem string
}

// sighting is what the looks have shown of a port.
type sighting struct {
	first, last time.Time
	looks       int
	counts      bool
}

// stays says whether it is no client's for a moment.
func (s sighting) stays(now time.Time) bool {
	return s.looks >= listenLooks && now.Sub(s.first) >= listenTime
}

// look takes over what there is at some moment.
func (l *listeners) look(found map[spec.Listener]bool, now time.Time) {
	start := l.seen == nil
	if start {
		l.seen = map[spec.Listener]sighting{}
	}
	changed := false
	for p := range found {
		s, known := l.seen[p]
		if !known {
			s.first = now
		}
		s.last = now
		s.looks++
		if !s.counts && (start || p.Proto != spec.UDP || s.stays(now)) {
			s.counts, changed = true, true
			if p.Proto == spec.UDP {
				l.fresh = append(l.fresh, p.Port)
			}
		}
		l.seen[p] = s
	}
	for p, s := range l.seen {
		if !found[p] && (!s.counts || now.Sub(s.last) >= forgetTime) {
			delete(l.seen, p)
			changed = changed || s.counts
		}
	}
	if changed {
		l.count()
	}
}

// count makes the sets anew.
func (l *listeners) count() {
	l.sets = map[spec.Protocol]*model.PortSet{}
	for p, s := range l.seen {
		if !s.counts {
			continue
		}
		if l.sets[p.Proto] == nil {
			l.sets[p.Proto] = new(model.PortSet)
		}
		l.sets[p.Proto].Add(p.Port)
	}
}

// learnListening asks on which ports the host listens. That nobody tells is no reason to
// mend nothing: it is a condition (see highConditions).
func (r *repair) learnListening(ctx context.Context) {
	s, unlock := r.desired.Read()
	published := s.High.Spans()
	unlock()
	found, err := r.o.Facts.Listening(ctx, firewall.FirstHighPort, published)
	s, unlock = r.desired.Read()
	defer unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.listeners.problem = err.Error()
		return
	}
	r.listeners.problem = ""
	maps.DeleteFunc(found, func(p spec.Listener, _ bool) bool { return s.High.Has(p) })
	r.listeners.look(found, time.Now())
}

// dropListened has the flows dropped that were given a port before the host listened on
// it. The rules give it to nobody by now.
func (d *Driver) dropListened() {
	d.mu.Lock()
	ports := d.listeners.fresh
	d.listeners.fresh = nil
	d.mu.Unlock()
	var runs []spec.Published
	for _, port := range ports {
		for _, all := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
			runs = append(runs, spec.Published{Proto: spec.UDP, HostIP: all, First: port, Last: port})
		}
	}
	d.flows.Soon(nil, runs)
}

// highConditions tells of few ports that are left for what goes out. The caller has the
// state from Read.
func (d *Driver) highConditions(s *model.State) (all []condition) {
	if len(s.Networks) == 0 {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.listeners.problem != "" {
		all = append(all, condition{text: fmt.Sprintf("on which ports from %d on the host listens is not known: %s; what a container sends out may get such a port as its source, and take what comes to it", firewall.FirstHighPort, d.listeners.problem)})
	}
	for _, r := range d.ranges(s) {
		switch {
		case r.None:
			all = append(all, condition{text: fmt.Sprintf("each %s port from %d on is published, or the host listens on it: what a container sends out gets such a port as its source, and may take what comes to it; publish fewer ports there", r.Proto, firewall.FirstHighPort)})
		case r.Len() < minHigh:
			all = append(all, condition{text: fmt.Sprintf("only %d %s source ports (%d-%d) are left for what containers send out, and so many flows to one address and port: the others from %d on lie between ports that are published or that the host listens on; publish fewer there", r.Len(), r.Proto, r.First, r.Last, firewall.FirstHighPort)})
		}
	}
	return all
}

// ranges are the ports that what goes out may have by now. The caller has the state from
// Read, and holds mu.
func (d *Driver) ranges(s *model.State) []plan.SourcePorts {
	return plan.ChooseSourcePorts(d.facts.High, s.High, d.listeners.sets)
}
