package page

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
)

const (
	// maxViewers is how many pages are served at a time. It leaves connections to scrapers.
	maxViewers = 8
	// backlog is how many lines a slow viewer may be behind, before it is given up.
	backlog = 32
	// lineTime is how long a viewer may take for a line.
	lineTime = 10 * time.Second
	// linesType is the type of the answer: a JSON value a line.
	linesType = "application/x-ndjson"
)

// live has one sampler for all viewers.
type live struct {
	source Source
	every  time.Duration
	log    *logrus.Entry

	// mu guards the rest.
	mu      sync.Mutex
	viewers map[chan []byte]bool
	// running is the sampler's; nil if nobody looks.
	running *sampler
}

// serve writes lines until the viewer goes, or the server ends.
func (l *live) serve(w http.ResponseWriter, r *http.Request) {
	lines, ok := l.join()
	if !ok {
		refuse(w, http.StatusServiceUnavailable, "too many pages are open: close one")
		return
	}
	defer l.leave(lines)
	conn := http.NewResponseController(w)
	// The times of the server are for answers that end.
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", linesType)
	w.WriteHeader(http.StatusOK)
	for {
		var line []byte
		var more bool
		select {
		case <-r.Context().Done():
			return
		case line, more = <-lines:
		}
		if !more || conn.SetWriteDeadline(time.Now().Add(lineTime)) != nil {
			return
		}
		if _, err := w.Write(line); err != nil || conn.Flush() != nil {
			return
		}
	}
}

// join adds a viewer, and starts the sampler for the first.
func (l *live) join() (lines chan []byte, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.viewers) == maxViewers {
		return nil, false
	}
	lines = make(chan []byte, backlog)
	l.viewers[lines] = true
	if l.running == nil {
		ctx, stop := context.WithCancel(context.Background())
		l.running = &sampler{live: l, stop: stop}
		go l.running.run(ctx)
	} else if so := l.running.soFar(); !so.empty() {
		lines <- encode(so)
	}
	return lines, true
}

// leave removes a viewer. The sampler ends with the last.
func (l *live) leave(lines chan []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.viewers, lines)
	if len(l.viewers) == 0 && l.running != nil {
		l.running.stop()
		l.running = nil
	}
}

// tell hands a message to all viewers. The caller has mu.
func (l *live) tell(m message) {
	if m.empty() {
		return
	}
	line := encode(m)
	for lines := range l.viewers {
		select {
		case lines <- line:
		default: // it asks again, and gets all there is
			delete(l.viewers, lines)
			close(lines)
		}
	}
}

func encode(m message) []byte {
	text, err := json.Marshal(m)
	if err != nil {
		text = []byte(`{"error":"no JSON"}`)
	}
	return append(text, '\n')
}
