package plugin

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/plugin/policyfile"
	"github.com/gangway-net/gangway/printable"
)

// Learned is what a lesson says next. With the policy comes its text, as a file has it.
type Learned struct {
	driver.Learned
	Text string `json:"text,omitempty"`
}

// maxLessonTime bounds how long a policy is learned: as long all passes.
const maxLessonTime = 7 * 24 * time.Hour

// LearnQuery is the name and query by which the admin API is asked to learn a policy: one JSON object a
// line, the last of which has the policy. Who goes before ends it, and gets the policy that far if
// only what he sends has ended (shutdown(2) with SHUT_WR).
func LearnQuery(of driver.Whom, span time.Duration) string {
	return PolicyQuery("learn", of, "") + "&seconds=" + strconv.FormatInt(int64(span/time.Second), 10)
}

// learnPolicy tells of what is seen until the time is over, the reader has gone or the daemon stops.
func (s *Server) learnPolicy(w http.ResponseWriter, r *http.Request) {
	seconds, err := strconv.ParseInt(r.URL.Query().Get("seconds"), 10, 64)
	if span := time.Duration(seconds) * time.Second; err != nil || seconds < 1 || seconds > int64(maxLessonTime/time.Second) || s.o.Policies == nil {
		adminJSON(w, http.StatusBadRequest, ErrorBody{Error: fmt.Sprintf("seconds %q: want 1 to %d", r.URL.Query().Get("seconds"), int64(maxLessonTime/time.Second))})
	} else {
		s.streamLines(w, r, func(ctx context.Context, started func() error, line func(any) error) error {
			return s.o.Policies.LearnPolicy(ctx, whomOf(r), span, started, func(l driver.Learned) error { return line(s.learned(whomOf(r), l)) })
		})
	}
}

// learned puts the text to the policy that was learned of somebody.
func (s *Server) learned(of driver.Whom, l driver.Learned) Learned {
	if l.Policy == nil {
		return Learned{Learned: l}
	}
	names := s.namesOf(of)
	called := cmp.Or(names.NetworkName, short(of.NetworkID))
	whom := "network " + printable.Word(called)
	if of.EndpointID != "" {
		called = cmp.Or(names.ContainerName, short(of.EndpointID))
		whom = "container " + printable.Word(called) + " on " + whom
	}
	about := []string{fmt.Sprintf("learned of %s in %s, flows: %d", whom, time.Duration(l.Seconds)*time.Second, l.Flows)}
	if l.Cut {
		about = append(about, "cut short before its time; something may be missing")
	}
	if l.Lost > 0 {
		about = append(about, fmt.Sprintf("packets lost, as they came too fast: %d; something may be missing", l.Lost))
	}
	if len(l.Policy.NamedNetworks()) > 0 {
		about = append(about, "network:NAME opens nothing unless the policy of that network names this one")
	}
	return Learned{l, policyfile.Write(policyfile.NameFor(called), *l.Policy, about...)}
}
