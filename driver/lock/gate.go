package lock

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Patience is how long whoever has to be alone waits for a moment without verbs, and
// then keeps new ones out. A verb that takes longer may never end.
const Patience = time.Second

// Gate lets verbs work side by side, and whoever must not be beside any of them alone.
// A verb that hangs keeps nobody out: who wants to be alone gives up. A sync.RWMutex
// was rejected: behind whoever waits for a hung verb to end, all others wait.
type Gate struct {
	mu sync.Mutex
	// inside holds the verbs that are inside, and since when.
	inside map[uint64]time.Time
	last   uint64
	// closed says that nobody gets in: somebody is alone, or about to be.
	closed bool
	// moved is closed when any of this changes; nil if nobody waits.
	moved chan struct{}
}

// Enter lets a verb in. It waits at most for whoever is alone, or for ctx.
func (g *Gate) Enter(ctx context.Context) (leave func(), err error) {
	for {
		id, moved := g.tryEnter()
		if moved == nil {
			return func() { g.leave(id) }, nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the end of a check: %w", ctx.Err())
		}
	}
}

func (g *Gate) tryEnter() (id uint64, moved <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return 0, g.wait()
	}
	if g.inside == nil {
		g.inside = map[uint64]time.Time{}
	}
	g.last++
	g.inside[g.last] = time.Now()
	return g.last, nil
}

func (g *Gate) leave(id uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.inside, id)
	g.tell()
}

// Alone waits until no verb is inside: for some time while others come and go, and then
// as long again with new ones kept out, unless one of those inside has been there for
// too long already. It fails if that does not come to pass. One at a time may ask.
func (g *Gate) Alone(ctx context.Context) (leave func(), err error) {
	var oldest time.Duration
	for _, keepOut := range []bool{false, true} {
		var is bool
		if oldest, is = g.await(ctx, keepOut); is {
			return g.open, nil
		}
		if oldest >= Patience || ctx.Err() != nil {
			break
		}
	}
	g.open()
	return nil, fmt.Errorf("a request has been under way for %s, see gangway status", oldest.Round(time.Second))
}

// await waits until no verb is inside, or until patience is over. Then it tells for how
// long the oldest has been.
func (g *Gate) await(ctx context.Context, keepOut bool) (oldest time.Duration, alone bool) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	for {
		moved, oldest := g.tryAlone(keepOut)
		if moved == nil {
			return 0, true
		}
		if ctx.Err() != nil {
			return oldest, false
		}
		select {
		case <-moved:
		case <-ctx.Done():
		}
	}
}

// tryAlone closes the gate if nobody is inside, or if it is to keep new ones out. It
// returns nil if the caller is alone, else what to wait for, and for how long the oldest
// has been inside.
func (g *Gate) tryAlone(keepOut bool) (moved <-chan struct{}, oldest time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, since := range g.inside {
		oldest = max(oldest, time.Since(since))
	}
	g.closed = keepOut || len(g.inside) == 0
	if len(g.inside) == 0 {
		return nil, 0
	}
	return g.wait(), oldest
}

// open lets verbs in again.
func (g *Gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = false
	g.tell()
}

// Idle says whether no verb is inside.
func (g *Gate) Idle() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.inside) == 0
}

func (g *Gate) wait() <-chan struct{} {
	if g.moved == nil {
		g.moved = make(chan struct{})
	}
	return g.moved
}

func (g *Gate) tell() {
	if g.moved != nil {
		close(g.moved)
		g.moved = nil
	}
}
