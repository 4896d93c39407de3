package driver

import (
	"slices"
	"time"

	"github.com/gangway-net/gangway/driver/firewall"
)

const (
	// overruleTime is how long a packet that was refused is kept back: the rules tell of it
	// before those in DOCKER-USER are asked, and of what these accept after all right behind.
	// A log at the drop itself was the alternative, but iptables, who drop there, do not know
	// why; a look at each packet that passes would tell them.
	overruleTime = 250 * time.Millisecond
	// overruledTime is how long others of a flow are taken for overruled, too: of many packets the
	// kernel tells of some only, and not always of the same ones both times.
	overruledTime = 2 * time.Second
	// mostHeld bounds what is kept back.
	mostHeld = 1024
)

// heldPackets are packets that were refused, of which it may be told yet that they were
// accepted after all.
type heldPackets struct {
	held []heldPacket
	// overruled is until when packets of a flow count as accepted.
	overruled map[firewall.Refused]time.Time
}

type heldPacket struct {
	firewall.Refused
	until time.Time
}

// flowOf is what packets of one flow have in common.
func flowOf(r firewall.Refused) firewall.Refused {
	r.Time, r.Lost, r.Overruled = time.Time{}, 0, false
	return r
}

// take keeps a packet back, and returns what there is no place for. They stay in their order,
// those among them that nobody can accept.
func (h *heldPackets) take(r firewall.Refused, now time.Time) (tell []firewall.Refused) {
	flow := flowOf(r)
	switch {
	case r.Overruled:
		if h.overruled == nil || len(h.overruled) >= mostHeld {
			h.overruled = map[firewall.Refused]time.Time{}
		}
		h.overruled[flow] = now.Add(overruledTime)
		h.held = slices.DeleteFunc(h.held, func(p heldPacket) bool { return flowOf(p.Refused) == flow })
		return nil
	case now.Before(h.overruled[flow]):
		return nil
	}
	h.held = append(h.held, heldPacket{r, now.Add(overruleTime)})
	if len(h.held) > mostHeld {
		tell = append(tell, h.held[0].Refused)
		h.held = h.held[1:]
	}
	return tell
}

// ripe returns what nobody has accepted in time.
func (h *heldPackets) ripe(now time.Time) (tell []firewall.Refused) {
	for len(h.held) > 0 && !h.held[0].until.After(now) {
		tell = append(tell, h.held[0].Refused)
		h.held = h.held[1:]
	}
	return tell
}

// next is when the first packet is ripe; nil for never.
func (h *heldPackets) next() <-chan time.Time {
	if len(h.held) == 0 {
		return nil
	}
	return time.After(time.Until(h.held[0].until))
}

// heard is what a log says next.
type heard struct {
	packet firewall.Refused
	err    error
}

// spread tells the lookers of each packet, until the log is closed.
func (d *Driver) spread(log DropLog) {
	from := make(chan heard)
	go func() {
		for {
			r, err := log.Next()
			from <- heard{r, err}
			if err != nil {
				return
			}
		}
	}()
	var h heldPackets
	for {
		select {
		case one := <-from:
			if !d.hear(log, &h, one) {
				return
			}
		case <-h.next():
			// What the kernel has told meanwhile comes first: on a busy host it may wait for long.
			now := time.Now()
			if !d.catchUp(log, &h, from) {
				return
			}
			d.tellLookers(h.ripe(now))
		}
	}
}

// hear takes what a log says, and says whether it goes on.
func (d *Driver) hear(log DropLog, h *heldPackets, one heard) bool {
	if one.err != nil {
		d.endLog(log, one.err)
		return false
	}
	d.tellLookers(h.take(one.packet, time.Now()))
	return true
}

func (d *Driver) catchUp(log DropLog, h *heldPackets, from <-chan heard) bool {
	for {
		select {
		case one := <-from:
			if !d.hear(log, h, one) {
				return false
			}
		default:
			return true
		}
	}
}

// tellLookers tells of packets with whose they are.
func (d *Driver) tellLookers(list []firewall.Refused) {
	for _, r := range list {
		s, read := d.desired.Read()
		p := packet(s, r)
		read()
		p.To.Names = d.namesRefused(p)
		d.lookers.mu.Lock()
		for l := range d.lookers.queues {
			l.tell(p)
		}
		d.lookers.mu.Unlock()
	}
}

// endLog tells the lookers that a log has ended by itself, or was closed.
func (d *Driver) endLog(log DropLog, why error) {
	d.lookers.mu.Lock()
	defer d.lookers.mu.Unlock()
	d.lookers.over = log
	for l := range d.lookers.queues {
		select {
		case l.ended <- why:
		default:
		}
	}
}
