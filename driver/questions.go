package driver

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/gangway-net/gangway/driver/commit"
	"github.com/gangway-net/gangway/driver/drift"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// questions are what the kernel and other programs were asked for and have not answered
// yet. No deadline ends a system call that hangs in the kernel, so somebody has to be
// told. The zero value has none.
type questions struct {
	mu   sync.Mutex
	last uint64
	open map[uint64]question
	// write is why the state could not be written last.
	write error
}

type question struct {
	what  string
	since time.Time
}

// ask notes a question until it is answered.
func (q *questions) ask(what string) (answered func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.open == nil {
		q.open = map[uint64]question{}
	}
	q.last++
	id := q.last
	q.open[id] = question{what, time.Now()}
	return func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		delete(q.open, id)
	}
}

// answerTime is how long whoever asks for the status waits for the kernel.
const answerTime = 2 * time.Second

// answered runs what asks the kernel, and says whether it came back within answerTime. It
// goes on in the background otherwise: the status has to tell of a kernel that hangs.
func answered(ctx context.Context, ask func()) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		ask()
	}()
	soon, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	select {
	case <-done:
		return true
	case <-soon.Done():
		return false
	}
}

// hung has a line for each question that has waited for long, the oldest first.
func (q *questions) hung() (lines []string) {
	q.mu.Lock()
	var old []question
	for _, o := range q.open {
		if time.Since(o.since) >= drift.HungTime {
			old = append(old, o)
		}
	}
	q.mu.Unlock()
	slices.SortFunc(old, func(a, b question) int { return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.what, b.what)) })
	for _, o := range old {
		lines = append(lines, fmt.Sprintf("no answer for %s: %s; requests for the same wait, others go on", time.Since(o.since).Round(time.Second), o.what))
	}
	return lines
}

// nameQuestions has what is asked by these options noted.
func nameQuestions(o *Options, q *questions) {
	o.Links = namedLinks{o.Links, q}
	o.Host = namedHost{o.Host, q}
	o.Firewall = namedFirewall{o.Firewall, q}
	o.Flows = namedFlows{o.Flows, q}
	o.Store = namedStore{o.Store, q}
}

type namedLinks struct {
	Linker
	q *questions
}

func (l namedLinks) Ensure(ctx context.Context, o spec.Object) ([]string, error) {
	defer l.q.ask("make " + nameOf(o))()
	return l.Linker.Ensure(ctx, o)
}

func (l namedLinks) Remove(ctx context.Context, o spec.Object) error {
	defer l.q.ask("remove " + nameOf(o))()
	return l.Linker.Remove(ctx, o)
}

func (l namedLinks) Amiss(ctx context.Context, all []spec.Object) ([]spec.Object, error) {
	defer l.q.ask("compare what is at links")()
	return l.Linker.Amiss(ctx, all)
}

// nameOf names an object, and whose it is.
func nameOf(o spec.Object) string {
	switch o := o.(type) {
	case spec.Bridge:
		return "bridge " + o.Name + " of network " + model.Short(o.NetworkID)
	case spec.Veth:
		return "link " + o.Host + " of endpoint " + model.Short(o.EndpointID)
	}
	return o.String()
}

func (l namedLinks) LacksIPv6(ctx context.Context, v spec.Veth) (bool, error) {
	defer l.q.ask("look into the container of endpoint " + model.Short(v.EndpointID))()
	return l.Linker.LacksIPv6(ctx, v)
}

type namedHost struct {
	Host
	q *questions
}

func (h namedHost) EnableForwarding(ctx context.Context, ipv4, ipv6 bool) ([]string, error) {
	defer h.q.ask("turn on forwarding")()
	return h.Host.EnableForwarding(ctx, ipv4, ipv6)
}

func (h namedHost) InspectBridge(ctx context.Context, name string, subnets []netip.Prefix) (spec.BridgeInfo, error) {
	defer h.q.ask("look at bridge " + name)()
	return h.Host.InspectBridge(ctx, name, subnets)
}

func (h namedHost) Veths(ctx context.Context) (map[string]spec.VethInfo, error) {
	defer h.q.ask("list links")()
	return h.Host.Veths(ctx)
}

func (h namedHost) Check(ctx context.Context, of spec.Scope, bridges []spec.Bridge, veths []spec.Veth) (spec.LinkCheck, error) {
	defer h.q.ask("compare links")()
	return h.Host.Check(ctx, of, bridges, veths)
}

func (h namedHost) Prune(ctx context.Context, bridges []spec.Bridge, veths []spec.Veth) ([]string, error) {
	defer h.q.ask("remove links that are nobody's")()
	return h.Host.Prune(ctx, bridges, veths)
}

type namedFirewall struct {
	firewall.Backend
	q *questions
}

// Protection is asked of the backend itself, which answers without the kernel.
func (f namedFirewall) Protection() firewall.Protection { return firewall.ProtectionOf(f.Backend) }

func (f namedFirewall) Apply(ctx context.Context, d firewall.Delta) error {
	defer f.q.ask("change the firewall's rules (" + f.Name() + ")")()
	return f.Backend.Apply(ctx, d)
}

func (f namedFirewall) Repair(ctx context.Context) ([]string, error) {
	defer f.q.ask("check the firewall's rules (" + f.Name() + ")")()
	return f.Backend.Repair(ctx)
}

func (f namedFirewall) Sync(ctx context.Context, full firewall.Ruleset) ([]string, error) {
	defer f.q.ask("check the firewall's rules (" + f.Name() + ")")()
	return f.Backend.Sync(ctx, full)
}

type namedFlows struct {
	commit.Tracker
	q *questions
}

func (f namedFlows) DropAddresses(ctx context.Context, addrs []netip.Addr) error {
	defer f.q.ask("drop the tracked flows of a container that left")()
	return f.Tracker.DropAddresses(ctx, addrs)
}

func (f namedFlows) DropTranslated(ctx context.Context, addrs []netip.Addr) error {
	defer f.q.ask("drop the tracked flows to published ports")()
	return f.Tracker.DropTranslated(ctx, addrs)
}

type namedStore struct {
	Store
	q *questions
}

func (s namedStore) Update(changes map[string][]byte) error {
	defer s.q.ask("write the state to disk")()
	err := s.Store.Update(changes)
	s.q.mu.Lock()
	defer s.q.mu.Unlock()
	s.q.write = err
	return err
}

// unstored says why the state cannot be written; empty if it can.
func (q *questions) unstored() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.write == nil {
		return ""
	}
	return "the state cannot be written: " + q.write.Error()
}
