package page

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/integration/testkit"
	"github.com/gangway-net/gangway/plugin"
)

func (s *source) Decisions(_ context.Context, of string) ([]plugin.Decisions, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []plugin.Decisions{{Decisions: driver.Decisions{NetworkID: of, Policy: "0123"}}}, s.err
}

// TestDecisions: what entries of a policy have decided is told of who is asked for, to who knows
// the token.
func TestDecisions(t *testing.T) {
	s := &source{}
	p := New(Options{Source: s, Token: "0123456789abcdef", Log: testkit.Quiet()})
	for _, c := range []struct {
		query, token string
		err          error
		status       int
		body         string
	}{
		{"?of=front", "0123456789abcdef", nil, http.StatusOK, `[{"network":"front","policy":"0123","entries":null}]`},
		{"", "0123456789abcdef", nil, http.StatusBadRequest, "of=ID is missing"},
		{"?of=front", "0123456789abcdee", nil, http.StatusUnauthorized, "token"},
		{"?of=front", "0123456789abcdef", errors.New("no kernel"), http.StatusBadGateway, "no kernel"},
	} {
		s.err = c.err
		r, w := httptest.NewRequest(http.MethodGet, "/decisions"+c.query, nil), httptest.NewRecorder()
		r.Header.Set("Authorization", "Bearer "+c.token)
		if p.ServeHTTP(w, r); w.Code != c.status || !strings.Contains(w.Body.String(), c.body) {
			t.Errorf("%+v: %d %s", c, w.Code, w.Body)
		}
	}
}
