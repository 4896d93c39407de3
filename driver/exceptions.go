package driver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/policy"
)

// Whom is a network, or one container on it.
type Whom struct {
	NetworkID string `json:"network"`
	// EndpointID is empty for all containers of the network.
	EndpointID string `json:"endpoint,omitempty"`
}

// retryExceptions is after how long an exception that could not be ended is tried again.
const retryExceptions = 5 * time.Second

// Except allows or denies a destination beside what policies say. It counts from now on, for
// running containers too.
func (d *Driver) Except(ctx context.Context, of Whom, x model.Exception) error {
	to, err := config.ParseDestination(x.To)
	if err != nil {
		return err
	}
	if x.To = to; x.Over(time.Now()) {
		return errors.New("the exception would be over already: give it a time in the future")
	}
	err = d.changeExceptions(ctx, of, func(s *model.State, n *model.Network, e *model.Endpoint, was *model.Exceptions) (*model.Exceptions, error) {
		for _, have := range was.List() {
			if have.To == x.To && have.Deny == x.Deny && have.Until == nil && x.Until == nil {
				return was, nil
			}
		}
		return was.With(x), admitException(s, n, e, x)
	})
	select {
	case d.exceptions <- struct{}{}:
	default:
	}
	return err
}

// admitException refuses what can never match.
func admitException(s *model.State, n *model.Network, e *model.Endpoint, x model.Exception) error {
	if err := matches(config.Policy{Deny: x.To}, "", n); err != nil {
		return err
	}
	if x.Deny {
		return nil
	}
	said := s.PolicyOf(n, e)
	if cmp.Or(said.Egress, config.EgressOpen) == config.EgressOpen && len((config.Policy{Allow: x.To}).NamedNetworks()) == 0 {
		return fmt.Errorf("egress is open: all is allowed that egress.deny does not have, and %s adds nothing", x.To)
	}
	p, err := policy.Of(config.Policy{Egress: config.EgressDeny, Allow: x.To, Deny: said.Deny, Names: said.Names})
	if err == nil {
		err = p.Check(true, true)
	}
	return err
}

// Unexcept takes an exception back.
func (d *Driver) Unexcept(ctx context.Context, of Whom, to string) error {
	to, err := config.ParseDestination(to)
	if err != nil {
		return err
	}
	return d.changeExceptions(ctx, of, func(_ *model.State, _ *model.Network, _ *model.Endpoint, was *model.Exceptions) (*model.Exceptions, error) {
		left, had := was.Without(to)
		if !had {
			return was, &UnknownPolicyError{fmt.Sprintf("there is no exception for %s: gangway policy ls lists them", to)}
		}
		return left, nil
	})
}

// changeExceptions has those of a network, or of one container on it, become others.
func (d *Driver) changeExceptions(ctx context.Context, of Whom,
	change func(*model.State, *model.Network, *model.Endpoint, *model.Exceptions) (*model.Exceptions, error),
) error {
	unlock, err := d.networks.Take(ctx, of.NetworkID)
	if err != nil {
		return err
	}
	defer unlock()
	return d.writer.Commit(ctx, func(s *model.State) (model.Change, error) {
		n := s.Networks[of.NetworkID]
		if n == nil {
			return model.Change{}, model.UnknownNetwork(of.NetworkID)
		}
		if of.EndpointID == "" {
			next := *n
			if next.Exceptions, err = change(s, n, nil, n.Exceptions); err != nil || next.Exceptions == n.Exceptions {
				return model.Change{}, err
			}
			c := model.Change{Network: model.NetworkChange{Before: n, After: &next}}
			return c, d.after(s, c, func() error { return d.holding(s).of(&next, nil) })
		}
		_, e, err := s.Find(of.NetworkID, of.EndpointID)
		if err != nil {
			return model.Change{}, err
		}
		next := *e
		if next.Exceptions, err = change(s, n, e, e.Exceptions); err != nil || next.Exceptions == e.Exceptions {
			return model.Change{}, err
		}
		c := model.Change{Endpoints: []model.EndpointChange{{Before: e, After: &next}}}
		return c, d.after(s, c, func() error { return d.holding(s).ofOne(n, &next) })
	})
}

// after asks about the state as it will be.
func (d *Driver) after(s *model.State, c model.Change, ask func() error) error {
	s.Apply(c)
	defer s.Apply(c.Inverse())
	return ask()
}

// KeepExceptions ends exceptions when their time is over, until ctx ends.
func (d *Driver) KeepExceptions(ctx context.Context) {
	for {
		next := d.endExceptions(ctx, time.Now())
		var over <-chan time.Time
		if !next.IsZero() {
			over = time.After(time.Until(next))
		}
		select {
		case <-ctx.Done():
			return
		case <-d.exceptions:
		case <-over:
		}
	}
}

// endExceptions ends those whose time is over, and returns when it has to be called again; zero
// for no time.
func (d *Driver) endExceptions(ctx context.Context, now time.Time) (next time.Time) {
	sooner := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	for whom, x := range d.excepted() {
		for _, one := range x.List() {
			if one.Until != nil && !one.Over(now) {
				sooner(*one.Until)
			}
		}
		if _, ended := x.At(now); !ended {
			continue
		}
		err := d.changeExceptions(ctx, whom, func(_ *model.State, _ *model.Network, _ *model.Endpoint, was *model.Exceptions) (*model.Exceptions, error) {
			left, _ := was.At(now)
			return left, nil
		})
		if err != nil && ctx.Err() == nil {
			d.o.Log.WithError(err).Warn("an exception from a policy goes on, and its time is over; it is tried again")
			sooner(now.Add(retryExceptions))
		}
	}
	return next
}

// excepted are all that have exceptions.
func (d *Driver) excepted() map[Whom]*model.Exceptions {
	s, unlock := d.desired.Read()
	defer unlock()
	all := map[Whom]*model.Exceptions{}
	for _, n := range s.Networks {
		if n.Exceptions != nil {
			all[Whom{NetworkID: n.ID}] = n.Exceptions
		}
	}
	for _, e := range s.Endpoints {
		if e.Exceptions != nil {
			all[Whom{e.NetworkID, e.ID}] = e.Exceptions
		}
	}
	return all
}

// endedBefore are the changes by which what a state has of exceptions ends that are over: they
// must not count again when the state is restored.
func endedBefore(s *model.State, now time.Time) (all []model.Change) {
	for _, n := range s.Networks {
		if left, ended := n.Exceptions.At(now); ended {
			next := *n
			next.Exceptions = left
			all = append(all, model.Change{Network: model.NetworkChange{Before: n, After: &next}})
		}
	}
	for _, e := range s.Endpoints {
		if left, ended := e.Exceptions.At(now); ended {
			next := *e
			next.Exceptions = left
			all = append(all, model.Change{Endpoints: []model.EndpointChange{{Before: e, After: &next}}})
		}
	}
	return all
}
