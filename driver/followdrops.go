package driver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/lock"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/undo"
)

// DropLog hears of refused packets while the rules log them. Package nflog has the real one.
type DropLog interface {
	// Next waits for a packet. It fails when the log is closed.
	Next() (firewall.Refused, error)
	Close()
}

// DroppedPacket is one packet that was refused.
type DroppedPacket struct {
	Time   time.Time
	Reason firewall.Reason
	// Protocol is a name, such as tcp, or a number.
	Protocol string
	From, To Party
	// Name is the one that was asked for, of a question for a name.
	Name string
	// Answer is what the name has, where the question was answered nevertheless.
	Answer *firewall.Answer
	// By is the entry of a policy that has refused it, where the reason is one.
	By PolicyEntry
	// Lost is how many packets before this one nobody was told of.
	Lost uint64
}

// Party is who has sent a packet or was to get it, as far as that is known.
type Party struct {
	Addr netip.Addr `json:"address,omitzero"`
	Port uint16     `json:"port,omitempty"`
	// Interface is the link of the host that the packet came by, or was to leave by.
	Interface  string `json:"interface,omitempty"`
	NetworkID  string `json:"network,omitempty"`
	EndpointID string `json:"endpoint,omitempty"`
	// Names are those by which the other one has learned of the address.
	Names []string `json:"names,omitempty"`
}

const (
	// mostLookers is how many can look at a time, and lookerQueue how many packets wait
	// for each. What comes beyond that it is not told, but how many.
	mostLookers = 16
	lookerQueue = 256
)

// lookers are who looks at refused packets. That there are some is a fact that the rules
// follow: they log for them.
type lookers struct {
	// switching lets one at a time turn the log on or off; it comes before the rules' lock.
	switching *lock.Lock
	// log is what is open; switching guards it.
	log DropLog
	// mu guards queues, what is left in them, and over, a log that ended.
	mu     sync.Mutex
	queues map[*looker]bool
	over   DropLog
}

// looker is one of them.
type looker struct {
	packets chan DroppedPacket
	// lost is how many were left out since the last one; the mutex of lookers guards it.
	lost uint64
	// ended gets the error of a log that ended by itself.
	ended chan error
}

// FollowDrops hands refused packets to take until ctx ends, which is no error, or take fails.
// It calls started when the kernel tells of them.
func (d *Driver) FollowDrops(ctx context.Context, started func() error, take func(DroppedPacket) error) error {
	l := &looker{packets: make(chan DroppedPacket, lookerQueue), ended: make(chan error, 1)}
	if err := d.look(ctx, l); err != nil {
		return fmt.Errorf("follow refused packets: %w", err)
	}
	defer d.lookAway(ctx, l)
	if err := started(); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-l.ended:
			return fmt.Errorf("follow refused packets: %w", err)
		case p := <-l.packets:
			if err := take(p); err != nil {
				return err
			}
		}
	}
}

// any says whether somebody looks.
func (l *lookers) any() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queues) > 0
}

// look has the rules log, if they do not, and a looker told.
func (d *Driver) look(ctx context.Context, l *looker) error {
	if d.o.DropLog == nil {
		return errors.New("this daemon cannot hear of them")
	}
	unlock, err := d.lookers.switching.Take(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err = d.openLog(); err != nil {
		return err
	}
	if err = d.addLooker(l); err == nil {
		err = d.rules.Change(ctx, firewall.Delta{})
	}
	if err != nil {
		d.removeLooker(l)
		d.closeLog()
	}
	return err
}

// openLog opens the log, if none is open that goes on. The caller holds switching.
func (d *Driver) openLog() error {
	d.lookers.mu.Lock()
	over := d.lookers.over
	d.lookers.over = nil
	d.lookers.mu.Unlock()
	if d.lookers.log != nil && d.lookers.log != over {
		return nil
	}
	if d.lookers.log != nil {
		d.lookers.log.Close()
	}
	log, err := d.o.DropLog()
	if err != nil {
		d.lookers.log = nil
		return err
	}
	d.lookers.log = log
	go d.spread(log)
	return nil
}

func (d *Driver) addLooker(l *looker) error {
	d.lookers.mu.Lock()
	defer d.lookers.mu.Unlock()
	if len(d.lookers.queues) >= mostLookers {
		return fmt.Errorf("%d others do so already", mostLookers)
	}
	d.lookers.queues[l] = true
	return nil
}

func (d *Driver) removeLooker(l *looker) {
	d.lookers.mu.Lock()
	defer d.lookers.mu.Unlock()
	delete(d.lookers.queues, l)
}

// lookAway ends look. If the rules cannot be changed now, the next check does that.
func (d *Driver) lookAway(ctx context.Context, l *looker) {
	d.removeLooker(l)
	ctx, cancel := undo.Context(ctx)
	defer cancel()
	unlock, err := d.lookers.switching.Take(ctx)
	if err != nil {
		return
	}
	defer unlock()
	if err := d.rules.Change(ctx, firewall.Delta{}); err != nil {
		d.o.Log.WithError(err).Warn("refused packets are logged still, though nobody looks; the next check tries again")
	}
	d.closeLog()
}

// closeLog closes the log if nobody looks. The caller holds switching.
func (d *Driver) closeLog() {
	if !d.lookers.any() && d.lookers.log != nil {
		d.lookers.log.Close()
		d.lookers.log = nil
	}
}

func (l *looker) tell(p DroppedPacket) {
	l.lost += p.Lost
	p.Lost = l.lost
	select {
	case l.packets <- p:
		l.lost = 0
	default:
		l.lost++
	}
}

// packet says whose a packet is. An address is who has it on the link's network; one that is
// claimed is nobody's.
func packet(s *model.State, r firewall.Refused) DroppedPacket {
	party := func(a netip.AddrPort, link string) Party {
		p := Party{Addr: a.Addr(), Port: a.Port(), Interface: link}
		if n := s.Bridges[link]; n != nil {
			p.NetworkID = n.ID
		}
		return p
	}
	p := DroppedPacket{Time: r.Time, Reason: r.Reason, Protocol: r.Protocol, From: party(r.From, r.In), To: party(r.To, r.Out), Name: r.Name, Answer: r.Answer, Lost: r.Lost}
	if e := s.Holders[p.From.Addr]; e != nil && e.NetworkID == p.From.NetworkID && r.Reason != firewall.Spoofed {
		p.From.EndpointID = e.ID
	}
	// Where a packet was to go is not known yet where it is asked where it came from.
	if e := s.Holders[p.To.Addr]; e != nil && (e.NetworkID == p.To.NetworkID || r.Out == "") {
		p.To.NetworkID, p.To.EndpointID = e.NetworkID, e.ID
	}
	p.By = deciding(s, p, r)
	return p
}
