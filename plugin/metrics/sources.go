package metrics

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/driver/cause"
	"github.com/gangway-net/gangway/driver/spec"
	"github.com/gangway-net/gangway/ipam"
)

// Datapath tells how networks are; *driver.Driver is the real one.
type Datapath interface {
	Measures(ctx context.Context) driver.Measures
}

// Traffic tells what has passed endpoints; *link.Handle is the real one.
type Traffic interface {
	Traffic(ctx context.Context) (map[string]spec.Traffic, error)
}

// Flows tells how full connection tracking is; *conntrack.Table is the real one.
type Flows interface {
	Use() (spec.FlowUse, error)
}

// Pools tells how full pools are; *ipam.Allocator is the real one. It answers at once.
type Pools interface {
	Pools() []ipam.PoolStatus
}

// Names tells what an engine calls a network, and the container that has an endpoint.
// What it does not know is empty, and the label is the id then. It answers at once.
type Names interface {
	Names(networkID, endpointID string) (network, container string)
}

// Daemon tells how the daemon itself is; *plugin.Server is the real one.
type Daemon interface {
	// Restored says whether there is anything to tell of networks.
	Restored() bool
	// Causes are what keeps it from being ok, with such a status of the datapath.
	Causes(of driver.Status) []cause.Cause
	InFlight() int64
	// CallNames lists the calls that an engine can make.
	CallNames() []string
}

// sourceTime is how long a scrape waits for one source. Scrapers wait 10 s by default.
const sourceTime = 3 * time.Second

// errBusy says that a source has not answered an earlier scrape yet.
var errBusy = errors.New("an earlier question is not answered yet")

// source asks something that may hang in the kernel. At most one question is open.
type source[T any] struct {
	ask  func(context.Context) (T, error)
	busy sync.Mutex
}

// answer is what a source has said.
type answer[T any] struct {
	value T
	err   error
}

// start asks, and returns where the answer comes within sourceTime.
func (s *source[T]) start(ctx context.Context) <-chan answer[T] {
	to := make(chan answer[T], 2)
	if !s.busy.TryLock() {
		to <- answer[T]{err: errBusy}
		return to
	}
	ctx, cancel := context.WithTimeout(ctx, sourceTime)
	context.AfterFunc(ctx, func() { to <- answer[T]{err: ctx.Err()} })
	go func() {
		defer cancel()
		value, err := s.ask(ctx)
		s.busy.Unlock()
		to <- answer[T]{value, err}
	}()
	return to
}
