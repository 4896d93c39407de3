package plugin

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/docker/go-plugins-helpers/sdk"
)

// MetricsPath is where metrics are on the plugin's socket, and on the address of their
// own.
const MetricsPath = "/metrics"

// The results of calls.
const (
	ResultOK = "ok"
	// ResultRefused is a request that does not hold: nothing was done.
	ResultRefused = "refused"
	// ResultFailed is everything else that did not succeed.
	ResultFailed = "failed"
)

// Results lists them.
func Results() []string { return []string{ResultOK, ResultRefused, ResultFailed} }

// Calls is told of each call of the engine when it is answered.
type Calls interface {
	Answered(call, result string, took time.Duration)
}

// answered tells of a call.
func (s *Server) answered(call string, err error, took time.Duration) {
	s.count(err)
	if s.o.Calls != nil {
		s.o.Calls.Answered(call, resultOf(err), took)
	}
}

func resultOf(err error) string {
	var bad *requestError
	switch {
	case err == nil:
		return ResultOK
	case errors.As(err, &bad):
		return ResultRefused
	}
	return ResultFailed
}

// Restored says whether networks are as they were stored, and calls are carried out.
func (s *Server) Restored() bool { return s.restored() }

// CallNames lists the calls that there are.
func (s *Server) CallNames() []string { return slices.Clone(s.names) }

// InFlight is how many calls are under way, those among them that nobody waits for any
// more.
func (s *Server) InFlight() int64 { return s.inFlight.Load() }

// routeMetrics makes h answer MetricsPath. It does not wait for the state.
func (s *Server) routeMetrics(h sdk.Handler) {
	h.HandleFunc(MetricsPath, getOnly(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case s.o.Refuse != nil:
			adminJSON(w, http.StatusServiceUnavailable, ErrorBody{Error: s.o.Refuse.Error()})
		case s.o.Metrics == nil:
			adminJSON(w, http.StatusNotFound, ErrorBody{Error: "there are no metrics"})
		default:
			s.o.Metrics.ServeHTTP(w, r)
		}
	}))
}
