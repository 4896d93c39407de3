package driver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/policy"
	"github.com/gangway-net/gangway/driver/undo"
)

// Learned is what a lesson says next: a flow that was not seen before, or at its end the policy.
type Learned struct {
	// Flow is a line for people.
	Flow string `json:"flow,omitempty"`
	// Policy would have allowed the flows, of which there are so many. Lost is how many
	// packets nobody was told of.
	Policy *config.Policy `json:"policy,omitempty"`
	Flows  int            `json:"flows,omitempty"`
	Lost   uint64         `json:"lost,omitempty"`
	// Seconds is how long it was watched. Cut says that this ended before its time.
	Seconds int64 `json:"seconds,omitempty"`
	Cut     bool  `json:"cut,omitempty"`
}

// afterwards is how long a lesson is told of what has passed before its end: a packet is kept back for some
// time until it is told.
const afterwards = 2 * overruleTime

// LearnPolicy lets all pass that a network's containers, or one, send and get, for some time or
// until ctx ends, and tells of it. Either way policies refuse again from then on, and the policy is
// told behind that. Nothing of it is stored. It calls started when all is told.
func (d *Driver) LearnPolicy(ctx context.Context, of Whom, span time.Duration, started func() error, tell func(Learned) error) error {
	over, cancel := context.WithTimeout(ctx, span)
	defer cancel()
	follow, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	notBegun := context.AfterFunc(over, end)
	l := learning{of: of}
	err := d.FollowDrops(follow, func() error {
		if err := d.setLearning(over, of, true); err != nil {
			return err
		}
		notBegun()
		l.ended = make(chan error, 1)
		go d.learnUntil(over, &l, end)
		return started()
	}, func(p DroppedPacket) error {
		flow, news := d.learn(&l, p)
		if !news {
			return nil
		}
		return tell(Learned{Flow: flow})
	})
	cancel()
	if l.ended == nil {
		return err
	}
	if err = errors.Join(err, <-l.ended); err != nil {
		return err
	}
	texts, err := l.lesson.Policy()
	if err != nil {
		return fmt.Errorf("what was seen makes no policy: %w", err)
	}
	return tell(Learned{
		Policy: &texts, Flows: l.lesson.Flows(), Lost: l.lesson.Lost,
		Seconds: int64(l.watched.Round(time.Second) / time.Second), Cut: l.cut,
	})
}

// learning is of whom, and what was seen.
type learning struct {
	of     Whom
	lesson policy.Lesson
	// ended gets the error of its end. Behind that watched is how long all passed, and cut says whether that
	// was to be longer.
	ended   chan error
	watched time.Duration
	cut     bool
}

// learnUntil has policies count again when ctx ends, and calls end when what was seen before is told.
func (d *Driver) learnUntil(ctx context.Context, l *learning, end func()) {
	begun := time.Now()
	<-ctx.Done()
	l.watched, l.cut = time.Since(begun), !errors.Is(ctx.Err(), context.DeadlineExceeded)
	l.ended <- d.endLearning(ctx, l.of)
	time.AfterFunc(afterwards, end)
}

// endLearning has what is said count again. What the kernel refuses is for the next check: the
// state says so already.
func (d *Driver) endLearning(ctx context.Context, of Whom) error {
	ctx, cancel := undo.Context(context.WithoutCancel(ctx))
	defer cancel()
	if err := d.setLearning(ctx, of, false); err != nil {
		return fmt.Errorf("end learning, which is tried again at the next check: %w", err)
	}
	return nil
}

func (d *Driver) setLearning(ctx context.Context, of Whom, on bool) error {
	unlock, err := d.networks.Take(ctx, of.NetworkID)
	if err != nil {
		return err
	}
	defer unlock()
	who := model.Learner{NetworkID: of.NetworkID, EndpointID: of.EndpointID}
	look := func(s *model.State) (model.Change, error) {
		c := model.Change{Learning: &model.LearningChange{Of: who, On: on}}
		if !on {
			return c, nil
		}
		n, e, err := find(s, of)
		switch {
		case err != nil:
			return model.Change{}, err
		case s.Learning[who]:
			return model.Change{}, model.Conflictf("a policy of it is learned already")
		}
		return c, d.learnable(n, e)
	}
	if on {
		return d.writer.Commit(ctx, look)
	}
	return d.writer.Regain(ctx, look)
}

// learnable refuses what no policy could keep.
func (d *Driver) learnable(n *model.Network, e *model.Endpoint) error {
	switch {
	case d.o.Unpoliced != "":
		return fmt.Errorf("this host cannot keep a policy: %s", d.o.Unpoliced)
	case n.OnLAN() || n.Adopted || n.LeavesElsewhere():
		return errors.New("what leaves the network does not pass the host as a whole, so it cannot have a policy about that")
	case n.Steered():
		return errors.New("while a policy is learned nothing is refused, and containers would ask the host for names, past the gateway of the network")
	case e != nil && n.Options.AntiSpoofing == config.SpoofingAllowed:
		return errors.New("the network has gangway.anti_spoofing=false, so nothing tells its containers apart: learn of the network")
	case e != nil && d.o.Unguarded != "":
		return fmt.Errorf("this host cannot keep containers from taking each other's addresses: %s; learn of the network", d.o.Unguarded)
	}
	return nil
}

// learn takes note of a packet, and returns it in words if that is news.
func (d *Driver) learn(l *learning, p DroppedPacket) (flow string, news bool) {
	l.lesson.Lost += p.Lost
	at := p.From
	if p.By.Option == policy.OptionIngress {
		at = p.To
	}
	if p.Reason != firewall.Audited || at.NetworkID != l.of.NetworkID || l.of.EndpointID != "" && at.EndpointID != l.of.EndpointID {
		return "", false
	}
	if p.Name != "" {
		l.name(p)
		return "", false
	}
	s, unlock := d.desired.Read()
	defer unlock()
	seen := policy.Seen{Option: p.By.Option, From: p.From.Addr, To: p.To.Addr, Proto: policy.ProtocolNumber(p.Protocol)}
	other := p.To
	if p.By.Option == policy.OptionIngress {
		other = p.From
	}
	seen.Ports = askedPorts(s, p)
	if n := s.Networks[other.NetworkID]; n != nil && n.ID != l.of.NetworkID && p.By.Option != policy.OptionHost {
		seen.Peer = n.Name
	}
	if !l.lesson.See(seen) {
		return "", false
	}
	return fmt.Sprintf("%s %s -> %s", p.Protocol, l.lesson.Called(seen.From), l.lesson.Called(seen.To)) + portText(seen), true
}

// name takes note of what a name has, and of a server that a policy has to name.
func (l *learning) name(p DroppedPacket) {
	if p.Answer == nil {
		return
	}
	l.lesson.Named(p.Name, p.Answer.Addrs)
	if p.Answer.Server.IsValid() {
		l.lesson.See(policy.Seen{Option: policy.OptionEgress, From: p.From.Addr, To: p.Answer.Server, Proto: policy.ProtocolNumber(p.Protocol), Ports: []uint16{p.To.Port}, Server: true})
	}
}

func portText(s policy.Seen) (text string) {
	for i, port := range s.Ports {
		if port != 0 {
			text += fmt.Sprint([]string{":", ","}[min(i, 1)], port)
		}
	}
	return text
}

// askedPorts are those by which a policy knows a packet: of what comes to a container, the ports
// of the host that lead to where it goes, or its own where none does.
func askedPorts(s *model.State, p DroppedPacket) (all []uint16) {
	e := s.Endpoints[p.To.EndpointID]
	if p.By.Option != policy.OptionIngress || e == nil {
		return []uint16{p.To.Port}
	}
	for _, r := range e.Published {
		at := int(p.To.Port) - int(r.ContainerFirst)
		if r.Proto.String() == p.Protocol && at >= 0 && at <= int(r.Last)-int(r.First) && r.ContainerIP == p.To.Addr {
			all = append(all, r.First+uint16(at)) //nolint:gosec // within the run
		}
	}
	if len(all) == 0 {
		return []uint16{p.To.Port}
	}
	return all
}
