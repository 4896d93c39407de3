package driver

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
)

// PortDrops tells what the filters of containers' ports have dropped. Package link is
// the real one.
type PortDrops interface {
	// PortDrops returns the number of frames by endpoint, since its filter was set.
	PortDrops(ctx context.Context) (map[string]uint64, error)
}

const (
	// dropsEvery is how often CountDrops looks, and the shortest time between two events.
	dropsEvery = time.Minute
	// dropsFresh is how long what was read last is good enough for who asks; longer where
	// reading takes long.
	dropsFresh = time.Second
	dropsShare = 20
	// dropsTime bounds one look.
	dropsTime = 5 * time.Second
)

// drops is what is known of refused packets. No lock of the driver's is held while the
// kernel is asked.
type drops struct {
	// reading is held by whoever asks the kernel, and guards next.
	reading sync.Mutex
	next    time.Time
	// mu guards the fields below. It may be taken under the state's, not the other
	// way round.
	mu    sync.Mutex
	tally tally
	told  time.Time
	// failed has for each source how often in a row it did not answer, and why.
	failed map[dropSource]failure
}

// failure is that of asking again and again.
type failure struct {
	times int
	last  error
}

// certainFailures is how often in a row a source does not answer until it is told of: a lock
// of iptables may be held by another program for a while.
const certainFailures = 3

// failing says why refused packets are not counted; empty if they are.
func (d *drops) failing() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, from := range []dropSource{fromRules, fromPorts} {
		if f := d.failed[from]; f.times >= certainFailures {
			return "refused packets are not counted: " + f.last.Error()
		}
	}
	return ""
}

// heard notes whether a source has answered.
func (d *drops) heard(from dropSource, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		delete(d.failed, from)
		return
	}
	if d.failed == nil {
		d.failed = map[dropSource]failure{}
	}
	d.failed[from] = failure{d.failed[from].times + 1, err}
}

// CountDrops looks from time to time what was refused, and tells of it, until ctx ends.
func (d *Driver) CountDrops(ctx context.Context) {
	for {
		d.countDrops(ctx)
		select {
		case <-time.After(dropsEvery):
		case <-ctx.Done():
			return
		}
	}
}

// countDrops brings what is known of refused packets up to date. Who comes while
// somebody else is asking the kernel, or shortly after, goes by what was known before.
func (d *Driver) countDrops(ctx context.Context) {
	if !d.drops.reading.TryLock() {
		return
	}
	defer d.drops.reading.Unlock()
	start := time.Now()
	if start.Before(d.drops.next) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, dropsTime)
	defer cancel()
	defer d.asked.ask("count refused packets")()
	if d.o.Refused != nil {
		refused, err := d.o.Refused.Refused(ctx)
		d.takeDrops(fromRules, err, func(s *model.State) []reading { return readRefused(s, refused) })
	}
	if d.o.PortDrops != nil {
		dropped, err := d.o.PortDrops.PortDrops(ctx)
		d.takeDrops(fromPorts, err, func(s *model.State) []reading { return readPorts(s, dropped) })
	}
	d.tellDrops()
	end := time.Now()
	d.drops.next = end.Add(max(dropsFresh, dropsShare*end.Sub(start)))
}

// takeDrops adds what a source has answered.
func (d *Driver) takeDrops(from dropSource, err error, read func(*model.State) []reading) {
	d.drops.heard(from, err)
	if err != nil {
		d.o.Log.WithError(err).Debug("count dropped packets")
		return
	}
	s, unlock := d.desired.Read()
	defer unlock()
	d.drops.mu.Lock()
	defer d.drops.mu.Unlock()
	d.drops.tally.take(from, read(s))
	d.drops.tally.keep(s)
}

// tellDrops makes an event of what came since the last one, if that is long enough ago.
func (d *Driver) tellDrops() {
	if text := d.drops.tell(); text != "" {
		d.o.Log.Info(text)
		d.journal.Add(events.Dropped, text, "")
	}
}

func (p *drops) tell() (text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.told) < dropsEvery {
		return ""
	}
	if text = p.tally.tell(); text != "" {
		p.told = time.Now()
	}
	return text
}

// readRefused says for whom the rules have counted. An address may be nobody's, and a
// bridge that of a network that is about to be made.
func readRefused(s *model.State, list []firewall.Refusal) []reading {
	all := make([]reading, 0, len(list))
	for _, r := range list {
		p := dropPlace{reason: r.Reason}
		if n := s.Bridges[r.Bridge]; n != nil {
			p.network = n.ID
		}
		// Of a claimed address nobody knows who did it.
		if e := s.Holders[r.Addr]; e != nil && e.NetworkID == p.network && r.Reason != firewall.Spoofed {
			p.endpoint = e.ID
		}
		p.by = entryOf(s, p.network, p.endpoint, r.Option)
		all = append(all, reading{r.Counter, p, r.Packets, r.Overruled})
	}
	return all
}

// readPorts says for whom the filters have counted.
func readPorts(s *model.State, dropped map[string]uint64) []reading {
	all := make([]reading, 0, len(dropped))
	for id, packets := range dropped {
		p := dropPlace{reason: firewall.Spoofed}
		if e := s.Endpoints[id]; e != nil {
			p.network, p.endpoint = e.NetworkID, id
		}
		all = append(all, reading{counter: id, place: p, packets: packets})
	}
	return all
}

// all returns the packets that were dropped, wherever.
func (d *drops) all() Drops {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.tally.total)
}

// network and endpoint return those of one; nil for none.
func (d *drops) network(id string) Drops {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.tally.networks[id])
}

func (d *drops) endpoint(id string) Drops {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.tally.endpoints[id])
}
