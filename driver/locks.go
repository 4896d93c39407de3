package driver

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// keyedLock is a set of locks by name. Verbs on one network are serialised by
// it, verbs on different networks are not. Waiting ends with the context, so a
// stuck verb does not pile up requests for ever.
type keyedLock struct {
	mu    sync.Mutex
	locks map[string]*lockEntry
}

type lockEntry struct {
	held chan struct{}
	refs int
}

func (k *keyedLock) lock(ctx context.Context, key string) (unlock func(), err error) {
	k.mu.Lock()
	if k.locks == nil {
		k.locks = map[string]*lockEntry{}
	}
	e := k.locks[key]
	if e == nil {
		e = &lockEntry{held: make(chan struct{}, 1)}
		k.locks[key] = e
	}
	e.refs++
	k.mu.Unlock()

	select {
	case e.held <- struct{}{}:
		return func() { <-e.held; k.release(key, e) }, nil
	case <-ctx.Done():
		k.release(key, e)
		return nil, fmt.Errorf("wait for another request on network %s: %w", short(key), ctx.Err())
	}
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
