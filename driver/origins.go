package driver

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
)

// originTime bounds how long a relay believes what the kernel said of a link, and
// askTime how long the kernel may take for it. What the state says of the link's
// network counts at once.
const (
	originTime = 5 * time.Second
	askTime    = time.Second
)

// origins remembers of links what relays were told: with a client a packet, the
// kernel would be asked for each.
type origins struct {
	mu   sync.Mutex
	seen map[int]origin
}

// origin is what is known of a link: whether its clients may use relays, and the
// network whose bridge it is.
type origin struct {
	open, loopback bool
	network        *model.Network
	until          time.Time
}

// forget is for a network that came or went.
func (o *origins) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = nil
}

func (o *origins) get(link int) (origin, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	known, ok := o.seen[link]
	return known, ok && time.Now().Before(known.until)
}

// Admits says whether what came in by a link may go on through a relay to a
// container: not from an internal network, out of which nothing leads, and not from
// what seems to be gangway's, but of which network is not known. What was sent to
// many has reached those of the container's own network without a relay. To a container a relay
// is the host, whoever its client is: where a policy says who may come, only the host itself may.
func (d *Driver) Admits(link int, to netip.Addr, group bool) bool {
	known, ok := d.origins.get(link)
	if !ok {
		known = d.askOrigin(link)
	}
	near := known.network != nil && known.network.Contains(to)
	return known.open && (!group || !near) && (known.loopback || near || d.forEverybody(to))
}

func (d *Driver) askOrigin(link int) origin {
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	seen, err := d.o.Origins.Origin(ctx, link)
	if err != nil {
		d.o.Log.WithError(err).Debugf("a relay refuses what comes in by link %d", link)
		return origin{}
	}
	s, unlock := d.desired.Read()
	defer unlock()
	o := originOf(s, seen)
	o.until = time.Now().Add(originTime)
	// With the state held no network comes or goes before this is known.
	d.origins.mu.Lock()
	defer d.origins.mu.Unlock()
	if d.origins.seen == nil || len(d.origins.seen) > maxOrigins {
		d.origins.seen = map[int]origin{}
	}
	d.origins.seen[link] = o
	return o
}

// maxOrigins is how many links are remembered: more than a host has at a time.
const maxOrigins = 4096

// originOf judges a link. Its name is asked last: whoever may name links could call one
// as a network's bridge is called, but an internal network's is known otherwise too.
func originOf(s *model.State, l spec.Origin) origin {
	n := s.Networks[l.Owner]
	if n == nil {
		n = s.Bridges[l.Name]
	}
	switch {
	case l.Loopback:
		return origin{open: true, loopback: true}
	case n != nil:
		return origin{open: !n.Unrouted() || n.Moved(), network: n}
	}
	return origin{open: l.Owner == "" && !l.Marked}
}

// Leaves says by which address of the host a container's connection leaves, which the daemon
// passes on from a network's bridge by a link; invalid for that of the link. It refuses what rules
// would not let pass: only what leads outside, out of no internal network.
func (d *Driver) Leaves(bridge, link string, six bool) (source netip.Addr, err error) {
	s, unlock := d.desired.Read()
	defer unlock()
	n := s.Bridges[bridge]
	switch {
	case n == nil:
		return source, fmt.Errorf("%s is the bridge of no network", bridge)
	case n.Unrouted() || n.Options.Mode(six) == config.Isolated:
		return source, fmt.Errorf("nothing leaves network %s", model.Short(n.ID))
	case s.Bridges[link] != nil || !d.facts.Outside(link):
		return source, fmt.Errorf("link %s does not lead outside", link)
	}
	return plan.SourceAddress(n, six), nil
}
