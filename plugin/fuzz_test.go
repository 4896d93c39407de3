package plugin

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// FuzzCalls sends any body to any path: what reaches the domain holds, nothing
// panics, and the answer is one that the engine can read. Run it with
// -fuzzminimizetime 1x: calls run in goroutines, so their coverage varies, and
// the search for a smaller body with the same coverage takes all the time.
func FuzzCalls(f *testing.F) {
	bodies := samples()
	calls := slices.Concat(slices.Sorted(maps.Keys(bodies)), bodiless())
	others := []string{"", "NetworkDriver.Nope", "gangway/v1/status", "gangway/v1/networks", "gangway/v1/endpoints", "gangway/v1/ports", "gangway/v1/health", "gangway/v1/version", "gangway/v1/nope"}
	paths := slices.Concat(calls, others)
	for i, path := range paths {
		f.Add(uint8(i), bodies[path])
	}
	create := uint8(slices.Index(paths, "NetworkDriver.CreateNetwork"))
	f.Add(uint8(0), "null")
	f.Add(create, `{"NetworkID":"n","IPv4Data":[null,{"Pool":"::/0"}]}`)
	f.Add(create, `{"networkid":"n","IPv4Data":[{"Pool":"10.0.0.0/8","Gateway":"10.0.0.1/0","AuxAddresses":{"":null}}]}`)
	s, domain, out := newServer(f, nil)
	s.Ready()
	f.Fuzz(func(t *testing.T, which uint8, body string) {
		path := paths[int(which)%len(paths)]
		w := httptest.NewRecorder()
		s.http.Handler.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/"+path, strings.NewReader(body)))
		if bad := domain.invalid; len(bad) > 0 {
			t.Fatalf("%s %q reached the domain: %v", path, body, bad)
		}
		reached := domain.take()
		var e errorResponse
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil {
			t.Fatalf("%s %q: answer %q: %v", path, body, w.Body, err)
		}
		refused := e.Error != "" && len(reached) == 0
		switch {
		case !slices.Contains(calls, path):
			if w.Code != http.StatusNotFound && w.Code != http.StatusMethodNotAllowed || !refused {
				t.Fatalf("%s %q: %d %s, reached %v", path, body, w.Code, w.Body, reached)
			}
		case w.Code == http.StatusOK && e.Err == "":
		case w.Code == http.StatusBadRequest && e.Err != "" && refused:
		default:
			t.Fatalf("%s %q: %d %s, reached %v", path, body, w.Code, w.Body, reached)
		}
		out.reset()
	})
}
