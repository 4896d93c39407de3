package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/driver/model"
)

// kept notes what it is asked for, and fails as it is told.
type kept struct {
	calls []string
	err   error
	until *time.Time
}

func (k *kept) call(format string, args ...any) error {
	k.calls = append(k.calls, fmt.Sprintf(format, args...))
	return k.err
}

// LearnPolicy tells of one flow.
func (k *kept) LearnPolicy(_ context.Context, of driver.Whom, span time.Duration, started func() error, tell func(driver.Learned) error) error {
	if of.NetworkID == "gone" {
		return model.UnknownNetwork("gone")
	}
	if err := started(); err != nil {
		return err
	}
	return tell(driver.Learned{Flow: fmt.Sprint(of, span)})
}

func (k *kept) Policies() []driver.PolicyStatus {
	return []driver.PolicyStatus{{Name: "a", Text: "name: a\n"}}
}

func (k *kept) ApplyPolicies(_ context.Context, all []model.NamedPolicy, dry bool) ([]driver.PolicyOutcome, error) {
	var names []string
	for _, p := range all {
		names = append(names, p.Name+" "+p.Policy.Egress)
	}
	return []driver.PolicyOutcome{{Name: "a", Action: driver.PolicyCreated}}, k.call("apply %v dry %t", names, dry)
}

func (k *kept) RemovePolicy(_ context.Context, name string) error { return k.call("remove %s", name) }

func (k *kept) Exceptions() []driver.ExceptionStatus { return []driver.ExceptionStatus{{To: "lan"}} }

func (k *kept) Except(_ context.Context, of driver.Whom, x model.Exception) error {
	k.until = x.Until
	return k.call("except %s %s %s %t", of.NetworkID, of.EndpointID, x.To, x.Deny)
}

func (k *kept) Unexcept(_ context.Context, of driver.Whom, to string) error {
	return k.call("unexcept %s %s %s", of.NetworkID, of.EndpointID, to)
}

func (k *kept) ExplainPolicy(of driver.Whom) (driver.PolicyExplanation, error) {
	return driver.PolicyExplanation{Whom: of}, k.call("explain %s %s", of.NetworkID, of.EndpointID)
}

func (k *kept) TestPolicy(_ context.Context, of driver.Whom, to string) (driver.PolicyVerdict, error) {
	return driver.PolicyVerdict{Whom: of, To: to}, k.call("test %s %s %s", of.NetworkID, of.EndpointID, to)
}

func policyServer(t testing.TB, k *kept) *Server {
	s, _, _ := newServer(t, func(o *Options) { o.Policies = k })
	s.Ready()
	return s
}

func askPolicies(s *Server, method, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, "http://gangway"+AdminPath+path, strings.NewReader(body))
	s.http.Handler.ServeHTTP(w, r)
	return w
}

// TestAdminPolicies: each request leads to its call, and errors to their status.
func TestAdminPolicies(t *testing.T) {
	for _, c := range []struct {
		method, path, body string
		call               string
		status             int
		answer             string
	}{
		{"GET", "policies", "", "", 200, `"name":"a"`},
		{"POST", "policies", `{"files":[{"name":"f.yml","text":"name: a\negress: deny\n---\nname: b\nhost: any\n"}],"dryRun":true}`, "apply [a deny b ] dry true", 200, `"action":"created"`},
		{"POST", "policies", `{"files":[{"name":"f.yml","text":"name: a\negres: deny\n"}]}`, "", 400, `f.yml:2:1: unknown word`},
		{"POST", "policies", `{"files":[{"name":"f.yml","text":"name: a\nhost: any\n"},{"name":"g.yml","text":"name: a\nhost: any\n"}]}`, "", 400, `g.yml:1:7: policy a stands at f.yml:1:7 already`},
		{"POST", "policies", `{"files":[]}`, "", 400, "there is no policy"},
		{"POST", "policies", `[]`, "", 400, "not a JSON object"},
		{"DELETE", "policies?name=a", "", "remove a", 200, "{}"},
		{"PUT", "policies", "", "", 405, "method PUT"},
		{"GET", "policies/exceptions", "", "", 200, `"to":"lan"`},
		{"POST", "policies/exceptions", `{"network":"n","endpoint":"e","to":"lan","deny":true,"seconds":60}`, "except n e lan true", 200, `"until":"2`},
		{"POST", "policies/exceptions", `{"network":"n","to":"lan"}`, "except n  lan false", 200, `"to":"lan"`},
		{"POST", "policies/exceptions", `{"network":"n","to":"lan","seconds":-1}`, "", 400, "want 0, for good"},
		{"DELETE", PolicyQuery("exceptions", driver.Whom{NetworkID: "n", EndpointID: "e"}, "[::1]:80"), "", "unexcept n e [::1]:80", 200, "{}"},
		{"GET", PolicyQuery("explain", driver.Whom{NetworkID: "n"}, ""), "", "explain n ", 200, `"network":"n"`},
		{"POST", "policies/explain", "", "", 405, "method POST"},
		{"GET", LearnQuery(driver.Whom{NetworkID: "n"}, 0), "", "", 400, "want 1 to"},
		{"POST", LearnQuery(driver.Whom{NetworkID: "n"}, time.Minute), "", "", 405, "method POST"},
		{"GET", PolicyQuery("test", driver.Whom{NetworkID: "n", EndpointID: "e"}, "10.0.0.1:80/tcp"), "", "test n e 10.0.0.1:80/tcp", 200, `"allowed":false`},
	} {
		k := &kept{}
		w := askPolicies(policyServer(t, k), c.method, c.path, c.body)
		var calls []string
		if c.call != "" {
			calls = []string{c.call}
		}
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.answer) || !slices.Equal(k.calls, calls) {
			t.Errorf("%s %s %s: %d %s after %q", c.method, c.path, c.body, w.Code, w.Body, k.calls)
		}
	}
	for status, err := range map[int]error{http.StatusNotFound: &driver.UnknownPolicyError{}, http.StatusConflict: model.Conflictf("in use"), http.StatusInternalServerError: io.EOF} {
		if w := askPolicies(policyServer(t, &kept{err: err}), "DELETE", "policies?name=a", ""); w.Code != status || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%v: %d %s", err, w.Code, w.Body)
		}
	}
	s, _, _ := newServer(t, func(o *Options) { o.Policies, o.VerbTime = &kept{}, 20*time.Millisecond })
	if w := askPolicies(s, "GET", "policies", ""); w.Code != http.StatusServiceUnavailable {
		t.Errorf("before the state is restored: %d %s", w.Code, w.Body)
	}
}

// FuzzAdminPolicies: whatever is sent, nothing panics, every answer is JSON, and a file that does
// not hold changes nothing.
func FuzzAdminPolicies(f *testing.F) {
	f.Add(http.MethodPost, "policies", `{"files":[{"name":"f","text":"name: a\nhost: any\n"}]}`)
	f.Add(http.MethodPost, "policies/exceptions", `{"network":"n","to":"lan","seconds":9223372036854775807}`)
	f.Add(http.MethodGet, "policies/test?network=n&to=%00", "")
	f.Fuzz(func(t *testing.T, method, path, body string) {
		if !strings.HasPrefix(path, "policies") || strings.ContainsFunc(path, func(r rune) bool { return r <= ' ' || r > '~' || r == '#' || r == '%' }) {
			return
		}
		if method != http.MethodGet && method != http.MethodPost && method != http.MethodDelete {
			return
		}
		k := &kept{}
		w := askPolicies(policyServer(t, k), method, path, body)
		if w.Code >= 300 && w.Code < 400 {
			return // the mux's answer to a path that is not clean
		}
		if !json.Valid(w.Body.Bytes()) || w.Code != http.StatusOK && len(k.calls) > 0 {
			t.Errorf("%s %s %q: %d %s after %q", method, path, body, w.Code, w.Body, k.calls)
		}
	})
}
