package driver

import (
	"context"
	"time"

	"github.com/gangway-net/gangway/driver/firewall"
)

// learnListening asks on which ports the host listens. That nobody tells is no reason to
// mend nothing: it is a condition (see needs.OfSourcePorts).
func (r *repair) learnListening(ctx context.Context) {
	s, unlock := r.desired.Read()
	published := s.High.Spans()
	unlock()
	found, err := r.o.Facts.Listening(ctx, firewall.FirstHighPort, published)
	s, unlock = r.desired.Read()
	defer unlock()
	r.facts.Listens(s, found, err, time.Now())
}

// dropListened has the flows dropped that were given a port before the host listened on
// it. The rules give it to nobody by now.
func (d *Driver) dropListened() { d.flows.Soon(nil, d.facts.TakeFresh()) }
