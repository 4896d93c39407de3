package driver

import (
	"context"
	"sync"
	"time"
)

// maxEvents is how many events are remembered.
const maxEvents = 1000

// The kinds of events.
const (
	// EventRepair is one thing in the kernel that was not as it should be.
	EventRepair = "repair"
	// EventLost is an endpoint that was removed since its container is gone, or a
	// network since its engine has it no more.
	EventLost = "lost"
	// EventFight says that the same repair is needed again and again,
	// EventPeace that it no longer is.
	EventFight = "fight"
	EventPeace = "peace"
	// EventProblem says that the kernel could not be made what it should be, or that
	// the host lacks what a network names; EventSolved that it is so no longer.
	EventProblem = "problem"
	EventSolved  = "solved"
	// EventDropped says how many packets were refused since the last event of the kind,
	// and why; there is at most one a minute.
	EventDropped = "dropped"
)

// Event is something that happened without a request.
type Event struct {
	// Number counts the events since the daemon's start, from 1.
	Number uint64    `json:"number"`
	Time   time.Time `json:"time"`
	// Kind is one of the Event constants.
	Kind string `json:"kind"`
	Text string `json:"text"`
}

// journal keeps the newest events. The zero value is empty.
type journal struct {
	mu     sync.Mutex
	events []Event
	last   uint64
	// counts has how many there were of each kind.
	counts map[string]uint64
	// more is closed when there are more.
	more chan struct{}
}

func (j *journal) add(kind, text string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last++
	if j.counts == nil {
		j.counts = map[string]uint64{}
	}
	j.counts[kind]++
	if len(j.events) == maxEvents {
		copy(j.events, j.events[1:])
		j.events = j.events[:maxEvents-1]
	}
	j.events = append(j.events, Event{Number: j.last, Time: time.Now(), Kind: kind, Text: text})
	if j.more != nil {
		close(j.more)
		j.more = nil
	}
}

// since returns the events after a number, oldest first, and what is closed
// when there are more. A number that was never given is of an earlier daemon,
// whose listener has missed everything.
func (j *journal) since(after uint64) ([]Event, <-chan struct{}) {
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

// Events returns the events after the given number that are remembered, oldest
// first; 0 stands for all of them. If there are none it waits for one, at most
// for the given time.
func (d *Driver) Events(ctx context.Context, after uint64, wait time.Duration) []Event {
	events, more := d.journal.since(after)
	if len(events) > 0 || wait <= 0 {
		return events
	}
	over := time.NewTimer(wait)
	defer over.Stop()
	select {
	case <-more:
		events, _ = d.journal.since(after)
	case <-over.C:
	case <-ctx.Done():
	}
	return events
}
