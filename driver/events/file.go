package events

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	// maxFile is when the file is written anew, with what is remembered.
	maxFile = 2 * mostBytes
	// maxNumber is more than there will be, and what JSON can say everywhere.
	maxNumber = 1 << 53
	// retryTime is the pause after a write that failed, closeTime what the last one gets.
	retryTime = 10 * time.Second
	closeTime = time.Second
	// hungTime is how long a write has to take until it counts as one that does not end.
	hungTime = 5 * time.Second
)

// file is where events outlive the process, one as JSON a line.
//
// A new line is appended, and is the kernel's then: the end of the process leaves it there. It
// is not waited for until it is on disk, since that would hold up the state's own writes; a
// crash of the host costs the last half minute, a kill of the daemon its last moment. A line
// that is cut off by that, or by a disk that is full, is left out when it is read.
type file struct {
	path string
	tell func(problem string)
	// news has something in it when there is something to write; stop is closed at the end,
	// and ended after it.
	news        chan struct{}
	stop, ended chan struct{}

	written
	said
}

// written is what the file has; of the writing goroutine alone.
type written struct {
	// last is the last number in it, open the file or nil if it has to be written anew, size
	// how long it is.
	last uint64
	open *os.File
	size int64
}

// said is how writing goes.
type said struct {
	mu sync.Mutex
	// problem is why the last write failed; since is when one began that goes on.
	problem string
	since   time.Time
}

func newFile(path string, tell func(string)) *file {
	if tell == nil {
		tell = func(string) {}
	}
	return &file{path: path, tell: tell, news: make(chan struct{}, 1), stop: make(chan struct{}), ended: make(chan struct{})}
}

// read returns the events of the file in the order of their numbers.
func (f *file) read() []Event {
	in, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		defer func() { _ = in.Close() }()
		var events []Event
		if events, err = readEvents(in); err == nil {
			return events
		}
	}
	f.note(fmt.Errorf("read the events of earlier starts: %w", err))
	return nil
}

// readEvents reads the newest events of a file, and leaves out what is none.
func readEvents(in io.ReadSeeker) (events []Event, err error) {
	end, err := in.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	if _, err = in.Seek(max(0, end-2*maxFile), io.SeekStart); err != nil {
		return nil, err
	}
	lines := bufio.NewReader(io.LimitReader(in, 2*maxFile))
	last := uint64(0)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return events, nil // what has no end was cut off
		}
		if err != nil {
			return events, err
		}
		var e Event
		if json.Unmarshal(bytes.TrimSpace(line), &e) != nil || e.Kind == "" || e.Number <= last || e.Number > maxNumber {
			continue
		}
		last = e.Number
		events = append(events, e.bounded())
	}
}

// bounded is an event whose texts are not longer than those of a new one.
func (e Event) bounded() Event {
	for _, text := range []*string{&e.Kind, &e.Text, &e.Reason, &e.Done, &e.NetworkID, &e.NetworkName, &e.ContainerID, &e.ContainerName} {
		*text = cut(*text)
	}
	return e
}

// wake says that there is something to write.
func (f *file) wake() {
	select {
	case f.news <- struct{}{}:
	default: // it is told already
	}
}

// run writes what is new until close. unwritten returns the lines after a number, or all that
// is remembered.
func (f *file) run(unwritten func(after uint64, all bool) ([]byte, uint64)) {
	defer close(f.ended)
	for {
		retry := time.Duration(-1)
		if err := f.write(unwritten); err != nil {
			retry = retryTime
		}
		if !f.await(retry) {
			_ = f.write(unwritten)
			f.end()
			return
		}
	}
}

// await returns when there is something to write, or to try again; false at the end.
func (f *file) await(retry time.Duration) bool {
	news, again := f.news, (<-chan time.Time)(nil)
	if retry >= 0 {
		timer := time.NewTimer(retry)
		defer timer.Stop()
		news, again = nil, timer.C
	}
	select {
	case <-news:
		return true
	case <-again:
		return true
	case <-f.stop:
		return false
	}
}

// write brings the file up to date.
func (f *file) write(unwritten func(after uint64, all bool) ([]byte, uint64)) error {
	defer f.begin()()
	lines, last := unwritten(f.last, f.open == nil)
	if f.open != nil && f.size+int64(len(lines)) > maxFile {
		f.shut()
		lines, last = unwritten(0, true)
	}
	var err error
	switch {
	case f.open == nil:
		err = f.renew(lines)
	case len(lines) > 0:
		err = f.append(lines)
	}
	if err != nil {
		f.shut()
		err = fmt.Errorf("write events to %s: %w", f.path, err)
	} else {
		f.last = last
	}
	f.note(err)
	return err
}

// append writes lines behind the others.
func (f *file) append(lines []byte) error {
	n, err := f.open.Write(lines)
	if err != nil {
		return errors.Join(err, f.open.Truncate(f.size)) // half a line would be left out as well
	}
	f.size += int64(n)
	return nil
}

// renew writes the file anew, beside the old one, and puts it in its place when it is whole.
func (f *file) renew(lines []byte) (err error) {
	if err = os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return err
	}
	fresh := f.path + ".new"
	if err = os.RemoveAll(fresh); err != nil {
		return err
	}
	out, err := os.OpenFile(fresh, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if _, err = out.Write(lines); err == nil {
		err = out.Sync()
	}
	if err == nil {
		err = os.Rename(fresh, f.path)
	}
	if err != nil {
		return errors.Join(err, out.Close(), os.RemoveAll(fresh))
	}
	f.open, f.size = out, int64(len(lines))
	return nil
}

// shut has the file written anew next.
func (f *file) shut() {
	if f.open != nil {
		_ = f.open.Close() // what was written is told of already
		f.open = nil
	}
}

// end closes the file when all that is in it is on disk.
func (f *file) end() {
	if f.open != nil {
		_ = f.open.Sync() // for what the host does next; nobody is left to tell
	}
	f.shut()
}

// close ends run. A disk that does not answer is not waited for.
func (f *file) close() {
	close(f.stop)
	select {
	case <-f.ended:
	case <-time.After(closeTime):
	}
}

// note notes why events do not get to the file, or that they do.
func (f *file) note(err error) {
	problem := ""
	if err != nil {
		problem = err.Error()
	}
	f.mu.Lock()
	was := f.problem
	f.problem = problem
	f.mu.Unlock()
	if problem != was {
		f.tell(problem)
	}
}

// begin notes that writing has begun, until it has ended.
func (f *file) begin() (ended func()) {
	note := func(at time.Time) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.since = at
	}
	note(time.Now())
	return func() { note(time.Time{}) }
}

// trouble says why what is new does not get to the file; empty if it does.
func (f *file) trouble() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if took := time.Since(f.since); !f.since.IsZero() && took > hungTime {
		return fmt.Sprintf("write events to %s: no answer for %s", f.path, took.Round(time.Second))
	}
	return f.problem
}
