package events

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"
)

const (
	// most is how many events are remembered, mostBytes how much they are as JSON.
	most      = 1000
	mostBytes = 512 << 10
)

// Journal keeps the newest events. The zero value is empty, and kept in memory only; see
// Open. Its methods are safe for concurrent use.
type Journal struct {
	// describe adds names to a new event; nil for none.
	describe func(*Event)
	file     *file

	mu      sync.Mutex
	entries []entry
	bytes   int
	last    uint64
	// counts has how many there were of each kind.
	counts map[string]uint64
	// more is closed when there are more.
	more chan struct{}
}

// entry is an event with its line of the file.
type entry struct {
	Event
	line []byte
}

func entryOf(e Event) entry {
	line, err := json.Marshal(e)
	if err != nil {
		line = []byte("{}") // an event has no value that JSON cannot say
	}
	return entry{e, append(line, '\n')}
}

// Options are what a journal works with.
type Options struct {
	// File is the path of the file from which the journal goes on and in which it is kept.
	File string
	// Describe, if set, adds to a new event what it is about, by name. It is called beneath
	// locks of whoever adds one, and waits for nothing.
	Describe func(*Event)
	// Tell is called when the file cannot be written or read, with the reason, and when it
	// can again, with "".
	Tell func(problem string)
}

// Open returns a journal with the events of the file, as far as they can be read, and writes
// new ones there until Close.
func Open(o Options) *Journal {
	j := &Journal{describe: o.Describe}
	j.file = newFile(o.File, o.Tell)
	for _, e := range j.file.read() {
		j.keep(entryOf(e))
		j.last = e.Number
	}
	j.file.last = j.last
	j.last = max(j.last, uint64(max(0, time.Now().UnixMicro()))) //nolint:gosec // not negative
	go j.file.run(j.unwritten)
	return j
}

// Close writes what is new, for a second at most, and writes no more.
func (j *Journal) Close() {
	if j.file != nil {
		j.file.close()
	}
}

// Trouble says why events do not outlive the daemon; empty if they do.
func (j *Journal) Trouble() string {
	if j.file == nil {
		return ""
	}
	return j.file.trouble()
}

// Add notes an event of a kind that happened now: what was found, and what was done about it,
// empty for nothing.
func (j *Journal) Add(kind, reason, done string) { j.add(newEvent(kind, reason, done)) }

// Repaired notes a repair, by the line that tells of it.
func (j *Journal) Repaired(line string) { j.add(repaired(line)) }

func (j *Journal) add(e Event) {
	if j.describe != nil {
		j.describe(&e)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last++
	e.Number = j.last
	if j.counts == nil {
		j.counts = map[string]uint64{}
	}
	j.counts[e.Kind]++
	j.keep(entryOf(e))
	if j.more != nil {
		close(j.more)
		j.more = nil
	}
	if j.file != nil {
		j.file.wake()
	}
}

// keep remembers an event, and forgets the oldest beyond the bounds.
func (j *Journal) keep(e entry) {
	j.entries = append(j.entries, e)
	j.bytes += len(e.line)
	gone := 0
	for len(j.entries)-gone > most || j.bytes > mostBytes && len(j.entries)-gone > 1 {
		j.bytes -= len(j.entries[gone].line)
		gone++
	}
	if gone > 0 {
		j.entries = slices.Delete(j.entries, 0, gone)
	}
}

// Counts are the events since the daemon's start, of each kind, if only 0.
func (j *Journal) Counts() map[string]uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	counts := map[string]uint64{}
	for _, kind := range Kinds() {
		counts[kind] = j.counts[kind]
	}
	return counts
}

// from returns the place of the first event behind a number.
func (j *Journal) from(after uint64) int {
	i, _ := slices.BinarySearchFunc(j.entries, after, func(e entry, n uint64) int {
		if e.Number <= n {
			return -1
		}
		return 1
	})
	return i
}

// since returns the events after a number, oldest first, and what is closed
// when there are more. A number that was never given is of another journal,
// whose listener has missed everything of this one.
func (j *Journal) since(after uint64) ([]Event, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.more == nil {
		j.more = make(chan struct{})
	}
	if after > j.last {
		after = 0
	}
	events := []Event{}
	for _, e := range j.entries[j.from(after):] {
		events = append(events, e.Event)
	}
	return events, j.more
}

// unwritten returns the lines of the events after a number, or of all, and the last number.
func (j *Journal) unwritten(after uint64, all bool) (lines []byte, last uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if all {
		after = 0
	}
	for _, e := range j.entries[j.from(after):] {
		lines = append(lines, e.line...)
	}
	return lines, j.last
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
