package plugin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/docker/go-plugins-helpers/sdk"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/plugin/policyfile"
)

// Policies keep who may talk to whom. *driver.Driver is the real one.
type Policies interface {
	NamedPolicies
	PolicyExceptions
	PolicyQuestions
	PolicyLessons
}

// NamedPolicies are policies that networks and containers name.
type NamedPolicies interface {
	Policies() []driver.PolicyStatus
	ApplyPolicies(ctx context.Context, all []model.NamedPolicy, dry bool) ([]driver.PolicyOutcome, error)
	RemovePolicy(ctx context.Context, name string) error
}

// PolicyExceptions are what is allowed or denied beside them.
type PolicyExceptions interface {
	Exceptions() []driver.ExceptionStatus
	Except(ctx context.Context, of driver.Whom, x model.Exception) error
	Unexcept(ctx context.Context, of driver.Whom, to string) error
}

// PolicyQuestions are about what counts.
type PolicyQuestions interface {
	ExplainPolicy(of driver.Whom) (driver.PolicyExplanation, error)
	TestPolicy(ctx context.Context, of driver.Whom, to string) (driver.PolicyVerdict, error)
}

// PolicyLessons learn which policy would have allowed what is seen.
type PolicyLessons interface {
	LearnPolicy(ctx context.Context, of driver.Whom, span time.Duration, started func() error, tell func(driver.Learned) error) error
}

// PolicyFiles asks for policies to be applied.
type PolicyFiles struct {
	Files []PolicyFile `json:"files"`
	// DryRun says what would become of them, and changes nothing.
	DryRun bool `json:"dryRun,omitempty"`
}

// PolicyFile is a file with policies, as YAML.
type PolicyFile struct {
	// Name is for errors.
	Name string `json:"name"`
	Text string `json:"text"`
}

// PolicyException asks for an exception.
type PolicyException struct {
	driver.Whom
	Deny bool   `json:"deny,omitempty"`
	To   string `json:"to"`
	// Seconds is how long it counts; 0 for good.
	Seconds int64 `json:"seconds,omitempty"`
}

// maxExceptionTime bounds how long an exception can count that ends by itself.
const maxExceptionTime = 10 * 365 * 24 * time.Hour

// Exception is one with names.
type Exception struct {
	driver.ExceptionStatus
	NamesOfWhom
}

// NamesOfWhom says in names whom something about policies is for.
type NamesOfWhom struct {
	NetworkName   string `json:"networkName,omitempty"`
	ContainerName string `json:"containerName,omitempty"`
}

func (s *Server) namesOf(of driver.Whom) NamesOfWhom {
	n := NamesOfWhom{NetworkName: s.o.Names.Network(of.NetworkID)}
	if of.EndpointID != "" {
		n.ContainerName = s.o.Names.Container(of.EndpointID).Name
	}
	return n
}

// PolicyExplanation is one with names.
type PolicyExplanation struct {
	driver.PolicyExplanation
	NamesOfWhom
}

// PolicyVerdict is one with names.
type PolicyVerdict struct {
	driver.PolicyVerdict
	NamesOfWhom
}

// PolicyQuery is a path of the admin API with a query about a network, or one container on it.
func PolicyQuery(name string, of driver.Whom, to string) string {
	v := url.Values{"network": {of.NetworkID}}
	if of.EndpointID != "" {
		v.Set("endpoint", of.EndpointID)
	}
	if to != "" {
		v.Set("to", to)
	}
	return "policies/" + name + "?" + v.Encode()
}

// policyCall answers one request.
type policyCall func(ctx context.Context, w http.ResponseWriter, r *http.Request) (any, error)

// routePolicies answers what is asked of policies, and changes them.
func (s *Server) routePolicies(h sdk.Handler) {
	if s.o.Policies == nil && s.o.Refuse == nil {
		return
	}
	s.policyRoute(h, "policies", map[string]policyCall{
		http.MethodGet: func(context.Context, http.ResponseWriter, *http.Request) (any, error) {
			return s.o.Policies.Policies(), nil
		},
		http.MethodPost: s.applyPolicies,
		http.MethodDelete: func(ctx context.Context, _ http.ResponseWriter, r *http.Request) (any, error) {
			return struct{}{}, s.o.Policies.RemovePolicy(ctx, r.URL.Query().Get("name"))
		},
	})
	s.policyRoute(h, "policies/exceptions", map[string]policyCall{
		http.MethodGet:  s.exceptions,
		http.MethodPost: s.except,
		http.MethodDelete: func(ctx context.Context, _ http.ResponseWriter, r *http.Request) (any, error) {
			return struct{}{}, s.o.Policies.Unexcept(ctx, whomOf(r), r.URL.Query().Get("to"))
		},
	})
	s.policyRoute(h, "policies/explain", map[string]policyCall{
		http.MethodGet: func(_ context.Context, _ http.ResponseWriter, r *http.Request) (any, error) {
			e, err := s.o.Policies.ExplainPolicy(whomOf(r))
			return PolicyExplanation{e, s.namesOf(e.Whom)}, err
		},
	})
	h.HandleFunc(AdminPath+"policies/learn", getOnly(s.learnPolicy))
	s.policyRoute(h, "policies/test", map[string]policyCall{
		http.MethodGet: func(ctx context.Context, _ http.ResponseWriter, r *http.Request) (any, error) {
			v, err := s.o.Policies.TestPolicy(ctx, whomOf(r), r.URL.Query().Get("to"))
			v.Note = s.o.Names.Text(v.Note)
			return PolicyVerdict{v, s.namesOf(v.Whom)}, err
		},
	})
}

func whomOf(r *http.Request) driver.Whom {
	q := r.URL.Query()
	return driver.Whom{NetworkID: q.Get("network"), EndpointID: q.Get("endpoint")}
}

func (s *Server) policyRoute(h sdk.Handler, name string, calls map[string]policyCall) {
	h.HandleFunc(AdminPath+name, func(w http.ResponseWriter, r *http.Request) {
		call, known := calls[r.Method]
		if !known {
			adminJSON(w, http.StatusMethodNotAllowed, ErrorBody{Error: "method " + r.Method + ": " + name + " has no such method; see docs/admin-api.md"})
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), s.o.VerbTime)
		defer cancel()
		if err := s.waitReady(ctx); err != nil {
			adminJSON(w, http.StatusServiceUnavailable, ErrorBody{Error: err.Error()})
			return
		}
		answer, err := call(ctx, w, r)
		if err != nil {
			adminJSON(w, policyStatus(err), ErrorBody{Error: s.o.Names.Text(err.Error())})
			return
		}
		adminJSON(w, http.StatusOK, answer)
	})
}

// policyStatus is the HTTP status of an error.
func policyStatus(err error) int {
	var (
		bad      *requestError
		unknown  *driver.UnknownPolicyError
		conflict *model.ConflictError
	)
	switch {
	case errors.As(err, &bad):
		return bad.status
	case errors.As(err, &unknown):
		return http.StatusNotFound
	case errors.As(err, &conflict):
		return http.StatusConflict
	}
	return http.StatusInternalServerError
}

// applyPolicies makes policies what files say.
func (s *Server) applyPolicies(ctx context.Context, w http.ResponseWriter, r *http.Request) (any, error) {
	var req PolicyFiles
	if err := decode(w, r, false, &req); err != nil {
		return nil, err
	}
	var all []policyfile.Document
	for _, f := range req.Files {
		documents, err := policyfile.Parse(f.Name, f.Text)
		if err != nil {
			return nil, badf("%v", err)
		}
		all = append(all, documents...)
	}
	if err := policyfile.Unique(all); err != nil {
		return nil, badf("%v", err)
	}
	if len(all) == 0 {
		return nil, badf("there is no policy in these files")
	}
	var policies []model.NamedPolicy
	for _, d := range all {
		policies = append(policies, model.NamedPolicy{Name: d.Name, Text: d.Text, Policy: d.Policy})
	}
	return s.o.Policies.ApplyPolicies(ctx, policies, req.DryRun)
}

// exceptions lists them with names.
func (s *Server) exceptions(context.Context, http.ResponseWriter, *http.Request) (any, error) {
	out := []Exception{}
	for _, x := range s.o.Policies.Exceptions() {
		out = append(out, Exception{x, s.namesOf(x.Whom)})
	}
	return out, nil
}

// except makes one.
func (s *Server) except(ctx context.Context, w http.ResponseWriter, r *http.Request) (any, error) {
	var req PolicyException
	if err := decode(w, r, false, &req); err != nil {
		return nil, err
	}
	x := model.Exception{Deny: req.Deny, To: req.To}
	if req.Seconds < 0 || req.Seconds > int64(maxExceptionTime/time.Second) {
		return nil, badf("seconds %d: want 0, for good, to %d", req.Seconds, int64(maxExceptionTime/time.Second))
	}
	if req.Seconds > 0 {
		until := time.Now().Add(time.Duration(req.Seconds) * time.Second).Round(time.Millisecond).UTC()
		x.Until = &until
	}
	if err := s.o.Policies.Except(ctx, req.Whom, x); err != nil {
		return nil, fmt.Errorf("%s: %w", req.To, err)
	}
	return Exception{driver.ExceptionStatus{Whom: req.Whom, Deny: x.Deny, To: x.To, Until: x.Until}, s.namesOf(req.Whom)}, nil
}
