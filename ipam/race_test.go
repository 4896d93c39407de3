package ipam

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestPoolsDoNotWaitForEachOther holds one pool's transaction back and sees
// every verb on other pools pass.
func TestPoolsDoNotWaitForEachOther(t *testing.T) {
	store := newMemory()
	a := open(t, store, rng("10.20.0.0/16", 24))
	slow := mustPool(t, a, "10.0.0.0/24", "")
	fast := mustPool(t, a, "10.1.0.0/24", "")
	reached, proceed := make(chan struct{}), make(chan struct{})
	var once sync.Once
	store.gate = func(changes map[string][]byte) {
		for k := range changes {
			if strings.Contains(k, slow.ID) {
				once.Do(func() { close(reached) })
				<-proceed
			}
		}
	}
	done := make(chan error)
	go func() { _, err := address(a, slow.ID, ""); done <- err }()
	<-reached
	mustAddress(t, a, fast.ID, "10.1.0.9")
	mustRelease(t, a, fast.ID, "10.1.0.9")
	mustReleasePool(t, a, fast.ID)
	mustPool(t, a, "10.2.0.0/24", "")
	automatic(t, a, false)
	a.Greet()
	if n := len(a.Pools()); n != 3 {
		t.Errorf("%d pools", n)
	}
	// A verb on the held pool gives up with its context.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	_, err := a.RequestAddress(ctx, AddressRequest{PoolID: slow.ID})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while the pool is held: %v", err)
	}
	wantErr(t, err, "wait for another request on pool "+slow.ID)
	close(proceed)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestSamePoolAtOnce asks for one subnet from many sides: one gets it, also when
// the first transactions fail.
func TestSamePoolAtOnce(t *testing.T) {
	store := newMemory()
	a := open(t, store)
	for range 50 {
		const n = 8
		errs := make(chan error, n)
		for range n {
			go func() {
				_, err := a.RequestPool(context.Background(), PoolRequest{Space: LocalSpace, Pool: pfx("10.0.0.0/24")})
				errs <- err
			}()
		}
		granted := 0
		for range n {
			if <-errs == nil {
				granted++
			}
		}
		if granted != 1 {
			t.Fatalf("%d of %d got the pool", granted, n)
		}
		mustReleasePool(t, a, "gangway-local/10.0.0.0/24")
	}
}

// TestWaitersSeeARelease: verbs that wait for a pool while it is released find
// it gone, and a request for the same subnet gets a new one.
func TestWaitersSeeARelease(t *testing.T) {
	store := newMemory()
	a := open(t, store)
	ctx := context.Background()
	for range 50 {
		p := mustPool(t, a, "10.0.0.0/24", "")
		mustAddress(t, a, p.ID, "10.0.0.9")
		a.Greet()
		reached, proceed := make(chan struct{}), make(chan struct{})
		store.gate = func(changes map[string][]byte) {
			if v, there := changes[poolKey(p.ID)]; there && v == nil {
				close(reached)
				<-proceed
			}
		}
		released, granted, replaced := make(chan error), make(chan error), make(chan error)
		go func() { released <- a.ReleasePool(ctx, p.ID) }()
		<-reached
		go func() { _, err := address(a, p.ID, "10.0.0.9"); granted <- err }()
		go func() {
			_, err := a.RequestPool(ctx, PoolRequest{Space: LocalSpace, Pool: p.Subnet})
			replaced <- err
		}()
		runtime.Gosched()
		close(proceed)
		if err := errors.Join(<-released, <-replaced); err != nil {
			t.Fatal(err)
		}
		// The address is refused, or comes from the new pool.
		want := 1
		if err := <-granted; err != nil {
			wantErr(t, err, "is not held")
			want = 0
		}
		if n := inUse(t, a, p.ID); n != want {
			t.Fatalf("%d addresses in the new pool, want %d", n, want)
		}
		store.gate = nil
		mustReleasePool(t, a, p.ID)
		if len(store.copy()) != 0 {
			t.Fatalf("left in the store: %v", store.copy())
		}
	}
}

// TestManyAtOnce lets verbs of all kinds run together and checks that no address
// is given out twice and that memory is what the store holds.
func TestManyAtOnce(t *testing.T) {
	store := newMemory()
	a := open(t, store, rng("10.20.0.0/20", 24))
	shared := mustPool(t, a, "10.0.0.0/22", "")
	ctx := context.Background()
	var wg sync.WaitGroup
	var mu sync.Mutex
	owner := map[netip.Addr]int{}
	take := func(worker int) error {
		got, err := address(a, shared.ID, "")
		if err != nil {
			return err
		}
		mu.Lock()
		if other, twice := owner[got.Addr()]; twice {
			t.Errorf("%s was given to %d and %d", got, other, worker)
		}
		owner[got.Addr()] = worker
		if worker%2 == 0 {
			delete(owner, got.Addr())
		}
		mu.Unlock()
		if worker%2 == 0 {
			return a.ReleaseAddress(ctx, shared.ID, got.Addr())
		}
		return nil
	}
	for worker := range 8 {
		wg.Go(func() {
			for i := range 60 {
				if err := take(worker); err != nil {
					t.Error(err)
				}
				p, err := a.RequestPool(ctx, PoolRequest{Space: LocalSpace})
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := address(a, p.ID, ""); err != nil {
					t.Error(err)
				}
				a.RetainAddresses(p.Subnet, []netip.Addr{p.Subnet.Addr().Next()})
				if err := a.ReleasePool(ctx, p.ID); err != nil {
					t.Error(err)
				}
				if i%10 == 0 {
					a.Pools()
				}
			}
		})
	}
	wg.Wait()
	if n := inUse(t, a, shared.ID); n != len(owner) || len(a.Pools()) != 1 {
		t.Errorf("%d addresses, want %d; pools %v", n, len(owner), a.Pools())
	}
	again := open(t, store)
	a.Greet()
	if got, want := fmt.Sprint(again.Pools()), fmt.Sprint(a.Pools()); got != want {
		t.Errorf("the store holds %s, memory %s", got, want)
	}
}
