package plugin

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/docker/go-plugins-helpers/sdk"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/driver/cause"
)

// AdminPath is where the admin API begins on the plugin's socket. The paths
// below it are health, status, networks, endpoints, ports, addresses, graph, drops, decisions, events, foreign and version;
// each answers GET with JSON. rate takes a POST. Those of policies, which can be changed as well, are in policies.go.
const AdminPath = "/gangway/v1/"

// Version says which build this is.
type Version struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go,omitempty"`
}

// Health is the shortest answer to whether all is well. Its HTTP status is 200
// for cause.OK and 503 for the others.
type Health struct {
	// State is the worst of the causes'.
	State cause.State `json:"state"`
	// Causes are why, the worst first; those of cause.OK are limits of the host.
	Causes []cause.Cause `json:"causes,omitempty"`
	// Unguarded says why containers are not kept from claiming addresses that
	// are not theirs; empty if they are. It is no problem of the moment.
	Unguarded string `json:"unguarded,omitempty"`
	// Protection is what stands between a flush of all rules by others and open
	// networks. It is no problem of the moment either.
	Protection string `json:"protection,omitempty"`
}

// Status is the state of the datapath and of the daemon.
type Status struct {
	driver.Status
	State   cause.State `json:"state"`
	Version Version     `json:"version"`
	Started time.Time   `json:"started"`
	// Settings are those that the daemon runs with, as text, by flag; secret ones are masked.
	Settings map[string]string `json:"settings,omitempty"`
	// Serving is where containers whose policy has names are served.
	Serving Serving `json:"serving,omitzero"`
	// Calls of the plugin protocol since the start: under way, answered, and
	// answered with an error.
	InFlight int64 `json:"inFlight"`
	Served   int64 `json:"served"`
	Failed   int64 `json:"failed"`
}

// Serving are ports of the host: where questions for names are answered, and where connections of strict
// names are read. 0 is nowhere.
type Serving struct {
	Questions   uint16 `json:"questions,omitempty"`
	Connections uint16 `json:"connections,omitempty"`
}

// ErrorBody is what the admin API answers when it cannot, with a status other
// than 200.
type ErrorBody struct {
	Error string `json:"error"`
}

// routeAdmin makes h answer the admin API.
func (s *Server) routeAdmin(h sdk.Handler) {
	s.adminRoute(h, "networks", func(ctx context.Context) (any, error) {
		return s.networks(ctx), nil
	})
	s.adminRoute(h, "endpoints", func(ctx context.Context) (any, error) {
		return s.endpoints(ctx)
	})
	s.adminRoute(h, "ports", func(ctx context.Context) (any, error) {
		return s.ports(ctx), nil
	})
	s.adminRoute(h, "graph", func(ctx context.Context) (any, error) {
		return s.Graph(ctx)
	})
	s.routeHoldings(h)
	s.routeRate(h)
	s.routeForeign(h)
	s.routeDrops(h)
	s.routePolicies(h)
	s.routeEvents(h)
	s.routeStatus(h)
	h.HandleFunc(AdminPath+"version", getOnly(func(w http.ResponseWriter, _ *http.Request) {
		adminJSON(w, http.StatusOK, s.o.Version)
	}))
	h.HandleFunc(AdminPath+"health", getOnly(func(w http.ResponseWriter, r *http.Request) {
		health := s.health(r.Context())
		status := http.StatusOK
		if health.State != cause.OK {
			status = http.StatusServiceUnavailable
		}
		adminJSON(w, status, health)
	}))
}

// adminRoute answers a question about the state. Like a call of the engine it
// waits for the state to be restored: who asks right after the daemon's start
// (docker plugin enable; gangway status) need not try again.
func (s *Server) adminRoute(h sdk.Handler, name string, ask func(context.Context) (any, error)) {
	h.HandleFunc(AdminPath+name, getOnly(s.adminAnswer(ask)))
}

func (s *Server) adminAnswer(ask func(context.Context) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), s.o.VerbTime)
		defer cancel()
		if err := s.waitReady(ctx); err != nil {
			adminJSON(w, http.StatusServiceUnavailable, ErrorBody{Error: err.Error()})
			return
		}
		answer, err := ask(ctx)
		if err != nil {
			adminJSON(w, http.StatusInternalServerError, ErrorBody{Error: s.o.Names.Text(err.Error())})
			return
		}
		adminJSON(w, http.StatusOK, answer)
	}
}

// routeStatus answers how the daemon is, also if it cannot work.
func (s *Server) routeStatus(h sdk.Handler) {
	if s.o.Refuse == nil {
		s.adminRoute(h, "status", func(ctx context.Context) (any, error) { return s.status(ctx), nil })
		return
	}
	h.HandleFunc(AdminPath+"status", getOnly(func(w http.ResponseWriter, r *http.Request) {
		adminJSON(w, http.StatusOK, s.status(r.Context()))
	}))
}

// refusing is the Inspector of a daemon that cannot work. Nothing but its status is
// asked for.
type refusing struct {
	Inspector
	why error
}

func (r refusing) Status(context.Context) driver.Status {
	return driver.Status{Causes: []cause.Cause{cause.Of(cause.Refused, r.why.Error())}}
}

func getOnly(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			adminJSON(w, http.StatusMethodNotAllowed, ErrorBody{Error: "method " + r.Method + ": the admin API is read with GET"})
			return
		}
		next(w, r)
	}
}

func adminJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	encode(w, status, v)
}

func (s *Server) restored() bool {
	select {
	case <-s.ready:
		return true
	default:
		return false
	}
}

func (s *Server) health(ctx context.Context) Health {
	var status driver.Status
	if s.restored() || s.o.Refuse != nil {
		status = s.o.Inspector.Status(ctx)
	}
	status = s.named(status)
	return Health{
		State: cause.Worst(status.Causes), Causes: status.Causes,
		Unguarded: status.Unguarded, Protection: status.Protection,
	}
}

// Causes are what keeps the daemon from being ok, with such a status of the datapath: the
// worst first, without names.
func (s *Server) Causes(of driver.Status) []cause.Cause {
	all := slices.Clone(of.Causes)
	if s.o.Refuse == nil && !s.restored() {
		all = []cause.Cause{cause.Of(cause.Restoring, "networks are being restored since "+time.Since(s.started).Round(time.Second).String())}
	}
	if s.o.Causes != nil {
		all = append(all, s.o.Causes()...)
	}
	cause.Sort(all)
	return all
}

func (s *Server) status(ctx context.Context) Status {
	status := s.named(s.o.Inspector.Status(ctx))
	var at Serving
	if s.o.Serving != nil {
		at = s.o.Serving()
	}
	return Status{
		Serving:  at,
		Status:   status,
		State:    cause.Worst(status.Causes),
		Version:  s.o.Version,
		Started:  s.started,
		Settings: s.o.Settings,
		InFlight: s.inFlight.Load(),
		Served:   s.served.Load(),
		Failed:   s.failed.Load(),
	}
}
