package faulttest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

var errInjected = errors.New("injected fault")

// kind is what happens to the chosen operation.
type kind int

const (
	fails    kind = iota // it is not carried out, and fails
	answers              // it is carried out, and fails: its answer got lost
	killed               // the process ends before it
	interval             // the process ends at some time after it began
)

// faults breaks one operation of a verb. The zero value breaks none.
type faults struct {
	mu sync.Mutex
	// at is the number of the operation, from 1; 0 for none. done is how many
	// there were.
	at, done int
	kind     kind
	// after is for interval.
	after time.Duration
	what  string
}

// set breaks operation n from now on.
func (f *faults) set(n int, k kind, after time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at, f.done, f.kind, f.after, f.what = n, 0, k, after, ""
}

// hit says whether there was an operation of that number, and which.
func (f *faults) hit() (what string, hit bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.what, f.at > 0 && f.done >= f.at
}

// next counts an operation and says whether it is the one to break.
func (f *faults) next(what string) (mine bool, k kind) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done++
	if f.done == f.at {
		f.what = what
	}
	return f.done == f.at, f.kind
}

// do carries out one operation.
func (f *faults) do(what string, op func() error) error {
	if mine, k := f.next(what); mine {
		return broken(k, f.after, what, op)
	}
	return op()
}

// atomic carries out one that never fails half done.
func (f *faults) atomic(what string, op func() error) error {
	mine, k := f.next(what)
	if mine && k == answers {
		k = fails
	}
	if mine {
		return broken(k, f.after, what, op)
	}
	return op()
}

// broken does to an operation what is to happen to it.
func broken(k kind, after time.Duration, what string, op func() error) error {
	switch k {
	case answers:
		return errors.Join(op(), fmt.Errorf("%s: %w", what, errInjected))
	case killed:
		end()
	case interval:
		time.AfterFunc(after, end)
		return op()
	}
	return fmt.Errorf("%s: %w", what, errInjected)
}

// end ends the process as a crash does.
func end() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

type faultyLinks struct {
	*faults
	driver.Linker
}

func (l faultyLinks) Ensure(ctx context.Context, o spec.Object) (fixed []string, err error) {
	err = l.do("ensure "+string(o.Kind()), func() (err error) { fixed, err = l.Linker.Ensure(ctx, o); return err })
	return fixed, err
}

func (l faultyLinks) Remove(ctx context.Context, o spec.Object) error {
	return l.do("remove "+string(o.Kind()), func() error { return l.Linker.Remove(ctx, o) })
}

type faultyHost struct {
	*faults
	driver.Host
}

func (h faultyHost) EnableForwarding(ctx context.Context, v4, v6 bool) (fixed []string, err error) {
	err = h.do("EnableForwarding", func() (err error) { fixed, err = h.Host.EnableForwarding(ctx, v4, v6); return err })
	return fixed, err
}

func (h faultyHost) InspectBridge(ctx context.Context, name string, subnets []netip.Prefix) (info spec.BridgeInfo, err error) {
	err = h.do("InspectBridge", func() (err error) { info, err = h.Host.InspectBridge(ctx, name, subnets); return err })
	return info, err
}

func (h faultyHost) Check(ctx context.Context, of spec.Scope, bridges []spec.Bridge, veths []spec.Veth) (c spec.LinkCheck, err error) {
	err = h.do("Check", func() (err error) { c, err = h.Host.Check(ctx, of, bridges, veths); return err })
	return c, err
}

func (h faultyHost) Veths(ctx context.Context) (veths map[string]spec.VethInfo, err error) {
	err = h.do("Veths", func() (err error) { veths, err = h.Host.Veths(ctx); return err })
	return veths, err
}

type faultyFacts struct {
	*faults
	driver.Facts
}

func (f faultyFacts) Outside(ctx context.Context) (links []spec.Outside, err error) {
	err = f.do("Outside", func() (err error) { links, err = f.Facts.Outside(ctx); return err })
	return links, err
}

type faultyRules struct {
	*faults
	firewall.Backend
}

func (r faultyRules) Apply(ctx context.Context, d firewall.Delta) error {
	return r.do("Apply", func() error { return r.Backend.Apply(ctx, d) })
}

type faultyPorts struct {
	*faults
	driver.HostPorts
}

// Reserve that fails has reserved nothing: that is its contract, and there is
// no wire on which an answer could get lost.
func (p faultyPorts) Reserve(ctx context.Context, owner string, want []spec.PortRequest) (runs []spec.Published, err error) {
	err = p.atomic("Reserve", func() (err error) { runs, err = p.HostPorts.Reserve(ctx, owner, want); return err })
	return runs, err
}

// Hold that fails says that a relay could not be started.
func (p faultyPorts) Hold(ctx context.Context, ports spec.HostPorts) (held, unheld []string, err error) {
	err = p.do("Hold", func() (err error) { held, unheld, err = p.HostPorts.Hold(ctx, ports); return err })
	return held, unheld, err
}

type faultyStore struct {
	*faults
	driver.Store
}

// Update that fails has written nothing: a transaction is rolled back.
func (s faultyStore) Update(changes map[string][]byte) error {
	return s.atomic("Update", func() error { return s.Store.Update(changes) })
}

// deadline is a context whose time is over when it is asked for the n-th time:
// at every step between two operations of the kernel.
type deadline struct {
	context.Context
	mu      sync.Mutex
	at, n   int
	expired chan struct{}
}

func expireAt(ctx context.Context, at int) *deadline {
	return &deadline{Context: ctx, at: at, expired: make(chan struct{})}
}

// Err implements context.Context.
func (d *deadline) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.n++
	if d.n == d.at {
		close(d.expired)
	}
	if d.at > 0 && d.n >= d.at {
		return context.DeadlineExceeded
	}
	return nil
}

// Done implements context.Context.
func (d *deadline) Done() <-chan struct{} { return d.expired }

// over says whether the time was over at all.
func (d *deadline) over() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.n >= d.at
}
