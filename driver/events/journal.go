// Package events keeps what happened without a request: repairs, what was lost, problems.
// Its journal has the newest events, numbered without a gap; it never waits for a reader,
// and refuses to keep more than it can hold.
package events

import (
	"context"
	"sync"
	"time"
)

// most is how many events are remembered.
const most = 1000

// The kinds of events.
const (
	// Repair is one thing in the kernel that was not as it should be.
	Repair = "repair"
	// Lost is an endpoint that was removed since its container is gone, or a
	// network since its engine has it no more.
	Lost = "lost"
	// Flapping says that the same repair is needed again and again, FlappingOver that it
	// no longer is.
	Flapping     = "flapping"
	FlappingOver = "settled"
	// Problem says that the kernel could not be made what it should be, or that
	// the host lacks what a network names; Solved that it is so no longer.
	Problem = "problem"
	Solved  = "solved"
	// Dropped says how many packets were refused since the last event of the kind,
	// and why; there is at most one a minute.
	Dropped = "dropped"
)

// Event is something that happened without a request.
type Event struct {
	// Number counts the events since the daemon's start, from 1.
	Number uint64    `json:"number"`
	Time   time.Time `json:"time"`
	// Kind is one of the constants of this package.
	Kind string `json:"kind"`
	Text string `json:"text"`
}

// Journal keeps the newest events. The zero value is empty. Its methods are safe for
// concurrent use.
type Journal struct {
	mu     sync.Mutex
	events []Event
	last   uint64
	// counts has how many there were of each kind.
	counts map[string]uint64
	// more is closed when there are more.
	more chan struct{}
}

// Add notes an event of a kind that happened now.
func (j *Journal) Add(kind, text string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last++
	if j.counts == nil {
		j.counts = map[string]uint64{}
	}
	j.counts[kind]++
	if len(j.events) == most {
		copy(j.events, j.events[1:])
		j.events = j.events[:most-1]
	}
	j.events = append(j.events, Event{Number: j.last, Time: time.Now(), Kind: kind, Text: text})
	if j.more != nil {
		close(j.more)
		j.more = nil
	}
}

// Counts are the events since the daemon's start, of each kind, if only 0.
func (j *Journal) Counts() map[string]uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	counts := map[string]uint64{}
	for _, kind := range []string{Repair, Lost, Flapping, FlappingOver, Problem, Solved, Dropped} {
		counts[kind] = j.counts[kind]
	}
	return counts
}

// since returns the events after a number, oldest first, and what is closed
// when there are more. A number that was never given is of an earlier daemon,
// whose listener has missed everything.
func (j *Journal) since(after uint64) ([]Event, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.more == nil {
		j.more = make(chan struct{})
	}
	if after > j.last {
		after = 0
	}
	fresh := min(j.last-after, uint64(len(j.events)))
	return append([]Event{}, j.events[uint64(len(j.events))-fresh:]...), j.more
}

// After returns the events after the given number that are remembered, oldest
// first; 0 stands for all of them. If there are none it waits for one, at most
// for the given time or until ctx ends.
func (j *Journal) After(ctx context.Context, number uint64, wait time.Duration) []Event {
	events, more := j.since(number)
	if len(events) > 0 || wait <= 0 {
		return events
	}
	over := time.NewTimer(wait)
	defer over.Stop()
	select {
	case <-more:
		events, _ = j.since(number)
	case <-over.C:
	case <-ctx.Done():
	}
	return events
}
