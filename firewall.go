package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/driver/cause"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/firewall/iptables"
	"github.com/gangway-net/gangway/driver/firewall/nftables"
)

// newFirewall picks the firewall backend:
//
//	setting   kernel can do nf_tables   backend
//	auto      yes                       nftables
//	auto      no                        iptables
//	nftables  yes                       nftables
//	nftables  no                        error
//	iptables  any                       iptables
//
// What the engine keeps its own rules in does not matter: both get along with
// either, and an engine may change it at every start.
//
// With nftables, iptables commands are needed only on hosts that use iptables:
// their FORWARD chains have to follow what nftables decides.
func newFirewall(ctx context.Context, setting string, mark firewall.Mark, log *logrus.Entry) (firewall.Backend, error) {
	if setting != "iptables" {
		b, err := newNftables(ctx, mark, log)
		switch {
		case err == nil:
			announce(b, log)
			return b, nil
		case setting == "nftables" || !errors.Is(err, nftables.ErrUnsupported):
			return nil, fmt.Errorf("firewall: %w", err)
		}
		log.WithError(err).Info("firewall: no nftables here")
	}
	b, err := newIPTables(ctx, mark, log)
	if err != nil {
		return nil, fmt.Errorf("firewall: %w", err)
	}
	announce(b, log)
	old, err := nftables.New(ctx, nftables.Options{Log: log, Mark: mark})
	if err != nil {
		return b, nil //nolint:nilerr // what the kernel cannot do has left nothing behind
	}
	return &successor{Backend: b, old: old, log: log}, nil
}

// announce says once which backend there is, and what others can do to it.
func announce(b firewall.Backend, log *logrus.Entry) {
	p := firewall.ProtectionOf(b)
	text := fmt.Sprintf("firewall: %s; protection: %s: %s", b.Name(), p, p.Meaning())
	if p == firewall.NoProtection {
		log.Warn(text)
		return
	}
	log.Info(text)
}

// checkMark refuses a choice of bits that rules of the host use as well. The default is
// nobody's choice: who is in the way of that is returned.
func checkMark(ctx context.Context, mark firewall.Mark) (shared string, err error) {
	users, err := iptables.MarkUsers(ctx, mark)
	if err != nil || len(users) == 0 {
		return "", err
	}
	shared = fmt.Sprintf("the bits %#08x of the packet mark are used by rules of this host as well (%s)", mark.Mask(), strings.Join(users, "; "))
	if mark != firewall.DefaultMark() {
		return "", errors.New(cause.Of(cause.MarkShared, shared).Line())
	}
	return shared, nil
}

// newNftables makes the backend with its FORWARD hook, which removes what
// the iptables backend has left.
func newNftables(ctx context.Context, mark firewall.Mark, log *logrus.Entry) (firewall.Backend, error) {
	options := nftables.Options{Log: log, Mark: mark}
	hook, err := iptables.NewForwardHook(ctx, log, mark)
	if err != nil {
		log.WithError(err).Info("firewall: this host's iptables, if any, are left alone")
	} else {
		options.ForwardHook = hook
	}
	return nftables.New(ctx, options)
}

// newIPTables makes the backend with its fail-closed table in nf_tables, if the kernel can
// keep one.
func newIPTables(ctx context.Context, mark firewall.Mark, log *logrus.Entry) (*iptables.Backend, error) {
	options := iptables.Options{Log: log, Mark: mark}
	v, err := nftables.NewFailClosed(ctx, log, mark)
	if err == nil {
		options.FailClosed = v
	} else {
		log.WithError(err).Debug("firewall: no fail-closed table")
	}
	b, err := iptables.New(ctx, options)
	if err != nil && options.FailClosed != nil {
		options.FailClosed.Close()
	}
	return b, err
}

// successor removes what another backend has left behind, once its own rules
// are in place: at no moment is there a network without isolation.
type successor struct {
	firewall.Backend
	old interface {
		Cleanup(ctx context.Context) error
		Close()
	}
	log *logrus.Entry

	mu   sync.Mutex
	done bool
}

// Sync implements firewall.Backend.
func (s *successor) Sync(ctx context.Context, full firewall.Ruleset) ([]string, error) {
	lines, err := s.Backend.Sync(ctx, full)
	return s.succeed(ctx, lines, err)
}

// Repair implements firewall.Backend.
func (s *successor) Repair(ctx context.Context) ([]string, error) {
	lines, err := s.Backend.Repair(ctx)
	return s.succeed(ctx, lines, err)
}

// succeed removes what is left of the other backend after a check that succeeded.
func (s *successor) succeed(ctx context.Context, lines []string, err error) ([]string, error) {
	if err != nil {
		return lines, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return lines, nil
	}
	if err := s.old.Cleanup(ctx); ctx.Err() != nil {
		return lines, nil
	} else if err != nil {
		s.log.WithError(err).Warn("rules of another firewall backend are left over; they are tried again at the next check")
		return lines, nil
	}
	s.old.Close()
	s.done = true
	return lines, nil
}

// Protection is that of the backend in use.
func (s *successor) Protection() firewall.Protection { return firewall.ProtectionOf(s.Backend) }

// Close ends the connections that the backends keep.
func (s *successor) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.old.Close()
	if c, ok := s.Backend.(interface{ Close() }); ok {
		c.Close()
	}
}

// counterOf is what tells the packets that a backend refused; nil if nothing does.
func counterOf(b firewall.Backend) firewall.Counter {
	if s, is := b.(*successor); is {
		b = s.Backend
	}
	c, _ := b.(firewall.Counter)
	return c
}
