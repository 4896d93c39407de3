package drift

import (
	"errors"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/driver/model"
)

// Health is what comparisons have found. Its methods are safe for concurrent use; its mutex is
// never held across I/O.
type Health struct {
	journal *events.Journal
	log     *logrus.Entry
	mu      sync.Mutex
	report  Report
	// missing holds the endpoints whose link pair was in no container at the last
	// check.
	missing map[string]Missing
	// unheld has for containers, by sandbox, what keeps their host ports from being held.
	unheld map[string][]string
}

// Report is what is to be known of comparisons.
type Report struct {
	// Checks counts the comparisons, and Repairs what they had to mend, in Mended by kind.
	Checks, Repairs uint64
	Mended          map[string]uint64
	LastCheck       time.Time
	// Problem is empty if the last comparison ended well.
	Problem string
	// Unheld has a line for each host port that is not held and is tried again.
	Unheld []string
}

// NewHealth returns health of which nothing is known.
func NewHealth(j *events.Journal, log *logrus.Entry) *Health {
	return &Health{journal: j, log: log, report: Report{Mended: map[string]uint64{}}, unheld: map[string][]string{}}
}

// Report returns what is known.
func (h *Health) Report() Report {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.report
	r.Mended = maps.Clone(r.Mended)
	for _, sandbox := range slices.Sorted(maps.Keys(h.unheld)) {
		r.Unheld = append(r.Unheld, h.unheld[sandbox]...)
	}
	return r
}

// finish publishes what was found. A problem is logged when it is new.
func (h *Health) finish(c *Comparison, now time.Time) {
	problem := ""
	if err := errors.Join(c.failed...); err != nil {
		problem = err.Error()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch was := h.report.Problem; {
	case problem != "" && problem != was:
		h.log.Error("the kernel does not hold what it should: " + problem)
		h.journal.Add(events.Problem, problem, "")
	case problem == "" && was != "":
		h.log.Info("the kernel holds what it should again")
		h.journal.Add(events.Solved, "solved: "+was, "")
	}
	h.report.Checks++
	h.report.Repairs += uint64(len(c.fixed))
	for kind, n := range c.byKind {
		h.report.Mended[kind] += n
	}
	h.report.LastCheck = now
	h.report.Problem = problem
	h.missing = c.missing
}

// unsettled says whether the last comparison failed, and which endpoints' pairs were missing.
func (h *Health) unsettled() (problem bool, missing []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.report.Problem != "", slices.Collect(maps.Keys(h.missing))
}

// was returns what was known of an endpoint whose pair is missing.
func (h *Health) was(endpointID string) (m Missing, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	m, known = h.missing[endpointID]
	return m, known
}

// anyUnheld says whether there is a host port that is not held.
func (h *Health) anyUnheld() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.unheld) > 0
}

// Unheld returns the sandboxes of containers of whose host ports some are not held.
func (h *Health) Unheld() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.unheld))
}

// TellUnheld takes over which ports of a container are not held, a line for each, and logs
// what is new. whose names the container if there are any.
func (h *Health) TellUnheld(sandbox, whose string, unheld []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	was, name := h.unheld[sandbox], model.Short(path.Base(sandbox))
	known := map[string]bool{}
	for _, line := range was {
		known[portOf(line)] = true
	}
	for _, line := range unheld {
		if !known[portOf(line)] {
			h.log.WithField("sandbox", name).Warn(line + "; this is tried again")
			h.journal.Add(events.Problem, line+" ("+whose+")", "")
		}
	}
	if len(unheld) > 0 {
		h.unheld[sandbox] = unheld
		return
	}
	if len(was) > 0 {
		h.log.WithField("sandbox", name).Info("all published ports are held again")
		h.journal.Add(events.Solved, "solved: "+strings.Join(was, "; "), "")
	}
	delete(h.unheld, sandbox)
}

// portOf is the part of a line that names the port: who is in its way may change.
func portOf(line string) string {
	name, _, _ := strings.Cut(line, " is not held")
	return name
}
