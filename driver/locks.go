package driver

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gangway-net/gangway/driver/model"
)

// lock is a mutex that is waited for until a context ends. Who waits first gets it first.
type lock struct {
	taken chan struct{}
	// since is when it was taken, in nanoseconds.
	since atomic.Int64
}

func newLock() *lock { return &lock{taken: make(chan struct{}, 1)} }

func (l *lock) take(ctx context.Context) (unlock func(), err error) {
	select {
	case l.taken <- struct{}{}:
		l.since.Store(time.Now().UnixNano())
		return func() { <-l.taken }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// held is for how long whoever has it has had it.
func (l *lock) held() time.Duration { return time.Since(time.Unix(0, l.since.Load())) }

// keyedLock is a set of locks by name. Verbs on one network are serialised by
// it, verbs on different networks are not. Waiting ends with the context, so a
// stuck verb does not pile up requests for ever.
type keyedLock struct {
	mu    sync.Mutex
	locks map[string]*lockEntry
}

type lockEntry struct {
	*lock
	refs int
}

func (k *keyedLock) lock(ctx context.Context, key string) (unlock func(), err error) {
	k.mu.Lock()
	if k.locks == nil {
		k.locks = map[string]*lockEntry{}
	}
	e := k.locks[key]
	if e == nil {
		e = &lockEntry{lock: newLock()}
		k.locks[key] = e
	}
	e.refs++
	k.mu.Unlock()

	free, err := e.take(ctx)
	if err != nil {
		k.release(key, e)
		return nil, fmt.Errorf("wait for another request on network %s: %w", model.Short(key), err)
	}
	return func() { free(); k.release(key, e) }, nil
}

// lockAll takes several locks, which have to be sorted: everybody takes them in the
// same order then.
func (k *keyedLock) lockAll(ctx context.Context, keys []string) (unlock func(), err error) {
	var held []func()
	unlock = func() {
		for _, release := range slices.Backward(held) {
			release()
		}
	}
	for _, key := range keys {
		release, err := k.lock(ctx, key)
		if err != nil {
			unlock()
			return nil, err
		}
		held = append(held, release)
	}
	return unlock, nil
}

func (k *keyedLock) release(key string, e *lockEntry) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e.refs--; e.refs == 0 {
		delete(k.locks, key)
	}
}
