package plugin

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/driver/events"
)

// FuzzAdmin asks the admin API by any method for any path with any query, before
// and after the state is restored: nothing panics or reaches the domain's verbs,
// every answer is JSON, and only a GET of a known path succeeds.
func FuzzAdmin(f *testing.F) {
	for _, name := range adminNames() {
		f.Add(http.MethodGet, name, "", true)
		f.Add(http.MethodGet, name, "after=1&wait=0", false)
		f.Add(http.MethodPost, name, "", true)
	}
	for _, query := range []string{"after=-1", "after=18446744073709551615", "wait=16", "wait=0x1", "after=1;wait=1", "after=%zz", "after=&after=2", "%00"} {
		f.Add(http.MethodGet, "events", query, true)
	}
	for _, path := range []string{"", "..", "../NetworkDriver.Leave", "events/", "//events", "%2e%2e/Plugin.Activate", "status%00"} {
		f.Add(http.MethodGet, path, "", true)
	}
	servers := map[bool]*Server{}
	domains := map[bool]*recorder{}
	for _, ready := range []bool{false, true} {
		s, domain, _ := newServer(f, nil)
		domain.events = []events.Event{{Number: 1, Kind: events.Repair, Text: "a"}, {Number: 2, Kind: events.Flapping, Text: "b"}}
		if ready {
			s.Ready()
		}
		// Who waits for an event is answered at once.
		close(s.stopping)
		servers[ready], domains[ready] = s, domain
	}
	f.Fuzz(func(t *testing.T, method, path, query string, ready bool) {
		r := &http.Request{Method: method, URL: &url.URL{Path: AdminPath + path, RawQuery: query}, Host: "gangway", Header: http.Header{}, Body: http.NoBody}
		w := httptest.NewRecorder()
		servers[ready].http.Handler.ServeHTTP(w, r.WithContext(t.Context()))
		if calls := domains[ready].take(); len(calls) > 0 {
			t.Fatalf("%s %q reached the domain: %v", method, path, calls)
		}
		if !allowed(w, method, path, ready) {
			t.Fatalf("%s %q with query %q, ready %t: %d %s", method, path, query, ready, w.Code, w.Body)
		}
	})
}

// adminNames are the paths of the admin API.
func adminNames() []string {
	return []string{"health", "status", "networks", "endpoints", "ports", "events", "version"}
}

// allowed says whether the admin API may answer so.
func allowed(w *httptest.ResponseRecorder, method, path string, ready bool) bool {
	if w.Code == http.StatusMovedPermanently || w.Code == http.StatusTemporaryRedirect {
		return true // the mux's answer to a path that is not clean
	}
	if !json.Valid(w.Body.Bytes()) {
		return false
	}
	known := slices.Contains(adminNames(), path)
	switch w.Code {
	case http.StatusOK:
		return known && method == http.MethodGet
	case http.StatusBadRequest:
		return path == "events" && strings.Contains(w.Body.String(), "want")
	case http.StatusServiceUnavailable:
		return known && !ready
	case http.StatusMethodNotAllowed, http.StatusNotFound:
		return !known || method != http.MethodGet
	}
	return false
}

// FuzzEventsQuery: what is asked for is what is understood, and nothing waits
// for longer than allowed.
func FuzzEventsQuery(f *testing.F) {
	f.Add("after=1&wait=2")
	f.Add("wait=15")
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		after, wait, err := parseEvents(values)
		if err != nil {
			return
		}
		if wait < 0 || wait > MaxEventWait {
			t.Fatalf("%q waits for %s", query, wait)
		}
		back, err := url.Parse(EventsQuery(after, wait))
		if err != nil {
			t.Fatal(err)
		}
		if a, w, err := parseEvents(back.Query()); err != nil || a != after || w != wait.Truncate(time.Second) {
			t.Fatalf("%q: %d %s, then %d %s (%v)", query, after, wait, a, w, err)
		}
	})
}
