// Package lock has what verbs and reconcile wait for: a lock, one lock for each network, and
// a gate that lets verbs work side by side or somebody be alone. Every wait ends with a
// context. It knows nothing of what is locked, and refuses to keep anybody waiting for whoever
// hangs.
package lock

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Lock is a mutex that is waited for until a context ends. Who waits first gets it first.
type Lock struct {
	taken chan struct{}
	// since is when it was taken, in nanoseconds.
	since atomic.Int64
}

// New returns a lock that nobody has.
func New() *Lock { return &Lock{taken: make(chan struct{}, 1)} }

// Take waits for the lock until ctx ends; unlock gives it back.
func (l *Lock) Take(ctx context.Context) (unlock func(), err error) {
	select {
	case l.taken <- struct{}{}:
		l.since.Store(time.Now().UnixNano())
		return func() { <-l.taken }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Held is for how long whoever has it has had it.
func (l *Lock) Held() time.Duration { return time.Since(time.Unix(0, l.since.Load())) }

// Keyed is a set of locks by name. Verbs on one network are serialised by
// it, verbs on different networks are not. Waiting ends with the context, so a
// stuck verb does not pile up requests for ever.
type Keyed struct {
	mu    sync.Mutex
	locks map[string]*entry
}

type entry struct {
	*Lock
	refs int
}

// Take waits for the lock of a network until ctx ends; unlock gives it back.
func (k *Keyed) Take(ctx context.Context, key string) (unlock func(), err error) {
	k.mu.Lock()
	if k.locks == nil {
		k.locks = map[string]*entry{}
	}
	e := k.locks[key]
	if e == nil {
		e = &entry{Lock: New()}
		k.locks[key] = e
	}
	e.refs++
	k.mu.Unlock()

	free, err := e.Take(ctx)
	if err != nil {
		k.release(key, e)
		return nil, fmt.Errorf("wait for another request on network %.12s: %w", key, err)
	}
	return func() { free(); k.release(key, e) }, nil
}

// TakeAll takes several locks, which have to be sorted: everybody takes them in the
// same order then.
func (k *Keyed) TakeAll(ctx context.Context, keys []string) (unlock func(), err error) {
	var held []func()
	unlock = func() {
		for _, release := range slices.Backward(held) {
			release()
		}
	}
	for _, key := range keys {
		release, err := k.Take(ctx, key)
		if err != nil {
			unlock()
			return nil, err
		}
		held = append(held, release)
	}
	return unlock, nil
}

func (k *Keyed) release(key string, e *entry) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e.refs--; e.refs == 0 {
		delete(k.locks, key)
	}
}
