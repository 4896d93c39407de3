package engine

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus/hooks/test"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/ipam"
)

// world stands for an engine, the driver and the address manager, and notes when
// it is asked and what is given up. Its time is that of a bubble.
type world struct {
	start    time.Time
	mu       sync.Mutex // guards the rest
	networks map[string]string
	used     []netip.Addr
	silent   bool
	busy     bool // NoteInventory fails
	asked    []time.Duration

	doubts    chan struct{}
	claims    []driver.Claim
	unclaimed []netip.Addr
	gone      []string
}

func (w *world) note(format string, args ...any) {
	w.gone = append(w.gone, fmt.Sprintf("%s after %s", fmt.Sprintf(format, args...), time.Since(w.start).Round(time.Second)))
}

func (w *world) Networks(context.Context) (driver.Inventory, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, time.Since(w.start).Round(time.Second))
	if w.silent {
		return driver.Inventory{}, errors.New("no engine")
	}
	return driver.Inventory{Engine: "this", Networks: w.networks}, nil
}

func (w *world) Addresses(context.Context, string) ([]netip.Addr, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.used, nil
}

func (w *world) Doubts() <-chan struct{} { return w.doubts }

func (w *world) NoteInventory(_ context.Context, r driver.Inventory) (present, absent []driver.Claim, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.busy {
		return nil, nil, errors.New("disk full")
	}
	for _, c := range w.claims {
		if _, has := r.Networks[c.NetworkID]; has {
			present = append(present, c)
		} else {
			absent = append(absent, c)
		}
	}
	return present, absent, nil
}

func (w *world) Forget(_ context.Context, id string) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.IndexFunc(w.claims, func(c driver.Claim) bool { return c.NetworkID == id })
	if i < 0 {
		return false, nil
	}
	w.claims = slices.Delete(w.claims, i, i+1)
	w.note("network %s", id)
	return true, nil
}

func (w *world) Unclaimed(_ context.Context, subnet netip.Prefix) (out []netip.Addr, _ error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.unclaimed {
		if subnet.Contains(a) {
			out = append(out, a)
		}
	}
	return out, nil
}

func (w *world) AbandonAddresses(_ context.Context, _ netip.Prefix, addrs []netip.Addr) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note("addresses %v", addrs)
	w.unclaimed = slices.DeleteFunc(w.unclaimed, func(a netip.Addr) bool { return slices.Contains(addrs, a) })
	return nil
}

func (w *world) AbandonPool(_ context.Context, subnet netip.Prefix) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note("pool %s", subnet)
	return nil
}

// follow has the world followed for the given time, and calls the changes at their
// times.
func follow(t *testing.T, w *world, all time.Duration, changes map[time.Duration]func()) {
	t.Helper()
	followAll(t, w, []Engine{w}, all, changes)
}

func followAll(t *testing.T, w *world, engines []Engine, all time.Duration, changes map[time.Duration]func()) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		log, _ := test.NewNullLogger()
		w.start, w.doubts = time.Now(), make(chan struct{}, 1)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			Follow(ctx, Options{Engines: engines, Networks: w, Addresses: w, Log: log.WithField("test", t.Name())})
		}()
		for now := time.Duration(0); now < all; now += time.Second {
			if change := changes[now]; change != nil {
				w.mu.Lock()
				change()
				w.mu.Unlock()
			}
			time.Sleep(time.Second)
			synctest.Wait()
		}
		cancel()
		<-done
	})
}

func claim(id, space string, addrs ...string) driver.Claim {
	c := driver.Claim{NetworkID: id, Space: space, Subnets: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}}
	for _, a := range addrs {
		c.Addresses = append(c.Addresses, netip.MustParseAddr(a))
	}
	return c
}

func want(t *testing.T, what string, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func some(names ...string) map[string]string {
	out := map[string]string{}
	for _, n := range names {
		out[n] = "net-" + n
	}
	return out
}

// TestFollow: what the engine does not have twice, with half a minute between, is
// given up, with its pool if that is our own.
func TestFollow(t *testing.T) {
	w := &world{networks: some("a"), claims: []driver.Claim{claim("a", "LocalDefault"), claim("b", "LocalDefault"), claim("c", ipam.LocalSpace)}}
	follow(t, w, 10*time.Minute, nil)
	want(t, "given up", w.gone, []string{"network b after 30s", "network c after 30s", "pool 10.0.0.0/24 after 30s"})
	want(t, "asked", w.asked, []string{"0s", "30s", "1m30s"})
}

// TestFollowTheLate: an engine that removes the network itself, or names it again,
// is left alone.
func TestFollowTheLate(t *testing.T) {
	w := &world{networks: some(), claims: []driver.Claim{claim("a", ipam.LocalSpace), claim("b", ipam.LocalSpace)}}
	follow(t, w, 10*time.Minute, map[time.Duration]func(){
		20 * time.Second: func() { w.networks = some("a"); w.claims = w.claims[:1] },
		50 * time.Second: func() { w.networks = some() },
	})
	// Missed again at the last question, it is asked for until that is settled.
	want(t, "given up", w.gone, []string{"network a after 2m30s", "pool 10.0.0.0/24 after 2m30s"})
	want(t, "asked", w.asked, []string{"0s", "30s", "1m30s", "2m30s"})
}

// TestFollowTheSilent: an engine that cannot be asked is asked later, for as long
// as it takes; so is one whose answer could not be stored.
func TestFollowTheSilent(t *testing.T) {
	for name, w := range map[string]*world{
		"silent": {silent: true, claims: []driver.Claim{claim("a", "LocalDefault")}},
		"busy":   {busy: true, claims: []driver.Claim{claim("a", "LocalDefault")}},
	} {
		t.Run(name, func(t *testing.T) {
			follow(t, w, 30*time.Minute, map[time.Duration]func(){
				3 * time.Minute: func() { w.silent, w.busy = false, false },
			})
			want(t, "given up", w.gone, []string{"network a after 4m30s"})
			want(t, "asked", w.asked, []string{"0s", "30s", "1m30s", "2m30s", "3m30s", "4m30s"})
		})
	}
}

// TestFollowDoubts: many at once lead to one question soon.
func TestFollowDoubts(t *testing.T) {
	w := &world{networks: some("a"), claims: []driver.Claim{claim("a", "LocalDefault")}}
	doubt := func() {
		select {
		case w.doubts <- struct{}{}:
		default:
		}
	}
	follow(t, w, 10*time.Minute, map[time.Duration]func(){
		time.Second:      doubt,
		10 * time.Second: doubt, // the schedule begins again
		5 * time.Minute:  func() { doubt(); doubt() },
	})
	want(t, "asked", w.asked, []string{"0s", "2s", "11s", "41s", "1m41s", "5m1s", "5m31s", "6m31s"})
	want(t, "given up", w.gone, []string{})
}

// TestFollowAddresses: what neither an endpoint nor the engine has is released, in
// our own pools.
func TestFollowAddresses(t *testing.T) {
	addrs := func() (out []netip.Addr) {
		for _, a := range []string{"10.0.0.2", "10.0.0.3", "10.0.0.4"} {
			out = append(out, netip.MustParseAddr(a))
		}
		return out
	}
	for name, c := range map[string]struct {
		space string
		gone  []string
	}{
		"ours":       {ipam.LocalSpace, []string{"addresses [10.0.0.4] after 30s"}},
		"of another": {"LocalDefault", nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{networks: some("a"), claims: []driver.Claim{claim("a", c.space, "10.0.0.2")}, unclaimed: addrs(), used: addrs()[1:2]}
			follow(t, w, 10*time.Minute, nil)
			want(t, "given up", w.gone, c.gone)
			want(t, "asked", w.asked, []string{"0s", "30s", "1m30s"})
		})
	}
}

// TestFollowAddressOnItsWay: an address that the engine is about to release is left
// to it.
func TestFollowAddressOnItsWay(t *testing.T) {
	w := &world{networks: some("a"), claims: []driver.Claim{claim("a", ipam.LocalSpace)}, unclaimed: []netip.Addr{netip.MustParseAddr("10.0.0.2")}}
	follow(t, w, 10*time.Minute, map[time.Duration]func(){
		20 * time.Second: func() { w.unclaimed = nil },
	})
	want(t, "given up", w.gone, []string{})
}
