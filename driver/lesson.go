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
}

// LearnPolicy lets all pass that a network's containers, or one, send and get, for some time or
// until ctx ends, and tells of it. Nothing of that is stored. It calls started when all is told.
func (d *Driver) LearnPolicy(ctx context.Context, of Whom, span time.Duration, started func() error, tell func(Learned) error) error {
	l := learning{of: of}
	over, cancel := context.WithTimeout(ctx, span)
	defer cancel()
	err := d.FollowDrops(over, func() error {
		if err := d.setLearning(ctx, of, true); err != nil {
			return err
		}
		l.begun = true
		return started()
	}, func(p DroppedPacket) error {
		flow, news := d.learn(&l, p)
		if !news {
			return nil
		}
		return tell(Learned{Flow: flow})
	})
	if l.begun {
		err = errors.Join(err, d.endLearning(ctx, of))
	}
	if err != nil || ctx.Err() != nil {
		return err
	}
	texts, err := l.lesson.Policy()
	if err != nil {
		return fmt.Errorf("what was seen makes no policy: %w", err)
	}
	return tell(Learned{Policy: &texts, Flows: l.lesson.Flows(), Lost: l.lesson.Lost})
}

// learning is of whom, and what was seen.
type learning struct {
	of     Whom
	begun  bool
	lesson policy.Lesson
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
