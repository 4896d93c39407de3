package resolver

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/policy"
)

// refused counts names that were refused, and tells who looks.
type refused struct {
	mu     sync.Mutex
	counts map[refusal]uint64
	// followers get each, with what they were too slow for as lost.
	followers map[*Follower]bool
}

type refusal struct {
	bridge string
	from   netip.Addr
	reason firewall.Reason
	option policy.Option
}

const (
	// mostCounted bounds containers that are counted one by one; what comes beyond is counted
	// by bridge.
	mostCounted = 4096
	followQueue = 64
)

// note counts one question, with what it got if it was answered all the same.
func (r *refused) note(c client, name string, got *firewall.Answer) {
	reason := firewall.Policy
	if c.audited() {
		reason = firewall.Audited
	}
	r.tell(firewall.Refused{
		Time: time.Now(), Reason: reason, In: c.Bridge, Protocol: map[uint8]string{6: "tcp", 17: "udp"}[c.proto],
		From: c.from, To: netip.AddrPortFrom(netip.Addr{}, 53), Name: printable(name), Answer: got,
	})
}

// tell counts what was refused.
func (r *refused) tell(told firewall.Refused) {
	at := refusal{told.In, told.From.Addr(), told.Reason, told.Option}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts = map[refusal]uint64{}
	}
	if _, known := r.counts[at]; !known && len(r.counts) >= mostCounted {
		at.from = netip.Addr{}
	}
	r.counts[at]++
	for f := range r.followers {
		f.tell(told)
	}
}

// printable is a name as it can be shown: a container may ask for any bytes.
func printable(name string) string {
	return strings.Map(func(r rune) rune {
		if strconv.IsPrint(r) && r != ' ' {
			return r
		}
		return '?'
	}, name)
}

// Refused implements firewall.Counter.
func (r *Resolver) Refused(context.Context) (all []firewall.Refusal, err error) {
	r.refused.mu.Lock()
	defer r.refused.mu.Unlock()
	for at, n := range r.refused.counts {
		all = append(all, firewall.Refusal{
			Counter: fmt.Sprint("name ", at.bridge, " ", at.reason, " ", at.option, " ", at.from), Reason: at.reason, Option: at.option, Bridge: at.bridge, Addr: at.from, Packets: n,
		})
	}
	return all, nil
}

// Follower hears of names that are refused.
type Follower struct {
	of    *refused
	names chan firewall.Refused
	lost  uint64
	once  sync.Once
}

// Refusals follows names that are refused from now on, until Close.
func (r *Resolver) Refusals() *Follower {
	f := &Follower{of: &r.refused, names: make(chan firewall.Refused, followQueue)}
	r.refused.mu.Lock()
	defer r.refused.mu.Unlock()
	if r.refused.followers == nil {
		r.refused.followers = map[*Follower]bool{}
	}
	r.refused.followers[f] = true
	return f
}

// tell is called with the lock of refused.
func (f *Follower) tell(r firewall.Refused) {
	r.Lost = f.lost
	select {
	case f.names <- r:
		f.lost = 0
	default:
		f.lost++
	}
}

// Names are those that are refused.
func (f *Follower) Names() <-chan firewall.Refused { return f.names }

// Close ends it.
func (f *Follower) Close() {
	f.once.Do(func() {
		f.of.mu.Lock()
		defer f.of.mu.Unlock()
		delete(f.of.followers, f)
	})
}
