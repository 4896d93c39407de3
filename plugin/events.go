package plugin

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/docker/go-plugins-helpers/sdk"
)

// MaxEventWait is the longest time that a question for events waits for one.
const MaxEventWait = 15 * time.Second

// EventsQuery is the name and query by which the admin API is asked for the
// events after a number; without any it waits for one, in whole seconds.
func EventsQuery(after uint64, wait time.Duration) string {
	return fmt.Sprintf("events?after=%d&wait=%d", after, int(wait.Seconds()))
}

// parseEvents is the inverse of EventsQuery; both parameters may be missing.
func parseEvents(q url.Values) (after uint64, wait time.Duration, err error) {
	if v := q.Get("after"); v != "" {
		if after, err = strconv.ParseUint(v, 10, 64); err != nil {
			return 0, 0, fmt.Errorf("after %q: want the number of an event", v)
		}
	}
	if v := q.Get("wait"); v != "" {
		seconds, err := strconv.ParseUint(v, 10, 32)
		if err != nil || time.Duration(seconds)*time.Second > MaxEventWait {
			return 0, 0, fmt.Errorf("wait %q: want 0 to %d seconds", v, int(MaxEventWait.Seconds()))
		}
		wait = time.Duration(seconds) * time.Second
	}
	return after, wait, nil
}

// routeEvents answers with events. Who waits for one is answered at once when
// the daemon stops.
func (s *Server) routeEvents(h sdk.Handler) {
	h.HandleFunc(AdminPath+"events", getOnly(func(w http.ResponseWriter, r *http.Request) {
		after, wait, err := parseEvents(r.URL.Query())
		if err != nil {
			adminJSON(w, http.StatusBadRequest, ErrorBody{Error: err.Error()})
			return
		}
		if s.o.Refuse != nil {
			adminJSON(w, http.StatusServiceUnavailable, ErrorBody{Error: s.o.Refuse.Error()})
			return
		}
		ctx, cancel := s.untilStopping(r.Context())
		defer cancel()
		adminJSON(w, http.StatusOK, s.events(ctx, after, wait))
	}))
}
