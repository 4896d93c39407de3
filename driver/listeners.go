package driver

import (
	"context"
	"fmt"
	"time"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
)

// minHigh is how few ports for what goes out are told of.
const minHigh = 1024

// learnListening asks on which ports the host listens. That nobody tells is no reason to
// mend nothing: it is a condition (see highConditions).
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

// highConditions tells of few ports that are left for what goes out. The caller has the
// state from Read.
func (d *Driver) highConditions(s *model.State) (all []condition) {
	if len(s.Networks) == 0 {
		return nil
	}
	ports, problem := d.facts.SourcePorts(s)
	if problem != "" {
		all = append(all, condition{text: fmt.Sprintf("on which ports from %d on the host listens is not known: %s; what a container sends out may get such a port as its source, and take what comes to it", firewall.FirstHighPort, problem)})
	}
	for _, r := range ports {
		switch {
		case r.None:
			all = append(all, condition{text: fmt.Sprintf("each %s port from %d on is published, or the host listens on it: what a container sends out gets such a port as its source, and may take what comes to it; publish fewer ports there", r.Proto, firewall.FirstHighPort)})
		case r.Len() < minHigh:
			all = append(all, condition{text: fmt.Sprintf("only %d %s source ports (%d-%d) are left for what containers send out, and so many flows to one address and port: the others from %d on lie between ports that are published or that the host listens on; publish fewer there", r.Len(), r.Proto, r.First, r.Last, firewall.FirstHighPort)})
		}
	}
	return all
}
